/** Finite state entropy: symbols by tables of states (RFC 8878, 4.1). */
import { type BackwardBits, Damaged, ForwardBits } from './bits.ts';

export interface FseTable {
  /** Bits of a state's number. */
  readonly log: number;
  /** For each state: its symbol, the bits that the next state takes, and what these are added to. */
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

const highestBit = (value: number): number => 31 - Math.clz32(value);

/** The table in which each state is the same symbol. */
export const singleSymbol = (symbol: number): FseTable => ({
  log: 0,
  symbols: Uint8Array.of(symbol),
  bits: new Uint8Array(1),
  bases: new Uint16Array(1),
});

/** How often each symbol stands in the table; -1: less than once. Returns the bytes that say so, too. */
function readCounts(
  bytes: Uint8Array,
  mostLog: number,
  mostSymbols: number,
): { readonly log: number; readonly counts: readonly number[]; readonly length: number } {
  const stream = new ForwardBits(bytes);
  const log = stream.peek(4) + 5;
  stream.skip(4);
  if (log > mostLog) throw new Damaged();
  const counts: number[] = [];
  let remaining = 1 << log;
  while (remaining > 0) {
    const width = highestBit(remaining + 1) + 1;
    const low = (1 << (width - 1)) - 1;
    // Small values take a bit less.
    const threshold = (1 << width) - 2 - remaining;
    let value = stream.peek(width);
    const short = (value & low) < threshold;
    if (short) value &= low;
    else if (value > low) value -= threshold;
    stream.skip(short ? width - 1 : width);
    counts.push(value - 1);
    remaining -= Math.abs(value - 1);
    if (value === 1) readZeros(stream, counts, mostSymbols);
    if (counts.length > mostSymbols) throw new Damaged();
  }
  if (remaining < 0) throw new Damaged();
  return { log, counts, length: stream.length };
}

function readZeros(stream: ForwardBits, counts: number[], mostSymbols: number): void {
  for (let repeat = 3; repeat === 3 && counts.length <= mostSymbols; ) {
    repeat = stream.peek(2);
    stream.skip(2);
    for (let i = 0; i < repeat; i++) counts.push(0);
  }
}

/** The table for counts whose sum is 2^log (4.1.1). */
export function tableOf(log: number, counts: readonly number[]): FseTable {
  const size = 1 << log;
  const [symbols, bits, bases] = [new Uint8Array(size), new Uint8Array(size), new Uint16Array(size)];
  let rare = size;
  for (const [symbol, count] of counts.entries()) if (count === -1) symbols[--rare] = symbol;
  const step = (size >>> 1) + (size >>> 3) + 3;
  let at = 0;
  for (const [symbol, count] of counts.entries())
    for (let i = 0; i < count; i++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at >= rare);
    }
  const next = counts.map(Math.abs);
  for (let state = 0; state < size; state++) {
    const value = next[symbols[state]!]!++;
    bits[state] = log - highestBit(value);
    bases[state] = (value << bits[state]!) - size;
  }
  return { log, symbols, bits, bases };
}

/** Reads a table from the start of `bytes`, and how many of them it took. */
export function readTable(
  bytes: Uint8Array,
  mostLog: number,
  mostSymbols: number,
): { readonly table: FseTable; readonly length: number } {
  const { log, counts, length } = readCounts(bytes, mostLog, mostSymbols);
  return { table: tableOf(log, counts), length };
}

/** The state behind `state`. */
export const nextState = (table: FseTable, state: number, stream: BackwardBits): number =>
  table.bases[state]! + stream.read(table.bits[state]!);
