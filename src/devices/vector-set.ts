import { load, store } from './little-endian.ts';
import type { StateTransfer } from './state.ts';

/** A set of interrupt vectors, 0–255, laid out as the APIC's 256-bit registers. */
export class VectorSet {
  readonly #words = new Uint32Array(8);

  add(vector: number): void {
    this.#words[vector >> 5]! |= 1 << (vector & 31);
  }

  delete(vector: number): void {
    this.#words[vector >> 5]! &= ~(1 << (vector & 31));
  }

  has(vector: number): boolean {
    return (this.#words[vector >> 5]! & (1 << (vector & 31))) !== 0;
  }

  /** The largest member, -1 when empty. */
  highest(): number {
    for (let index = 7; index >= 0; index--) {
      const word = this.#words[index]!;
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }

  /** 32 vectors from 32 × `index` up, one bit each. */
  word(index: number): number {
    return this.#words[index]!;
  }

  /** As 32 bytes, low vectors first. */
  transferState(state: StateTransfer, name: string): void {
    const bytes = new Uint8Array(this.#words.byteLength);
    for (const [i, word] of this.#words.entries()) store(bytes, 4 * i, 4, word);
    state.file(name, bytes);
    for (const i of this.#words.keys()) this.#words[i] = load(bytes, 4 * i, 4);
  }

  clear(): void {
    this.#words.fill(0);
  }
}
