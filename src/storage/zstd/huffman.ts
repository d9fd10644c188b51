/** Literals by Huffman codes (RFC 8878, 4.2). */
import { BackwardBits, Damaged } from './bits.ts';
import { nextState, readTable } from './fse.ts';

export interface HuffmanTable {
  /** Bits of the longest code. */
  readonly log: number;
  /** By the next `log` bits: the symbol, and the bits that its code has. */
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
}

const LONGEST_CODE = 11;
const MOST_WEIGHTS = 255;

/** Reads a table from the start of `bytes`, and how many of them it took. */
export function readHuffman(bytes: Uint8Array): { readonly table: HuffmanTable; readonly length: number } {
  const [head] = bytes;
  const count = (head ?? 0) - 127;
  const length = 1 + (count > 0 ? Math.ceil(count / 2) : (head ?? 0));
  if (head === undefined || length > bytes.length) throw new Damaged();
  const coded = bytes.subarray(1, length);
  return { table: tableOf(count > 0 ? plainWeights(coded, count) : codedWeights(coded)), length };
}

const plainWeights = (bytes: Uint8Array, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (bytes[i >>> 1]! >>> (i % 2 === 0 ? 4 : 0)) & 15);

function codedWeights(bytes: Uint8Array): number[] {
  const { table, length } = readTable(bytes, 6, MOST_WEIGHTS);
  const stream = new BackwardBits(bytes.subarray(length));
  const weights: number[] = [];
  // Two states take turns; the one whose bits are not there any more ends it.
  let [state, other] = [stream.read(table.log), stream.read(table.log)];
  while (weights.length < MOST_WEIGHTS) {
    weights.push(table.symbols[state]!);
    const next = nextState(table, state, stream);
    if (stream.left < 0) {
      weights.push(table.symbols[other]!);
      return weights;
    }
    [state, other] = [other, next];
  }
  throw new Damaged();
}

function tableOf(weights: number[]): HuffmanTable {
  const sum = weights.reduce((all, weight) => all + ((1 << weight) >>> 1), 0);
  const log = 32 - Math.clz32(sum);
  const last = (1 << log) - sum;
  if (sum === 0 || log > LONGEST_CODE || (last & (last - 1)) !== 0) throw new Damaged();
  // The last weight follows from the others.
  weights.push(32 - Math.clz32(last));
  if (weights.length > 256) throw new Damaged();
  const [symbols, bits] = [new Uint8Array(1 << log), new Uint8Array(1 << log)];
  let at = 0;
  for (let weight = 1; weight <= log; weight++)
    for (const [symbol, one] of weights.entries())
      if (one === weight) {
        const end = at + (1 << (weight - 1));
        symbols.fill(symbol, at, end);
        bits.fill(log + 1 - weight, at, end);
        at = end;
      }
  return { log, symbols, bits };
}

/** Fills `into` from a stream, which must end with it. */
export function decodeStream({ log, symbols, bits }: HuffmanTable, bytes: Uint8Array, into: Uint8Array): void {
  const stream = new BackwardBits(bytes);
  for (let i = 0; i < into.length; i++) {
    const index = stream.peek(log);
    into[i] = symbols[index]!;
    stream.left -= bits[index]!;
  }
  if (stream.left !== 0) throw new Damaged();
}
