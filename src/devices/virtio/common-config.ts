import type { Device, Width } from '../contract.ts';
import { allOnes } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import type { QueueSetup, VirtioCore } from './core.ts';

/** The vector number that means none (§4.1.4.3). */
const NO_VECTOR = 0xffff;

/** struct virtio_pci_common_cfg (§4.1.4.3). */
const DEVICE_FEATURE_SELECT = 0x00;
const DEVICE_FEATURE = 0x04;
const DRIVER_FEATURE_SELECT = 0x08;
const DRIVER_FEATURE = 0x0c;
const CONFIG_MSIX_VECTOR = 0x10;
const NUM_QUEUES = 0x12;
const DEVICE_STATUS = 0x14;
const CONFIG_GENERATION = 0x15;
const QUEUE_SELECT = 0x16;
const QUEUE_SIZE = 0x18;
const QUEUE_MSIX_VECTOR = 0x1a;
const QUEUE_ENABLE = 0x1c;
const QUEUE_NOTIFY_OFF = 0x1e;
/** Three 64-bit addresses, written as halves. */
const QUEUE_ADDRESSES = 0x20;
const QUEUE_ADDRESSES_END = 0x38;

const WIDTHS: Readonly<Record<number, Width>> = {
  [DEVICE_FEATURE_SELECT]: 4,
  [DEVICE_FEATURE]: 4,
  [DRIVER_FEATURE_SELECT]: 4,
  [DRIVER_FEATURE]: 4,
  [CONFIG_MSIX_VECTOR]: 2,
  [NUM_QUEUES]: 2,
  [DEVICE_STATUS]: 1,
  [CONFIG_GENERATION]: 1,
  [QUEUE_SELECT]: 2,
  [QUEUE_SIZE]: 2,
  [QUEUE_MSIX_VECTOR]: 2,
  [QUEUE_ENABLE]: 2,
  [QUEUE_NOTIFY_OFF]: 2,
};

/** The common configuration structure. A driver accesses each field whole (§4.1.3.1); other accesses are ignored. */
export class CommonConfig implements Device {
  readonly name = 'virtio-common';
  readonly #core: VirtioCore;
  readonly #vectors: number;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;
  #configVector = NO_VECTOR;
  #queueVectors: number[];

  /** `vectors` is the size of the MSI-X table. */
  constructor(core: VirtioCore, vectors: number) {
    this.#core = core;
    this.#vectors = vectors;
    this.#queueVectors = core.queues.map(() => NO_VECTOR);
  }

  get configVector(): number {
    return this.#configVector;
  }

  queueVector(index: number): number {
    return this.#queueVectors[index] ?? NO_VECTOR;
  }

  read(offset: number, width: Width): number {
    if (offset >= QUEUE_ADDRESSES && offset < QUEUE_ADDRESSES_END && width === 4 && offset % 4 === 0)
      return this.#queue?.addresses[(offset - QUEUE_ADDRESSES) / 4] ?? 0;
    return WIDTHS[offset] === width ? this.#field(offset) : allOnes(width);
  }

  write(offset: number, width: Width, value: number): void {
    if (offset >= QUEUE_ADDRESSES && offset < QUEUE_ADDRESSES_END && width === 4 && offset % 4 === 0) {
      const queue = this.#queue;
      if (queue !== undefined && !queue.enabled) queue.addresses[(offset - QUEUE_ADDRESSES) / 4] = value;
    } else if (WIDTHS[offset] === width) this.#setField(offset, value);
  }

  transferState(state: StateTransfer): void {
    this.#deviceFeatureSelect = state.doubleword('deviceFeatureSelect', this.#deviceFeatureSelect);
    this.#driverFeatureSelect = state.doubleword('driverFeatureSelect', this.#driverFeatureSelect);
    this.#queueSelect = state.word('queueSelect', this.#queueSelect);
    this.#configVector = state.word('configVector', this.#configVector);
    for (const [i, vector] of this.#queueVectors.entries())
      this.#queueVectors[i] = state.word(`queueVector${i}`, vector);
    this.#core.transferState(state);
  }

  reset(): void {
    this.#deviceFeatureSelect = this.#driverFeatureSelect = this.#queueSelect = 0;
    this.#configVector = NO_VECTOR;
    this.#queueVectors.fill(NO_VECTOR);
    this.#core.reset();
  }

  get #queue(): QueueSetup | undefined {
    return this.#core.queues[this.#queueSelect];
  }

  #field(offset: number): number {
    switch (offset) {
      case DEVICE_FEATURE_SELECT:
        return this.#deviceFeatureSelect;
      case DEVICE_FEATURE:
        return featureWord(this.#core.offered, this.#deviceFeatureSelect);
      case DRIVER_FEATURE_SELECT:
        return this.#driverFeatureSelect;
      case DRIVER_FEATURE:
        return featureWord(this.#core.features, this.#driverFeatureSelect);
      case CONFIG_MSIX_VECTOR:
        return this.#configVector;
      case NUM_QUEUES:
        return this.#core.queues.length;
      case DEVICE_STATUS:
        return this.#core.status;
      case CONFIG_GENERATION:
        return this.#core.configGeneration;
      case QUEUE_SELECT:
        return this.#queueSelect;
      default:
        return this.#queueField(offset);
    }
  }

  /** Fields of the selected queue; a queue that does not exist has size 0. */
  #queueField(offset: number): number {
    const queue = this.#queue;
    switch (offset) {
      case QUEUE_SIZE:
        return queue?.size ?? 0;
      case QUEUE_MSIX_VECTOR:
        return this.queueVector(this.#queueSelect);
      case QUEUE_ENABLE:
        return queue?.enabled === true ? 1 : 0;
      default:
        return queue === undefined ? 0 : this.#queueSelect;
    }
  }

  #setField(offset: number, value: number): void {
    switch (offset) {
      case DEVICE_FEATURE_SELECT:
        this.#deviceFeatureSelect = value;
        return;
      case DRIVER_FEATURE_SELECT:
        this.#driverFeatureSelect = value;
        return;
      case DRIVER_FEATURE:
        this.#core.acceptFeatures(this.#driverFeatureSelect, value);
        return;
      case CONFIG_MSIX_VECTOR:
        this.#configVector = this.#existing(value);
        return;
      case DEVICE_STATUS:
        if (value === 0) this.reset();
        else this.#core.setStatus(value);
        return;
      case QUEUE_SELECT:
        this.#queueSelect = value;
        return;
      default:
        this.#setQueueField(offset, value);
    }
  }

  #setQueueField(offset: number, value: number): void {
    const index = this.#queueSelect;
    if (this.#queue === undefined) return;
    if (offset === QUEUE_SIZE) this.#core.setQueueSize(index, value);
    else if (offset === QUEUE_MSIX_VECTOR) this.#queueVectors[index] = this.#existing(value);
    else if (offset === QUEUE_ENABLE && value === 1) this.#core.enableQueue(index);
  }

  /** A vector that cannot be had reads back as none (§4.1.5.1.2). */
  #existing(vector: number): number {
    return vector < this.#vectors ? vector : NO_VECTOR;
  }
}

function featureWord(features: bigint, word: number): number {
  return word > 1 ? 0 : Number((features >> (32n * BigInt(word))) & 0xffff_ffffn);
}
