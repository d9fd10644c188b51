/** Shared memory through which one thread gives contents to another, which may be waiting for them. */

/** Words of a slot: whether it is full, the number of what is in it, its length. */
const HEADER_WORDS = 3;
const [STATE, NUMBER, LENGTH] = [0, 1, 2];
const [FREE, FULL] = [0, 1];

const MOST_SLOTS = 16;
/** Where slots are large. */
const FEW_SLOTS = 2;
const ENOUGH_BYTES = 2 ** 22;
/** For a line of text, at least. */
const LEAST_BYTES = 4096;

/** One thread puts, another one takes; both have an object of their own over the same memory. */
export class Staging {
  readonly shared: SharedArrayBuffer;
  /** Of one slot. */
  readonly #bytes: number;
  readonly #slots: number;
  readonly #headers: Int32Array;

  /** Memory for contents of up to so many bytes. */
  static for(most: number): Staging {
    const bytes = Math.ceil(Math.max(most, LEAST_BYTES) / 4) * 4;
    const slots = Math.min(MOST_SLOTS, Math.max(FEW_SLOTS, Math.floor(ENOUGH_BYTES / bytes)));
    return new Staging(new SharedArrayBuffer(slots * (HEADER_WORDS * 4 + bytes)), bytes);
  }

  /** `bytes`: as the other end has it. */
  constructor(shared: SharedArrayBuffer, bytes: number) {
    this.shared = shared;
    this.#bytes = bytes;
    this.#slots = shared.byteLength / (HEADER_WORDS * 4 + bytes);
    this.#headers = new Int32Array(shared, 0, this.#slots * HEADER_WORDS);
  }

  get slotBytes(): number {
    return this.#bytes;
  }

  /** False: there is no room now. The content has at most `slotBytes`. */
  put(number: number, content: Uint8Array): boolean {
    for (let slot = 0; slot < this.#slots; slot++) {
      const header = slot * HEADER_WORDS;
      if (Atomics.load(this.#headers, header + STATE) !== FREE) continue;
      this.#content(slot, content.length).set(content);
      this.#headers[header + NUMBER] = number;
      this.#headers[header + LENGTH] = content.length;
      Atomics.store(this.#headers, header + STATE, FULL);
      return true;
    }
    return false;
  }

  /** Gives all that is there to `receive`, which must not keep it; how many these were. */
  take(receive: (number: number, content: Uint8Array) => void): number {
    let taken = 0;
    for (let slot = 0; slot < this.#slots; slot++) {
      const header = slot * HEADER_WORDS;
      if (Atomics.load(this.#headers, header + STATE) !== FULL) continue;
      const [number, length] = [this.#headers[header + NUMBER]!, this.#headers[header + LENGTH]!];
      receive(number, this.#content(slot, length));
      Atomics.store(this.#headers, header + STATE, FREE);
      taken += 1;
    }
    return taken;
  }

  #content(slot: number, length: number): Uint8Array {
    return new Uint8Array(this.shared, this.#headers.byteLength + slot * this.#bytes, length);
  }
}
