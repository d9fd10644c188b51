import type { GuestMemory, Width } from '../contract.ts';
import { allOnes, load } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import type { VirtioDevice, VirtioDriver, VirtQueue } from './device.ts';
import { SplitQueue } from './queue.ts';

/** Device status bits that mean something to the device (§2.1). */
const STATUS_DRIVER_OK = 4;
const STATUS_FEATURES_OK = 8;
const STATUS_DEVICE_NEEDS_RESET = 64;

/** Reserved feature bits (§6). */
const VIRTIO_F_INDIRECT_DESC = 1n << 28n;
const VIRTIO_F_EVENT_IDX = 1n << 29n;
const VIRTIO_F_VERSION_1 = 1n << 32n;

const TRANSPORT_FEATURES = VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;

/** The driver's notes about one queue; 64-bit addresses as the two halves that it writes. */
export interface QueueSetup {
  readonly maximum: number;
  size: number;
  enabled: boolean;
  /** Low and high halves of the descriptor, driver and device areas. */
  readonly addresses: Uint32Array;
}

/** How a transport reaches the driver. */
export interface Notifier {
  queueUsed(index: number): void;
  configChanged(): void;
  /** The driver broke the device. */
  failed(reason: string): void;
  /** The device was reset: nothing is left to notify of. */
  reset(): void;
}

const address = (halves: Uint32Array, index: number): number => halves[2 * index + 1]! * 2 ** 32 + halves[2 * index]!;

/** What every transport does alike (§2, §3): status, feature negotiation, queue set-up, activation, failure. */
export class VirtioCore implements VirtioDriver {
  readonly device: VirtioDevice;
  readonly queues: readonly QueueSetup[];
  readonly #memory: GuestMemory;
  readonly #notifier: Notifier;
  #open: (SplitQueue | undefined)[] = [];
  #status = 0;
  #driverFeatures = 0n;
  #configGeneration = 0;

  constructor(device: VirtioDevice, memory: GuestMemory, notifier: Notifier) {
    this.device = device;
    this.#memory = memory;
    this.#notifier = notifier;
    this.queues = device.queueSizes.map((maximum) => ({
      maximum,
      size: maximum,
      enabled: false,
      addresses: new Uint32Array(6),
    }));
  }

  get status(): number {
    return this.#status;
  }

  get configGeneration(): number {
    return this.#configGeneration;
  }

  /** What the device offers. */
  get offered(): bigint {
    return this.device.features | TRANSPORT_FEATURES;
  }

  /** What the driver has accepted. */
  get features(): bigint {
    return this.#driverFeatures;
  }

  get #ready(): boolean {
    return (this.#status & STATUS_DRIVER_OK) !== 0;
  }

  get #broken(): boolean {
    return (this.#status & STATUS_DEVICE_NEEDS_RESET) !== 0;
  }

  /** Sets 32 feature bits, word 0 or 1; too late once the features are agreed. */
  acceptFeatures(word: number, bits: number): void {
    if (word > 1 || (this.#status & STATUS_FEATURES_OK) !== 0) return;
    const shift = 32n * BigInt(word);
    this.#driverFeatures = (this.#driverFeatures & ~(0xffff_ffffn << shift)) | (BigInt(bits) << shift);
  }

  /** The driver adds status bits (§2.1.1, §3.1.1). Writing zero, which is `reset`, is the transport's to tell apart. */
  setStatus(value: number): void {
    let added = value & ~this.#status & ~STATUS_DEVICE_NEEDS_RESET;
    if ((added & STATUS_FEATURES_OK) !== 0 && !this.#featuresAgree()) added &= ~STATUS_FEATURES_OK;
    if (((this.#status | added) & STATUS_FEATURES_OK) === 0) added &= ~STATUS_DRIVER_OK;
    this.#status |= added;
    if ((added & STATUS_DRIVER_OK) !== 0) this.#activate();
  }

  /** A size that is no power of two or too large is ignored. */
  setQueueSize(index: number, size: number): void {
    const setup = this.queues[index];
    if (setup === undefined || setup.enabled || size === 0 || size > setup.maximum) return;
    if ((size & (size - 1)) === 0) setup.size = size;
  }

  enableQueue(index: number): void {
    const setup = this.queues[index];
    if (setup === undefined || setup.enabled) return;
    setup.enabled = true;
    if (this.#ready && !this.#broken) this.#openQueue(index);
  }

  queue(index: number): VirtQueue | undefined {
    return this.#open[index];
  }

  /** The driver has put something into a queue. */
  notify(index: number): void {
    const queue = this.#open[index];
    if (queue !== undefined && !queue.closed) this.device.notified(index, queue);
  }

  configChanged(): void {
    this.#configGeneration = (this.#configGeneration + 1) & 0xff;
    if (this.#ready) this.#notifier.configChanged();
  }

  readConfig(offset: number, width: Width): number {
    const { config } = this.device;
    return offset + width <= config.length ? load(config, offset, width) : allOnes(width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    if (offset + width <= this.device.config.length) this.device.writeConfig?.(offset, width, value);
  }

  transferState(state: StateTransfer): void {
    this.#status = state.byte('status', this.#status);
    this.#driverFeatures = state.big('driverFeatures', this.#driverFeatures);
    this.#configGeneration = state.byte('configGeneration', this.#configGeneration);
    for (const index of this.queues.keys()) state.part(`queue${index}`, (part) => this.#transferQueue(part, index));
    if (state.restoring && this.#ready && !this.#broken) this.device.activate?.(this);
    this.device.transferState?.(state);
  }

  #transferQueue(state: StateTransfer, index: number): void {
    const setup = this.queues[index]!;
    setup.size = state.integer('size', setup.size, 1, setup.maximum);
    state.require((setup.size & (setup.size - 1)) === 0, 'the size is no power of two');
    setup.enabled = state.flag('enabled', setup.enabled);
    for (const i of setup.addresses.keys()) setup.addresses[i] = state.doubleword(`address${i}`, setup.addresses[i]!);
    const open = state.flag('open', this.#open[index] !== undefined);
    if (!open) return;
    if (state.restoring) this.#openQueue(index);
    const queue = this.#open[index];
    state.require(queue !== undefined, 'the rings do not lie in memory');
    queue?.transferState(state);
  }

  reset(): void {
    for (const queue of this.#open) queue?.close();
    this.#open = [];
    this.#status = 0;
    this.#driverFeatures = 0n;
    for (const setup of this.queues) {
      setup.size = setup.maximum;
      setup.enabled = false;
      setup.addresses.fill(0);
    }
    this.#notifier.reset();
    this.device.reset();
  }

  #featuresAgree(): boolean {
    const accepted = this.#driverFeatures;
    return (accepted & ~this.offered) === 0n && (accepted & VIRTIO_F_VERSION_1) !== 0n;
  }

  #activate(): void {
    for (const [index, setup] of this.queues.entries()) if (setup.enabled) this.#openQueue(index);
    if (!this.#broken) this.device.activate?.(this);
  }

  #openQueue(index: number): void {
    const { size, addresses } = this.queues[index]!;
    const layout = {
      size,
      descriptors: address(addresses, 0),
      available: address(addresses, 1),
      used: address(addresses, 2),
    };
    const queue = new SplitQueue(layout, {
      memory: this.#memory,
      eventIndex: (this.#driverFeatures & VIRTIO_F_EVENT_IDX) !== 0n,
      indirect: (this.#driverFeatures & VIRTIO_F_INDIRECT_DESC) !== 0n,
      interrupt: () => this.#notifier.queueUsed(index),
      failed: (reason) => this.#fail(`queue ${index}: ${reason}`),
    });
    if (queue.check()) this.#open[index] = queue;
  }

  /** §2.1.2: the device stops, and says so, until it is reset. */
  #fail(reason: string): void {
    for (const queue of this.#open) queue?.close();
    this.#status |= STATUS_DEVICE_NEEDS_RESET;
    this.#notifier.failed(reason);
    if (this.#ready) this.#notifier.configChanged();
  }
}
