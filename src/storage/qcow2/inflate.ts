/**
 * Decompresses deflate (RFC 1951) into a buffer of known size.
 *
 * The platform's `DecompressionStream` will not do: what follows a compressed cluster in its last sector belongs to
 * others, and the stream turns trailing bytes into an error that may swallow what it has decompressed.
 */

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
/** The order in which a dynamic block gives the lengths of the code-length code (§3.2.7). */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const MAXIMUM_CODE = 15;
const FAST_BITS = 9;
const END_OF_BLOCK = 256;

/** Codes of up to `FAST_BITS` bits by table; longer ones bit by bit, in canonical order. */
interface Huffman {
  /** By the next bits: symbol << 4 | length, or 0. */
  readonly fast: Uint16Array;
  /** How many codes have each length. */
  readonly counts: Uint16Array;
  /** Symbols by length, then by value. */
  readonly symbols: Uint16Array;
}

function reverse(code: number, bits: number): number {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) reversed |= ((code >>> bit) & 1) << (bits - 1 - bit);
  return reversed;
}

/** Undefined when the lengths claim more codes than there are. */
function huffman(lengths: Uint8Array): Huffman | undefined {
  const counts = new Uint16Array(MAXIMUM_CODE + 1);
  for (const length of lengths) counts[length]! += 1;
  counts[0] = 0;
  const offsets = new Uint16Array(MAXIMUM_CODE + 2);
  const codes = new Uint16Array(MAXIMUM_CODE + 2);
  for (let length = 1, left = 1; length <= MAXIMUM_CODE; length++) {
    left = left * 2 - counts[length]!;
    if (left < 0) return undefined;
    offsets[length + 1] = offsets[length]! + counts[length]!;
    codes[length + 1] = (codes[length]! + counts[length]!) << 1;
  }
  const symbols = new Uint16Array(lengths.length);
  const fast = new Uint16Array(1 << FAST_BITS);
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue;
    symbols[offsets[length]!++] = symbol;
    const code = codes[length]!++;
    if (length > FAST_BITS) continue;
    for (let at = reverse(code, length); at < fast.length; at += 1 << length) fast[at] = (symbol << 4) | length;
  }
  return { fast, counts, symbols };
}

const filled = (...runs: readonly (readonly [count: number, length: number])[]): Uint8Array =>
  Uint8Array.from(runs.flatMap(([count, length]) => Array<number>(count).fill(length)));
const FIXED_LITERALS = huffman(filled([144, 8], [112, 9], [24, 7], [8, 8]))!;
const FIXED_DISTANCES = huffman(filled([30, 5]))!;

class InflateError extends Error {}

function fail(problem: string): never {
  throw new InflateError(problem);
}

class Inflater {
  readonly #from: Uint8Array;
  readonly #into: Uint8Array;
  #at = 0;
  #done = 0;
  #bits = 0;
  #held = 0;

  constructor(from: Uint8Array, into: Uint8Array) {
    this.#from = from;
    this.#into = into;
  }

  /** Returns how many bytes came out; stops when the buffer is full. */
  run(): number {
    for (let last = false; !last && this.#done < this.#into.length; ) {
      last = this.#take(1) === 1;
      const kind = this.#take(2);
      if (kind === 0) this.#stored();
      else if (kind === 1) this.#compressed(FIXED_LITERALS, FIXED_DISTANCES);
      else if (kind === 2) this.#dynamic();
      else fail('an unknown kind of block');
    }
    if (this.#at - Math.floor(this.#held / 8) > this.#from.length) fail('the data ends too early');
    return this.#done;
  }

  /** Makes at least `count` bits available; behind the input's end they are zeros, as far as a code may look ahead. */
  #fill(count: number): void {
    while (this.#held < count) {
      if (this.#at >= this.#from.length + 4) fail('the data ends too early');
      this.#bits |= (this.#from[this.#at++] ?? 0) << this.#held;
      this.#held += 8;
    }
  }

  /** At most 16 bits. */
  #take(count: number): number {
    this.#fill(count);
    const value = this.#bits & ((1 << count) - 1);
    this.#drop(count);
    return value;
  }

  #drop(count: number): void {
    this.#bits >>>= count;
    this.#held -= count;
  }

  #symbol(code: Huffman): number {
    this.#fill(MAXIMUM_CODE);
    const entry = code.fast[this.#bits & ((1 << FAST_BITS) - 1)]!;
    if (entry !== 0) {
      this.#drop(entry & 15);
      return entry >>> 4;
    }
    let value = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= MAXIMUM_CODE; length++) {
      value |= (this.#bits >>> (length - 1)) & 1;
      const count = code.counts[length]!;
      if (value - first < count) {
        this.#drop(length);
        return code.symbols[index + value - first]!;
      }
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    return fail('a code that no symbol has');
  }

  #stored(): void {
    this.#drop(this.#held % 8);
    const length = this.#take(16);
    if (this.#take(16) !== (~length & 0xffff)) fail('the length of a stored block is wrong');
    // Whole bytes that were read ahead go back.
    this.#at -= this.#held / 8;
    this.#bits = this.#held = 0;
    if (this.#at + length > this.#from.length) fail('the data ends too early');
    const bytes = this.#from.subarray(this.#at, this.#at + Math.min(length, this.#into.length - this.#done));
    this.#into.set(bytes, this.#done);
    this.#done += bytes.length;
    this.#at += length;
  }

  #dynamic(): void {
    const literals = this.#take(5) + 257;
    const distances = this.#take(5) + 1;
    const lengths = new Uint8Array(CODE_LENGTH_ORDER.length);
    for (let i = 0, count = this.#take(4) + 4; i < count; i++) lengths[CODE_LENGTH_ORDER[i]!] = this.#take(3);
    const code = huffman(lengths) ?? fail('too many code lengths');
    const all = this.#codeLengths(code, literals + distances);
    this.#compressed(
      huffman(all.subarray(0, literals)) ?? fail('too many literal codes'),
      huffman(all.subarray(literals)) ?? fail('too many distance codes'),
    );
  }

  #codeLengths(code: Huffman, count: number): Uint8Array {
    const lengths = new Uint8Array(count);
    for (let at = 0; at < count; ) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[at++] = symbol;
        continue;
      }
      if (symbol === 16 && at === 0) fail('nothing to repeat');
      const value = symbol === 16 ? lengths[at - 1]! : 0;
      const times = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
      if (at + times > count) fail('too many code lengths');
      lengths.fill(value, at, (at += times));
    }
    return lengths;
  }

  #compressed(literals: Huffman, distances: Huffman): void {
    const into = this.#into;
    while (this.#done < into.length) {
      const symbol = this.#symbol(literals);
      if (symbol < END_OF_BLOCK) into[this.#done++] = symbol;
      else if (symbol === END_OF_BLOCK) return;
      else this.#copy(symbol - END_OF_BLOCK - 1, distances);
    }
  }

  #copy(lengthCode: number, distances: Huffman): void {
    if (lengthCode >= LENGTH_BASE.length) fail('an unknown length');
    const length = LENGTH_BASE[lengthCode]! + this.#take(LENGTH_BITS[lengthCode]!);
    const code = this.#symbol(distances);
    if (code >= DISTANCE_BASE.length) fail('an unknown distance');
    const distance = DISTANCE_BASE[code]! + this.#take(DISTANCE_BITS[code]!);
    if (distance > this.#done) fail('a distance before the start');
    const into = this.#into;
    const end = Math.min(this.#done + length, into.length);
    for (let at = this.#done; at < end; at++) into[at] = into[at - distance]!;
    this.#done = end;
  }
}

/** Fills `into` from the start of a deflate stream; what stands behind in `from` is ignored. Returns what is wrong, if anything. */
export function inflate(from: Uint8Array, into: Uint8Array): string | undefined {
  try {
    return new Inflater(from, into).run() === into.length ? undefined : 'the data is too short';
  } catch (error) {
    if (error instanceof InflateError) return error.message;
    throw error;
  }
}
