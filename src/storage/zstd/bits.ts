/** The data contradicts the format. */
export class ZstdProblem extends Error {}

/** So say most who find that: which table or length it is helps nobody. */
export class Damaged extends ZstdProblem {
  constructor() {
    super('the data is damaged');
  }
}

/** Bits of bytes from the first on, each byte from its lowest bit on (RFC 8878, 4.1.1). */
export class ForwardBits {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next bits, 16 at most; they stay. */
  peek(count: number): number {
    const byte = this.#at >>> 3;
    const [low, middle, high] = [this.#bytes[byte] ?? 0, this.#bytes[byte + 1] ?? 0, this.#bytes[byte + 2] ?? 0];
    return ((low | (middle << 8) | (high << 16)) >>> (this.#at & 7)) & ((1 << count) - 1);
  }

  skip(count: number): void {
    this.#at += count;
    if (this.#at > this.#bytes.length * 8) throw new Damaged();
  }

  /** Bytes of which bits were taken. */
  get length(): number {
    return Math.ceil(this.#at / 8);
  }
}

/** Bits of bytes from the last on: what was written last is read first (RFC 8878, 4.1). Before the first bit there are zeros. */
export class BackwardBits {
  readonly #bytes: Uint8Array;
  /** Bits that were not read yet; below 0 when more were asked for than there are. */
  left: number;

  constructor(bytes: Uint8Array) {
    const last = bytes.at(-1) ?? 0;
    // The highest bit that is set is the end mark.
    if (last === 0) throw new Damaged();
    this.#bytes = bytes;
    this.left = bytes.length * 8 - Math.clz32(last) + 23;
  }

  /** The next bits, 24 at most; they stay. */
  peek(count: number): number {
    const from = this.left - count;
    if (from < 0) return this.left <= 0 ? 0 : (this.#at(0) << -from) & ((1 << count) - 1);
    return (this.#at(from >>> 3) >>> (from & 7)) & ((1 << count) - 1);
  }

  read(count: number): number {
    const bits = this.peek(count);
    this.left -= count;
    return bits;
  }

  /** Four bytes. Bits of which only some are left are in the first three. */
  #at(byte: number): number {
    const bytes = this.#bytes;
    return (
      bytes[byte]! | ((bytes[byte + 1] ?? 0) << 8) | ((bytes[byte + 2] ?? 0) << 16) | ((bytes[byte + 3] ?? 0) << 24)
    );
  }
}
