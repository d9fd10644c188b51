import type { GuestMemory, PhysicalAddress } from '../contract.ts';
import type { Chain } from './device.ts';

/** A buffer that lies wholly in RAM. */
export interface Segment {
  readonly at: PhysicalAddress;
  readonly length: number;
}

/** The queue that a chain came from. */
export interface ChainOwner {
  readonly memory: GuestMemory;
  readonly closed: boolean;
  complete(head: number, written: number): void;
}

/** Buffers of one request as the queue found them. */
export interface Buffers {
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

const totalLength = (segments: readonly Segment[]): number => segments.reduce((sum, s) => sum + s.length, 0);

/** A request in guest memory. Views are made at the moment of each copy, never kept. */
export class MemoryChain implements Chain {
  readonly readableLength: number;
  readonly writableLength: number;
  readonly #owner: ChainOwner;
  readonly #buffers: Buffers;
  #completed = false;

  constructor(owner: ChainOwner, buffers: Buffers) {
    this.#owner = owner;
    this.#buffers = buffers;
    this.readableLength = totalLength(buffers.readable);
    this.writableLength = totalLength(buffers.writable);
  }

  read(offset: number, into: Uint8Array): number {
    const { memory } = this.#owner;
    return this.#copy(this.#buffers.readable, offset, into.length, (at, length, done) => {
      const from = memory.readable(at, length);
      if (from !== undefined) into.set(from, done);
    });
  }

  write(offset: number, from: Uint8Array): number {
    const { memory } = this.#owner;
    return this.#copy(this.#buffers.writable, offset, from.length, (at, length, done) => {
      memory.writable(at, length)?.set(from.subarray(done, done + length));
    });
  }

  complete(written: number): void {
    if (this.#completed || this.#owner.closed) return;
    this.#completed = true;
    this.#owner.complete(this.#buffers.head, written);
  }

  /** Calls `move` for each contiguous piece of `length` bytes at `offset`; returns how many bytes there were. */
  #copy(
    segments: readonly Segment[],
    offset: number,
    length: number,
    move: (at: PhysicalAddress, length: number, done: number) => void,
  ): number {
    if (this.#owner.closed || this.#completed) return 0;
    let skip = offset;
    let done = 0;
    for (const segment of segments) {
      if (done === length) break;
      const piece = Math.min(segment.length - skip, length - done);
      if (piece > 0) {
        move(segment.at + skip, piece, done);
        done += piece;
      }
      skip = Math.max(0, skip - segment.length);
    }
    return done;
  }
}
