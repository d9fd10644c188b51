import type { Device, GuestMemory, Width } from '../contract.ts';
import { allOnes, load, store } from '../little-endian.ts';
import type { Capability } from '../pci/config-space.ts';
import { PciFunction } from '../pci/function.ts';
import type { Msix } from '../pci/msix.ts';
import { CAPABILITY_VENDOR } from '../pci/registers.ts';
import { CompositeWindow } from '../pci/window.ts';
import type { StateTransfer } from '../state.ts';
import { CommonConfig } from './common-config.ts';
import { VirtioCore } from './core.ts';
import type { VirtioDevice } from './device.ts';

/** §4.1.2. */
const VIRTIO_VENDOR = 0x1af4;
const MODERN_DEVICE_BASE = 0x1040;
const MODERN_REVISION = 1;

/** PCI classes by virtio device type; the rest are "unclassified". */
const CLASS_BY_TYPE: Readonly<Record<number, number>> = {
  1: 0x02_00_00,
  2: 0x01_80_00,
  3: 0x07_80_00,
  4: 0x00_ff_00,
};
const CLASS_UNCLASSIFIED = 0xff_00_00;

/** Capability types (§4.1.4). */
const CAP_COMMON_CFG = 1;
const CAP_NOTIFY_CFG = 2;
const CAP_ISR_CFG = 3;
const CAP_DEVICE_CFG = 4;
const CAP_PCI_CFG = 5;

/** struct virtio_pci_cap without its two header bytes. */
const CAP_LEN = 0;
const CAP_CFG_TYPE = 1;
const CAP_BAR = 2;
const CAP_OFFSET = 6;
const CAP_LENGTH = 10;
const CAP_SIZE = 14;
/** What follows it: the notify multiplier, or the data window of the PCI configuration access capability. */
const CAP_EXTRA = 14;
const HEADER_SIZE = 2;

/** BAR 0. Each structure has a page of its own, so that a guest can map them with different rights. */
const BAR_INDEX = 0;
const BAR_SIZE = 0x8000;
const PAGE = 0x1000;
const COMMON_OFFSET = 0x0000;
const ISR_OFFSET = 0x1000;
const DEVICE_OFFSET = 0x2000;
export const NOTIFY_OFFSET = 0x3000;
const MSIX_TABLE_OFFSET = 0x4000;
const MSIX_TABLE_SIZE = 0x2000;
const MSIX_PENDING_OFFSET = 0x6000;

const COMMON_SIZE = 0x38;
export const NOTIFY_MULTIPLIER = 4;

/** §4.1.4.5. */
const ISR_QUEUE = 1;
const ISR_CONFIG = 2;

/** The modern PCI transport (§4.1): structures in one 64-bit BAR, a vector per queue and one for configuration. */
class PciTransport {
  readonly function: PciFunction;
  readonly #core: VirtioCore;
  readonly #common: CommonConfig;
  readonly #msix: Msix;
  readonly #window: CompositeWindow;
  #isr = 0;
  /** A guest that breaks its device again and again must not fill the host's screen. */
  #reported = false;

  constructor(device: VirtioDevice, memory: GuestMemory, report: (line: string) => void) {
    const vectors = device.queueSizes.length + 1;
    this.#core = new VirtioCore(device, memory, {
      queueUsed: (index) => this.#interrupt(ISR_QUEUE, this.#common.queueVector(index)),
      configChanged: () => this.#interrupt(ISR_CONFIG, this.#common.configVector),
      failed: (reason) => {
        if (!this.#reported) report(`${device.name}: the guest's driver broke the device: ${reason}`);
        this.#reported = true;
      },
      reset: () => this.#acknowledge(),
    });
    this.#common = new CommonConfig(this.#core, vectors);
    this.function = new PciFunction(
      device.name,
      {
        vendor: VIRTIO_VENDOR,
        device: MODERN_DEVICE_BASE + device.type,
        classCode: CLASS_BY_TYPE[device.type] ?? CLASS_UNCLASSIFIED,
        revision: MODERN_REVISION,
        subsystemVendor: VIRTIO_VENDOR,
        subsystem: MODERN_DEVICE_BASE + device.type,
        interruptPin: 1,
      },
      { reset: () => this.#common.reset(), transferState: (state) => this.#transferState(state) },
    );
    this.#msix = this.function.addMsix({
      vectors,
      bar: BAR_INDEX,
      tableOffset: MSIX_TABLE_OFFSET,
      pendingOffset: MSIX_PENDING_OFFSET,
    });
    this.#window = this.#makeWindow(device);
    this.function.addBar(BAR_INDEX, { kind: 'memory64', size: BAR_SIZE, device: this.#window });
    this.#addCapabilities(device);
  }

  #makeWindow(device: VirtioDevice): CompositeWindow {
    return new CompositeWindow(device.name, [
      { base: NOTIFY_OFFSET, size: PAGE, device: this.#notifyWindow() },
      { base: ISR_OFFSET, size: PAGE, device: this.#isrWindow() },
      { base: COMMON_OFFSET, size: PAGE, device: this.#common },
      { base: DEVICE_OFFSET, size: PAGE, device: this.#configWindow() },
      { base: MSIX_TABLE_OFFSET, size: MSIX_TABLE_SIZE, device: this.#msix.table },
      { base: MSIX_PENDING_OFFSET, size: PAGE, device: this.#msix.pending },
    ]);
  }

  #addCapabilities(device: VirtioDevice): void {
    const queues = device.queueSizes.length;
    const add = (capability: Capability) => this.function.addCapability(capability);
    add(structure(CAP_COMMON_CFG, COMMON_OFFSET, COMMON_SIZE));
    const notify = structure(CAP_NOTIFY_CFG, NOTIFY_OFFSET, queues * NOTIFY_MULTIPLIER, 4);
    store(notify.body, CAP_EXTRA, 4, NOTIFY_MULTIPLIER);
    add(notify);
    add(structure(CAP_ISR_CFG, ISR_OFFSET, 1));
    if (device.config.length > 0) add(structure(CAP_DEVICE_CFG, DEVICE_OFFSET, device.config.length));
    add(this.#configAccess());
  }

  /** §4.1.4.9: a window on the BAR through configuration space, for guests that cannot map it yet. */
  #configAccess(): Capability {
    const { id, body } = structure(CAP_PCI_CFG, 0, 0, 4);
    const writable = new Uint8Array(body.length).fill(0xff);
    writable.fill(0, 0, CAP_BAR).fill(0, CAP_BAR + 1, CAP_OFFSET);
    const target = (offset: number, width: number) => {
      const at = load(body, CAP_OFFSET, 4);
      const length = load(body, CAP_LENGTH, 4);
      const touched = offset < CAP_EXTRA + 4 && offset + width > CAP_EXTRA;
      const valid = (length === 1 || length === 2 || length === 4) && at % length === 0 && at + length <= BAR_SIZE;
      return touched && valid && body[CAP_BAR] === BAR_INDEX ? { at, length: length as Width } : undefined;
    };
    return {
      id,
      body,
      writable,
      reading: (offset, width) => {
        const from = target(offset, width);
        if (from !== undefined) store(body, CAP_EXTRA, from.length, this.#window.read(from.at, from.length));
      },
      written: (offset, width) => {
        const to = target(offset, width);
        if (to !== undefined) this.#window.write(to.at, to.length, load(body, CAP_EXTRA, to.length));
      },
    };
  }

  #notifyWindow(): Device {
    return {
      name: 'virtio-notify',
      read: (_offset, width) => allOnes(width),
      write: (offset) => this.#core.notify(Math.floor(offset / NOTIFY_MULTIPLIER)),
      reset: () => {},
    };
  }

  /** Reading tells what happened and acknowledges it. */
  #isrWindow(): Device {
    return {
      name: 'virtio-isr',
      read: (offset, width) => {
        if (offset !== 0) return allOnes(width);
        const value = this.#isr;
        this.#acknowledge();
        return value;
      },
      write: () => {},
      reset: () => {},
    };
  }

  #configWindow(): Device {
    return {
      name: 'virtio-config',
      read: (offset, width) => this.#core.readConfig(offset, width),
      write: (offset, width, value) => this.#core.writeConfig(offset, width, value),
      reset: () => {},
    };
  }

  #transferState(state: StateTransfer): void {
    this.#isr = state.byte('isr', this.#isr);
    this.#common.transferState(state);
  }

  #interrupt(isr: number, vector: number): void {
    if (this.#msix.enabled) {
      this.#msix.notify(vector);
      return;
    }
    this.#isr |= isr;
    this.function.setInterrupt(true);
  }

  #acknowledge(): void {
    this.#isr = 0;
    this.function.setInterrupt(false);
  }
}

/** A capability that says where in the BAR a structure lies; `extra` bytes may follow it. */
function structure(type: number, offset: number, length: number, extra = 0): Capability {
  const body = new Uint8Array(CAP_SIZE + extra);
  body[CAP_LEN] = HEADER_SIZE + body.length;
  body[CAP_CFG_TYPE] = type;
  body[CAP_BAR] = BAR_INDEX;
  store(body, CAP_OFFSET, 4, offset);
  store(body, CAP_LENGTH, 4, length);
  return { id: CAPABILITY_VENDOR, body, writable: new Uint8Array(0) };
}

/**
 * Puts a virtio device behind a modern PCI transport: `bus.plug(3, virtioPci(device, memory, report))`.
 * `report` gets one line when the guest's driver breaks the device.
 */
export function virtioPci(
  device: VirtioDevice,
  memory: GuestMemory,
  report: (line: string) => void = () => {},
): PciFunction {
  return new PciTransport(device, memory, report).function;
}
