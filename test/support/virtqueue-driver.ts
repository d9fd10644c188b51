/** The driver's side of a split virtqueue (virtio 1.2 §2.7), stepped by hand. */
import type { TestRam } from './test-ram.ts';

export interface QueueDriverOptions {
  readonly size: number;
  /** Where rings and buffers are put, and how much room there is. */
  readonly base: number;
  readonly room?: number;
  readonly eventIndex?: boolean;
  readonly indirect?: boolean;
}

/** A buffer list as the driver sees it: what the device reads, and how much it may write into each buffer. */
export interface Request {
  readonly out?: readonly Uint8Array[];
  readonly in?: readonly number[];
}

export interface Used {
  readonly token: number;
  readonly length: number;
  /** The device-writable buffers, joined. */
  readonly data: Uint8Array;
}

interface Outstanding {
  readonly token: number;
  readonly descriptors: readonly number[];
  readonly writable: readonly { at: number; length: number }[];
}

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

export class QueueDriver {
  readonly size: number;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  readonly #ram: TestRam;
  readonly #options: QueueDriverOptions;
  readonly #free: number[];
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #heap: number;
  readonly #heapEnd: number;
  #heapNext: number;
  #availableIndex = 0;
  #usedIndex = 0;
  #tokens = 0;

  constructor(ram: TestRam, options: QueueDriverOptions) {
    const { size, base } = options;
    this.#ram = ram;
    this.#options = options;
    this.size = size;
    this.descriptors = base;
    this.available = base + 16 * size;
    this.used = (this.available + 6 + 2 * size + 3) & ~3;
    this.#heap = this.#heapNext = (this.used + 6 + 8 * size + 15) & ~15;
    this.#heapEnd = base + (options.room ?? 0x10_0000);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  get freeDescriptors(): number {
    return this.#free.length;
  }

  /** Puts a request into the ring; false when there is no room. Returns whether the device wants to be notified. */
  add(request: Request): { readonly token: number; readonly notify: boolean } | undefined {
    const buffers = this.#place(request);
    const needed = this.#options.indirect === true ? 1 : buffers.length;
    if (buffers.length === 0 || needed > this.#free.length) return undefined;
    const indices = Array.from({ length: needed }, () => this.#free.pop()!);
    if (this.#options.indirect === true) this.#writeIndirect(indices[0]!, buffers);
    else this.#writeChain(this.descriptors, buffers, indices);
    const token = ++this.#tokens;
    this.#outstanding.set(indices[0]!, { token, descriptors: indices, writable: buffers.filter((b) => b.write) });
    return { token, notify: this.#publish(indices[0]!) };
  }

  /** Takes one answer from the used ring. */
  poll(): Used | undefined {
    const { view } = this.#ram;
    if (view.getUint16(this.used + 2, true) === this.#usedIndex) {
      this.#askForInterrupt();
      return undefined;
    }
    const entry = this.used + 4 + 8 * (this.#usedIndex % this.size);
    const head = view.getUint32(entry, true);
    const length = view.getUint32(entry + 4, true);
    const found = this.#outstanding.get(head);
    if (found === undefined) throw new Error(`the device used ${head}, which is not outstanding`);
    this.#usedIndex = (this.#usedIndex + 1) & 0xffff;
    this.#outstanding.delete(head);
    this.#free.push(...found.descriptors);
    if (this.#outstanding.size === 0) this.#heapNext = this.#heap;
    return { token: found.token, length, data: this.#join(found.writable) };
  }

  /** All answers that are there. */
  pollAll(): Used[] {
    const all: Used[] = [];
    for (let used = this.poll(); used !== undefined; used = this.poll()) all.push(used);
    return all;
  }

  #place({ out = [], in: writable = [] }: Request) {
    const readable = out.map((bytes) => {
      const at = this.#allocate(bytes.length);
      this.#ram.bytes.set(bytes, at);
      return { at, length: bytes.length, write: false };
    });
    return [...readable, ...writable.map((length) => ({ at: this.#allocate(length), length, write: true }))];
  }

  #allocate(length: number): number {
    const at = this.#heapNext;
    this.#heapNext = (at + length + 15) & ~15;
    if (this.#heapNext > this.#heapEnd) throw new Error('the test driver has no memory left');
    return at;
  }

  #writeChain(table: number, buffers: readonly { at: number; length: number; write: boolean }[], indices: number[]) {
    for (const [i, buffer] of buffers.entries()) {
      const last = i === buffers.length - 1;
      const flags = (last ? 0 : NEXT) | (buffer.write ? WRITE : 0);
      this.#writeDescriptor(table + 16 * indices[i]!, buffer.at, buffer.length, flags, last ? 0 : indices[i + 1]!);
    }
  }

  #writeIndirect(index: number, buffers: readonly { at: number; length: number; write: boolean }[]) {
    const table = this.#allocate(16 * buffers.length);
    const indices = buffers.map((_, i) => i);
    this.#writeChain(table, buffers, indices);
    this.#writeDescriptor(this.descriptors + 16 * index, table, 16 * buffers.length, INDIRECT, 0);
  }

  #writeDescriptor(offset: number, at: number, length: number, flags: number, next: number): void {
    const { view } = this.#ram;
    view.setBigUint64(offset, BigInt(at), true);
    view.setUint32(offset + 8, length, true);
    view.setUint16(offset + 12, flags, true);
    view.setUint16(offset + 14, next, true);
  }

  #publish(head: number): boolean {
    const { view } = this.#ram;
    const before = this.#availableIndex;
    view.setUint16(this.available + 4 + 2 * (before % this.size), head, true);
    this.#availableIndex = (before + 1) & 0xffff;
    view.setUint16(this.available + 2, this.#availableIndex, true);
    if (this.#options.eventIndex !== true) return (view.getUint16(this.used, true) & 1) === 0;
    return view.getUint16(this.used + 4 + 8 * this.size, true) === before;
  }

  #askForInterrupt(): void {
    if (this.#options.eventIndex === true)
      this.#ram.view.setUint16(this.available + 4 + 2 * this.size, this.#usedIndex, true);
  }

  #join(buffers: readonly { at: number; length: number }[]): Uint8Array {
    const joined = new Uint8Array(buffers.reduce((sum, b) => sum + b.length, 0));
    let done = 0;
    for (const { at, length } of buffers) {
      joined.set(this.#ram.bytes.subarray(at, at + length), done);
      done += length;
    }
    return joined;
  }
}
