import type { StateTransfer } from './state.ts';

/** First in, first out; without limit. */
export class ByteQueue {
  #bytes = new Uint8Array(64);
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    if (this.#start + this.#length + bytes.length > this.#bytes.length) this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#start + this.#length);
    this.#length += bytes.length;
  }

  /** The oldest byte; 0 when there is none. */
  shift(): number {
    if (this.#length === 0) return 0;
    this.#length--;
    return this.#bytes[this.#start++]!;
  }

  /** Removes and returns at most `count` bytes. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.slice(this.#start, this.#start + Math.min(count, this.#length));
    this.#start += taken.length;
    this.#length -= taken.length;
    return taken;
  }

  /** At most `most` bytes come out of a snapshot. */
  transferState(state: StateTransfer, name: string, most: number): void {
    const bytes = state.bytes(name, this.#bytes.slice(this.#start, this.#start + this.#length), most);
    if (!state.restoring) return;
    this.clear();
    this.push(bytes);
  }

  clear(): void {
    this.#start = 0;
    this.#length = 0;
  }

  #makeRoom(extra: number): void {
    const needed = this.#length + extra;
    const bytes = needed > this.#bytes.length / 2 ? new Uint8Array(needed * 2) : this.#bytes;
    bytes.set(this.#bytes.subarray(this.#start, this.#start + this.#length));
    this.#bytes = bytes;
    this.#start = 0;
  }
}
