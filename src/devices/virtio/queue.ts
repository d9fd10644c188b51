import type { GuestMemory, PhysicalAddress } from '../contract.ts';
import { load, store } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import { type ChainOwner, MemoryChain, type Segment } from './chain.ts';
import type { Chain, VirtQueue } from './device.ts';

/** Descriptor flags (§2.7.5). */
const DESC_F_NEXT = 1;
const DESC_F_WRITE = 2;
const DESC_F_INDIRECT = 4;
const DESCRIPTOR_SIZE = 16;

/** The available ring (§2.7.6): flags, idx, ring, used_event. */
const AVAIL_IDX = 2;
const AVAIL_RING = 4;
const AVAIL_ENTRY_SIZE = 2;
const AVAIL_F_NO_INTERRUPT = 1;

/** The used ring (§2.7.8): flags, idx, ring, avail_event. */
const USED_IDX = 2;
const USED_RING = 4;
const USED_ENTRY_SIZE = 8;

const EVENT_SIZE = 2;

/** Drivers may put more buffers into an indirect table than the queue has entries; this many are served. */
const MAXIMUM_INDIRECT = 1024;
/** §2.7.5: no chain is longer than 2^32 bytes in total. */
const MAXIMUM_CHAIN_BYTES = 2 ** 32;

/** Where the driver has put a queue. */
export interface QueueLayout {
  /** Entries: a power of two. */
  readonly size: number;
  readonly descriptors: PhysicalAddress;
  readonly available: PhysicalAddress;
  readonly used: PhysicalAddress;
}

export interface QueueOptions {
  readonly memory: GuestMemory;
  /** VIRTIO_F_EVENT_IDX was accepted. */
  readonly eventIndex: boolean;
  /** VIRTIO_F_INDIRECT_DESC was accepted. */
  readonly indirect: boolean;
  /** Tells the driver that buffers were used. */
  interrupt(): void;
  /** The driver broke the queue; nothing more comes out of it. */
  failed(reason: string): void;
}

interface Descriptor {
  readonly at: PhysicalAddress;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

const descriptorAt = (table: Uint8Array, index: number): Descriptor => {
  const offset = index * DESCRIPTOR_SIZE;
  return {
    at: load(table, offset + 4, 4) * 2 ** 32 + load(table, offset, 4),
    length: load(table, offset + 8, 4),
    flags: load(table, offset + 12, 2),
    next: load(table, offset + 14, 2),
  };
};

const overlap = (a: PhysicalAddress, aSize: number, b: PhysicalAddress, bSize: number): boolean =>
  a < b + bSize && b < a + aSize;

/**
 * A split virtqueue (§2.7). Everything in it was written by the guest and is checked when it is used: a wrong
 * address, a loop, an impossible index breaks the queue, once, and costs no more than one walk of the chain limit.
 */
export class SplitQueue implements VirtQueue, ChainOwner {
  readonly #layout: QueueLayout;
  readonly #options: QueueOptions;
  #closed = false;
  /** Free-running 16-bit counters. */
  #nextAvailable = 0;
  #nextUsed = 0;

  constructor(layout: QueueLayout, options: QueueOptions) {
    this.#layout = layout;
    this.#options = options;
  }

  get memory(): GuestMemory {
    return this.#options.memory;
  }

  /** Broken, or given up by a reset. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether the three areas are aligned, in RAM and apart; if not, the queue is broken. */
  check(): boolean {
    const { descriptors, available, used, size } = this.#layout;
    if (descriptors % DESCRIPTOR_SIZE !== 0 || available % 2 !== 0 || used % 4 !== 0)
      return this.#refuse('the rings are not aligned');
    if (this.#descriptors() === undefined || this.#available() === undefined)
      return this.#refuse('the rings are not in memory');
    if (this.memory.readable(used, this.#usedSize) === undefined) return this.#refuse('the used ring is not in memory');
    const clash =
      overlap(used, this.#usedSize, descriptors, size * DESCRIPTOR_SIZE) ||
      overlap(used, this.#usedSize, available, this.#availableSize);
    return clash ? this.#refuse('the rings overlap') : true;
  }

  pop(): Chain | undefined {
    if (this.#closed) return undefined;
    const { size } = this.#layout;
    const available = this.#available();
    if (available === undefined) return this.#broken('the available ring is not in memory');
    const waiting = (load(available, AVAIL_IDX, 2) - this.#nextAvailable) & 0xffff;
    if (waiting > size) return this.#broken('the available index ran ahead');
    if (waiting === 0) {
      this.#askForNotification();
      return undefined;
    }
    const slot = this.#nextAvailable & (size - 1);
    const chain = this.#walk(load(available, AVAIL_RING + slot * AVAIL_ENTRY_SIZE, 2));
    if (chain !== undefined) this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    return chain;
  }

  fail(reason: string): void {
    this.#broken(reason);
  }

  close(): void {
    this.#closed = true;
  }

  complete(head: number, written: number): void {
    const { size, used } = this.#layout;
    const ring = this.memory.writable(used, this.#usedSize);
    if (ring === undefined) {
      this.#broken('the used ring is not in memory');
      return;
    }
    const entry = USED_RING + (this.#nextUsed & (size - 1)) * USED_ENTRY_SIZE;
    store(ring, entry, 4, head);
    store(ring, entry + 4, 4, written);
    const before = this.#nextUsed;
    this.#nextUsed = (before + 1) & 0xffff;
    store(ring, USED_IDX, 2, this.#nextUsed);
    if (this.#wantsInterrupt(before)) this.#options.interrupt();
  }

  /** Where it is and how it works is its transport's state. */
  transferState(state: StateTransfer): void {
    this.#nextAvailable = state.word('nextAvailable', this.#nextAvailable);
    this.#nextUsed = state.word('nextUsed', this.#nextUsed);
    this.#closed = state.flag('closed', this.#closed);
  }

  get #availableSize(): number {
    return AVAIL_RING + this.#layout.size * AVAIL_ENTRY_SIZE + EVENT_SIZE;
  }

  get #usedSize(): number {
    return USED_RING + this.#layout.size * USED_ENTRY_SIZE + EVENT_SIZE;
  }

  #descriptors(): Uint8Array | undefined {
    return this.memory.readable(this.#layout.descriptors, this.#layout.size * DESCRIPTOR_SIZE);
  }

  #available(): Uint8Array | undefined {
    return this.memory.readable(this.#layout.available, this.#availableSize);
  }

  /** §2.7.10: with event indexes the driver notifies when its index passes avail_event. */
  #askForNotification(): void {
    if (!this.#options.eventIndex) return;
    const { size, used } = this.#layout;
    const event = this.memory.writable(used + USED_RING + size * USED_ENTRY_SIZE, EVENT_SIZE);
    if (event !== undefined) store(event, 0, 2, this.#nextAvailable);
  }

  /** §2.7.7: whether the entry that was just used, the only one since `before`, is one to interrupt for. */
  #wantsInterrupt(before: number): boolean {
    const available = this.#available();
    if (available === undefined) return false;
    if (!this.#options.eventIndex) return (load(available, 0, 2) & AVAIL_F_NO_INTERRUPT) === 0;
    return load(available, AVAIL_RING + this.#layout.size * AVAIL_ENTRY_SIZE, 2) === before;
  }

  #walk(head: number): Chain | undefined {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.#descriptors();
    let limit = this.#layout.size;
    let nested = false;
    let bytes = 0;
    for (let index = head, count = 0; ; count++) {
      if (table === undefined) return this.#broken('a descriptor table is not in memory');
      if (count >= limit) return this.#broken('a descriptor chain does not end');
      if (index * DESCRIPTOR_SIZE >= table.length) return this.#broken('a descriptor is outside its table');
      const descriptor = descriptorAt(table, index);
      if ((descriptor.flags & DESC_F_INDIRECT) !== 0) {
        if (nested || !this.#mayBeIndirect(descriptor)) return this.#broken('an indirect descriptor is malformed');
        table = this.memory.readable(descriptor.at, descriptor.length);
        limit = count + 1 + MAXIMUM_INDIRECT;
        nested = true;
        index = 0;
        continue;
      }
      const reason = this.#refusal(descriptor, writable.length > 0);
      if (reason !== undefined) return this.#broken(reason);
      bytes += descriptor.length;
      if (bytes > MAXIMUM_CHAIN_BYTES) return this.#broken('a descriptor chain is too long');
      ((descriptor.flags & DESC_F_WRITE) !== 0 ? writable : readable).push(descriptor);
      if ((descriptor.flags & DESC_F_NEXT) === 0) return new MemoryChain(this, { head, readable, writable });
      index = descriptor.next;
    }
  }

  #mayBeIndirect({ flags, length }: Descriptor): boolean {
    return this.#options.indirect && (flags & DESC_F_NEXT) === 0 && length > 0 && length % DESCRIPTOR_SIZE === 0;
  }

  /** What is wrong with a buffer, if anything. */
  #refusal({ at, length, flags }: Descriptor, behindWritable: boolean): string | undefined {
    if (length === 0) return 'a buffer is empty';
    if (behindWritable && (flags & DESC_F_WRITE) === 0) return 'a readable buffer follows a writable one';
    return this.memory.readable(at, length) === undefined ? 'a buffer is not in memory' : undefined;
  }

  #refuse(reason: string): false {
    this.#broken(reason);
    return false;
  }

  #broken(reason: string): undefined {
    if (this.#closed) return undefined;
    this.#closed = true;
    this.#options.failed(reason);
    return undefined;
  }
}
