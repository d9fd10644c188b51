import type { Bus, IrqLine, MessageSink, PhysicalAddress, Width } from '../contract.ts';
import type { StateTransfer } from '../state.ts';
import { Bar, type BarDescription } from './bar.ts';
import { type Capability, ConfigSpace } from './config-space.ts';
import { Msix, type MsixFunction, type MsixLayout } from './msix.ts';
import {
  BAR_COUNT,
  BASE_ADDRESS_0,
  CACHE_LINE_SIZE,
  CLASS_CODE,
  COMMAND,
  COMMAND_BUS_MASTER,
  COMMAND_INTERRUPT_DISABLE,
  COMMAND_IO,
  COMMAND_MEMORY,
  COMMAND_PARITY,
  COMMAND_SERR,
  DEVICE_ID,
  HEADER_MULTIFUNCTION,
  HEADER_TYPE,
  INTERRUPT_LINE,
  INTERRUPT_PIN,
  REVISION_ID,
  STATUS,
  STATUS_INTERRUPT,
  SUBSYSTEM_ID,
  SUBSYSTEM_VENDOR_ID,
  VENDOR_ID,
} from './registers.ts';

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  /** 24 bits: base class, sub-class, programming interface. */
  readonly classCode: number;
  readonly revision?: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  /** 1–4 for INTA#–INTD#; absent: no interrupt pin. */
  readonly interruptPin?: 1 | 2 | 3 | 4;
}

/** The device that a function is the face of. */
export interface FunctionOwner {
  /** RST#: the function's own registers are back at their defaults. */
  reset?(): void;
  transferState?(state: StateTransfer): void;
}

/** What a function is given where it is plugged in. */
export interface PciSlot {
  readonly mmio: Bus;
  readonly ports: Bus;
  readonly messages: MessageSink;
  /** The function's interrupt pin. */
  readonly intx: IrqLine;
  /** The function stopped decoding some addresses: others may have waited for them. */
  addressesFreed(): void;
}

const COMMAND_WRITABLE =
  COMMAND_IO | COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_PARITY | COMMAND_SERR | COMMAND_INTERRUPT_DISABLE;
const BASE_ADDRESS_END = BASE_ADDRESS_0 + 4 * BAR_COUNT;

/**
 * One type-0 PCI function: identity, base address registers, capabilities, interrupt pin, MSI-X.
 * A device makes one, adds its BARs and capabilities, and calls `setInterrupt` or `msix.notify`.
 */
export class PciFunction implements MsixFunction {
  readonly name: string;
  readonly #config = new ConfigSpace();
  readonly #bars: Bar[] = [];
  readonly #owner: FunctionOwner;
  #msix: Msix | undefined;
  #slot: PciSlot | undefined;
  #interrupt = false;

  constructor(name: string, identity: PciIdentity, owner: FunctionOwner = {}) {
    this.name = name;
    this.#owner = owner;
    const config = this.#config;
    config.define(VENDOR_ID, 2, identity.vendor);
    config.define(DEVICE_ID, 2, identity.device);
    config.define(COMMAND, 2, 0, COMMAND_WRITABLE);
    config.define(REVISION_ID, 1, identity.revision ?? 0);
    config.define(CLASS_CODE, 2, identity.classCode);
    config.define(CLASS_CODE + 2, 1, identity.classCode >>> 16);
    config.define(CACHE_LINE_SIZE, 1, 0, 0xff);
    config.define(SUBSYSTEM_VENDOR_ID, 2, identity.subsystemVendor ?? 0);
    config.define(SUBSYSTEM_ID, 2, identity.subsystem ?? 0);
    config.define(INTERRUPT_LINE, 1, 0, 0xff);
    config.define(INTERRUPT_PIN, 1, identity.interruptPin ?? 0);
  }

  get bars(): readonly Bar[] {
    return this.#bars;
  }

  get busMaster(): boolean {
    return (this.#config.get(COMMAND, 2) & COMMAND_BUS_MASTER) !== 0;
  }

  /** A 64-bit BAR takes the register behind it too. */
  addBar(index: number, description: BarDescription): void {
    this.#bars.push(new Bar(index, description, this.#config));
  }

  addCapability(capability: Capability): void {
    this.#config.addCapability(capability);
  }

  /** The caller puts `table` and `pending` into the BAR at the offsets that it names here. */
  addMsix(layout: MsixLayout): Msix {
    const msix = new Msix(layout, this);
    this.#msix = msix;
    this.addCapability(msix.capability);
    return msix;
  }

  /** Tells guests that the device has functions beside function 0. */
  markMultifunction(): void {
    this.#config.define(HEADER_TYPE, 1, HEADER_MULTIFUNCTION);
  }

  connect(slot: PciSlot): void {
    this.#slot = slot;
    for (const bar of this.#bars) bar.connect(bar.description.kind === 'io' ? slot.ports : slot.mmio);
  }

  /** The level of the interrupt pin; not driven while MSI-X is on or INTx is disabled. */
  setInterrupt(asserted: boolean): void {
    this.#interrupt = asserted;
    this.interruptModeChanged();
  }

  interruptModeChanged(): void {
    const disabled = (this.#config.get(COMMAND, 2) & COMMAND_INTERRUPT_DISABLE) !== 0;
    this.#slot?.intx.set(this.#interrupt && !disabled && this.#msix?.enabled !== true);
  }

  message(address: PhysicalAddress, data: number): void {
    this.#slot?.messages.message(address, data);
  }

  /** Another function freed addresses. */
  retryBars(): void {
    for (const bar of this.#bars) bar.retry();
  }

  /** Reads `width` bytes inside the 256 bytes of configuration space. */
  read(offset: number, width: Width): number {
    const status = this.#config.get(STATUS, 2) & ~STATUS_INTERRUPT;
    this.#config.set(STATUS, 2, status | (this.#interrupt ? STATUS_INTERRUPT : 0));
    return this.#config.read(offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    this.#config.write(offset, width, value);
    const end = offset + width;
    const command = offset < COMMAND + 2 && end > COMMAND;
    if (command || (offset < BASE_ADDRESS_END && end > BASE_ADDRESS_0)) this.#updateBars();
    if (!command) return;
    this.interruptModeChanged();
    this.#msix?.flush();
  }

  /** Before state is restored: addresses that functions swapped among them must be free. */
  releaseBars(): void {
    for (const bar of this.#bars) bar.release();
  }

  transferState(state: StateTransfer): void {
    this.#config.transferState(state);
    this.#interrupt = state.flag('interrupt', this.#interrupt);
    for (const [i, bar] of this.#bars.entries()) bar.transferState(state, i);
    const msix = this.#msix;
    if (msix !== undefined) state.part('msix', (part) => msix.transferState(part));
    state.part('device', (part) => this.#owner.transferState?.(part));
    if (state.restoring) this.interruptModeChanged();
  }

  /** RST#. */
  reset(): void {
    this.#config.clearWritable();
    this.#msix?.reset();
    this.#updateBars();
    this.setInterrupt(false);
    this.#owner.reset?.();
  }

  #updateBars(): void {
    let freed = false;
    for (const bar of this.#bars) freed = bar.update() || freed;
    if (freed) this.#slot?.addressesFreed();
  }
}
