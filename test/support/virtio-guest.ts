/** A guest's driver of one modern virtio-pci device (virtio 1.2 §4.1). */
import type { Width } from '../../src/devices/contract.ts';
import type { VirtioDevice } from '../../src/devices/virtio/device.ts';
import { virtioPci } from '../../src/devices/virtio/transport-pci.ts';
import { PCI_WINDOW, PciGuest } from './pci-guest.ts';
import { QueueDriver } from './virtqueue-driver.ts';

const SLOT = 1;
const VERSION_1 = 1n << 32n;
export const EVENT_IDX = 1n << 29n;
export const INDIRECT_DESC = 1n << 28n;

export const COMMON = {
  deviceFeatureSelect: 0x00,
  deviceFeature: 0x04,
  driverFeatureSelect: 0x08,
  driverFeature: 0x0c,
  configVector: 0x10,
  numQueues: 0x12,
  status: 0x14,
  generation: 0x15,
  queueSelect: 0x16,
  queueSize: 0x18,
  queueVector: 0x1a,
  queueEnable: 0x1c,
  queueNotifyOff: 0x1e,
  queueDesc: 0x20,
  queueDriver: 0x28,
  queueDevice: 0x30,
} as const;

export interface StartOptions {
  readonly features?: bigint;
  /** One vector per queue behind vector 0 for configuration changes; the message data is 0x40 + vector. */
  readonly msix?: boolean;
  /** Entries per queue; the device's maximum if absent. */
  readonly queueSize?: number;
}

interface Structure {
  readonly offset: number;
  readonly length: number;
  readonly capability: number;
}

export class VirtioGuest extends PciGuest {
  readonly reports: string[] = [];
  queues: QueueDriver[] = [];
  readonly #structures = new Map<number, Structure>();

  constructor(device: VirtioDevice, ramSize?: number) {
    super(ramSize);
    this.bus.plug(
      SLOT,
      virtioPci(device, this.ram, (line) => this.reports.push(line)),
    );
    this.bus.assignResources(PCI_WINDOW);
    this.writeConfig(SLOT, 4, 2, this.readConfig(SLOT, 4, 2) | 4);
    for (const { id, offset } of this.capabilities(SLOT)) if (id === 0x09) this.#addStructure(offset);
  }

  get bar(): number {
    return this.barAddress(SLOT);
  }

  get status(): number {
    return this.common(COMMON.status, 1);
  }

  get intxLevel(): boolean {
    return this.intx[1].level;
  }

  /** Where a structure (1 common, 2 notify, 3 ISR, 4 device, 5 PCI access) is. */
  structure(type: number): Structure {
    const found = this.#structures.get(type);
    if (found === undefined) throw new Error(`the device has no structure ${type}`);
    return found;
  }

  common(offset: number, width: Width): number {
    return this.mmio.read(this.bar + this.structure(1).offset + offset, width);
  }

  setCommon(offset: number, width: Width, value: number): void {
    this.mmio.write(this.bar + this.structure(1).offset + offset, width, value);
  }

  config(offset: number, width: Width): number {
    return this.mmio.read(this.bar + this.structure(4).offset + offset, width);
  }

  setConfig(offset: number, width: Width, value: number): void {
    this.mmio.write(this.bar + this.structure(4).offset + offset, width, value);
  }

  /** Reads and so acknowledges the interrupt status. */
  isr(): number {
    return this.mmio.read(this.bar + this.structure(3).offset, 1);
  }

  notify(queue: number): void {
    this.mmio.write(this.bar + this.structure(2).offset + 4 * queue, 2, queue);
  }

  offered(): bigint {
    let features = 0n;
    for (const word of [0, 1]) {
      this.setCommon(COMMON.deviceFeatureSelect, 4, word);
      features |= BigInt(this.common(COMMON.deviceFeature, 4)) << BigInt(32 * word);
    }
    return features;
  }

  /** Resets and negotiates; true when the device took the features. */
  negotiate(features: bigint): boolean {
    this.setCommon(COMMON.status, 1, 0);
    this.setCommon(COMMON.status, 1, 3);
    for (const word of [0, 1]) {
      this.setCommon(COMMON.driverFeatureSelect, 4, word);
      this.setCommon(COMMON.driverFeature, 4, Number((features >> BigInt(32 * word)) & 0xffff_ffffn));
    }
    this.setCommon(COMMON.status, 1, 0x0b);
    return (this.status & 8) !== 0;
  }

  /** The whole initialization of §3.1.1 with all queues. */
  start(options: StartOptions = {}): void {
    const features = (options.features ?? this.offered()) | VERSION_1;
    if (!this.negotiate(features)) throw new Error('the device refused the features');
    if (options.msix === true) this.#enableMsix();
    const count = this.common(COMMON.numQueues, 2);
    this.queues = Array.from({ length: count }, (_, index) => this.#setUpQueue(index, features, options));
    this.setCommon(COMMON.status, 1, 0x0f);
  }

  /** Adds to a queue and notifies the device if it asked for that. */
  send(queue: number, request: Parameters<QueueDriver['add']>[0]): number {
    const added = this.queues[queue]!.add(request);
    if (added === undefined) throw new Error('the queue is full');
    if (added.notify) this.notify(queue);
    return added.token;
  }

  enableQueue(index: number, size: number, rings: { descriptors: number; available: number; used: number }): void {
    this.setCommon(COMMON.queueSelect, 2, index);
    this.setCommon(COMMON.queueSize, 2, size);
    for (const [register, at] of [
      [COMMON.queueDesc, rings.descriptors],
      [COMMON.queueDriver, rings.available],
      [COMMON.queueDevice, rings.used],
    ] as const) {
      this.setCommon(register, 4, at % 2 ** 32);
      this.setCommon(register + 4, 4, Math.floor(at / 2 ** 32));
    }
    this.setCommon(COMMON.queueEnable, 2, 1);
  }

  #setUpQueue(index: number, features: bigint, options: StartOptions): QueueDriver {
    this.setCommon(COMMON.queueSelect, 2, index);
    const size = options.queueSize ?? this.common(COMMON.queueSize, 2);
    const room = 0x10_0000;
    const base = 0x1000 + index * room;
    this.ram.bytes.fill(0, base, base + room);
    const driver = new QueueDriver(this.ram, {
      size,
      base,
      room,
      eventIndex: (features & EVENT_IDX) !== 0n,
      indirect: (features & INDIRECT_DESC) !== 0n,
    });
    if (options.msix === true) this.setCommon(COMMON.queueVector, 2, index + 1);
    this.enableQueue(index, size, driver);
    return driver;
  }

  #enableMsix(): void {
    const { offset } = this.capabilities(SLOT).find((c) => c.id === 0x11)!;
    const vectors = (this.readConfig(SLOT, offset + 2, 2) & 0x7ff) + 1;
    const table = this.bar + (this.readConfig(SLOT, offset + 4, 4) & ~7);
    this.writeConfig(SLOT, offset + 2, 2, 0x8000);
    for (let vector = 0; vector < vectors; vector++) {
      this.mmio.write(table + 16 * vector, 4, 0xfee0_0000);
      this.mmio.write(table + 16 * vector + 8, 4, 0x40 + vector);
      this.mmio.write(table + 16 * vector + 12, 4, 0);
    }
    this.setCommon(COMMON.configVector, 2, 0);
  }

  #addStructure(capability: number): void {
    const type = this.readConfig(SLOT, capability + 3, 1);
    const offset = this.readConfig(SLOT, capability + 8, 4);
    this.#structures.set(type, { offset, length: this.readConfig(SLOT, capability + 12, 4), capability });
  }
}
