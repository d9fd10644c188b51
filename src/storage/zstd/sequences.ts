/** The section of sequences in a block: literals and matches that take turns (RFC 8878, 3.1.1.3.2). */
import { BackwardBits, Damaged, ZstdProblem } from './bits.ts';
import { type FseTable, nextState, readTable, singleSymbol, tableOf } from './fse.ts';

/** What the codes of lengths and offsets mean, and how they are coded. */
interface Field {
  /** For each code: the least value, and the bits that are added to it. */
  readonly bases: readonly number[];
  readonly bits: readonly number[];
  readonly mostLog: number;
  readonly usual: FseTable;
}

/** Codes of so many bits each, one behind the other. */
function field(from: number, bits: readonly number[], mostLog: number, log: number, counts: readonly number[]): Field {
  const bases: number[] = [];
  let base = from;
  for (const count of bits) {
    bases.push(base);
    base += 2 ** count;
  }
  return { bases, bits, mostLog, usual: tableOf(log, counts) };
}

const times = (count: number, value: number): readonly number[] => new Array<number>(count).fill(value);

/** A match reaches no further back than 2^24: no output here is as long. */
const LARGEST_OFFSET_CODE = 24;

const LITERAL_LENGTHS = field(
  0,
  [...times(16, 0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  9,
  6,
  [4, 3, ...times(11, 2), 1, 1, 1, ...times(9, 2), 3, 2, ...times(5, 1), ...times(4, -1)],
);
const MATCH_LENGTHS = field(
  3,
  [...times(32, 0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  9,
  6,
  [1, 4, 3, ...times(6, 2), ...times(37, 1), ...times(7, -1)],
);
const OFFSETS = field(
  1,
  Array.from({ length: 32 }, (_, code) => code),
  8,
  5,
  [...times(6, 1), 2, 2, 2, ...times(15, 1), ...times(5, -1)],
);

/** The tables of a block, for those that use them again. */
export interface SequenceTables {
  readonly literalLengths: FseTable;
  readonly offsets: FseTable;
  readonly matchLengths: FseTable;
}

/** What a frame keeps from block to block. */
export interface SequenceState {
  tables: SequenceTables | undefined;
  /** The latest three offsets. */
  readonly repeats: [number, number, number];
}

/** Where a frame's content goes. */
export interface Output {
  readonly bytes: Uint8Array;
  /** Where the frame begins, and up to where it is done. */
  readonly start: number;
  at: number;
}

/** Writes the content of a block from its section of sequences and its literals. */
export function runSequences(section: Uint8Array, literals: Uint8Array, output: Output, state: SequenceState): void {
  const { count, length } = readCount(section);
  let taken = 0;
  if (count > 0) {
    const { tables, length: described } = readTables(section.subarray(length), state.tables);
    state.tables = tables;
    taken = decode(section.subarray(length + described), { count, tables, literals, output, repeats: state.repeats });
  } else if (length !== section.length) throw new Damaged();
  append(output, literals.subarray(taken));
}

function readCount(section: Uint8Array): { readonly count: number; readonly length: number } {
  const [first, second = 0, third = 0] = section;
  if (first === undefined) throw new Damaged();
  if (first < 128) return { count: first, length: 1 };
  if (first < 255) return { count: ((first - 128) << 8) + second, length: 2 };
  return { count: second + (third << 8) + 0x7f00, length: 3 };
}

function readTables(
  section: Uint8Array,
  kept: SequenceTables | undefined,
): { readonly tables: SequenceTables; readonly length: number } {
  const [modes] = section;
  if (modes === undefined || (modes & 3) !== 0) throw new Damaged();
  let length = 1;
  const table = (mode: number, { usual, mostLog, bits }: Field, before: FseTable | undefined): FseTable => {
    switch (mode) {
      case 0:
        return usual;
      case 1: {
        const symbol = section[length++];
        if (symbol === undefined || symbol >= bits.length) throw new Damaged();
        return singleSymbol(symbol);
      }
      case 2: {
        const read = readTable(section.subarray(length), mostLog, bits.length);
        length += read.length;
        return read.table;
      }
      default:
        if (before === undefined) throw new Damaged();
        return before;
    }
  };
  const literalLengths = table(modes >>> 6, LITERAL_LENGTHS, kept?.literalLengths);
  const offsets = table((modes >>> 4) & 3, OFFSETS, kept?.offsets);
  const matchLengths = table((modes >>> 2) & 3, MATCH_LENGTHS, kept?.matchLengths);
  return { tables: { literalLengths, offsets, matchLengths }, length };
}

interface Decoding {
  readonly count: number;
  readonly tables: SequenceTables;
  readonly literals: Uint8Array;
  readonly output: Output;
  readonly repeats: [number, number, number];
}

/** Returns how many literals were used. */
function decode(bytes: Uint8Array, { count, tables, literals, output, repeats }: Decoding): number {
  const stream = new BackwardBits(bytes);
  const { literalLengths, offsets, matchLengths } = tables;
  let literalState = stream.read(literalLengths.log);
  let offsetState = stream.read(offsets.log);
  let matchState = stream.read(matchLengths.log);
  let taken = 0;
  for (let left = count; left > 0; left--) {
    const offsetCode = offsets.symbols[offsetState]!;
    if (offsetCode > LARGEST_OFFSET_CODE) throw new Damaged();
    const matchCode = matchLengths.symbols[matchState]!;
    const literalCode = literalLengths.symbols[literalState]!;
    const value = OFFSETS.bases[offsetCode]! + stream.read(offsetCode);
    const matchLength = MATCH_LENGTHS.bases[matchCode]! + stream.read(MATCH_LENGTHS.bits[matchCode]!);
    const literalLength = LITERAL_LENGTHS.bases[literalCode]! + stream.read(LITERAL_LENGTHS.bits[literalCode]!);
    if (taken + literalLength > literals.length) throw new Damaged();
    append(output, literals.subarray(taken, taken + literalLength));
    taken += literalLength;
    copyMatch(output, offsetOf(value, literalLength, repeats), matchLength);
    if (left > 1) {
      literalState = nextState(literalLengths, literalState, stream);
      matchState = nextState(matchLengths, matchState, stream);
      offsetState = nextState(offsets, offsetState, stream);
    }
    if (stream.left < 0) throw new Damaged();
  }
  if (stream.left !== 0) throw new Damaged();
  return taken;
}

/** What an offset's value means (3.1.1.5): up to 3 it is one of the latest. */
function offsetOf(value: number, literalLength: number, repeats: [number, number, number]): number {
  if (value > 3) {
    repeats[2] = repeats[1];
    repeats[1] = repeats[0];
    return (repeats[0] = value - 3);
  }
  const index = value - (literalLength === 0 ? 0 : 1);
  const offset = index === 3 ? repeats[0] - 1 : repeats[index]!;
  if (index > 1) repeats[2] = repeats[1];
  if (index > 0) repeats[1] = repeats[0];
  return (repeats[0] = offset);
}

function append(output: Output, bytes: Uint8Array): void {
  if (output.at + bytes.length > output.bytes.length) throw new ZstdProblem('the data is too long');
  output.bytes.set(bytes, output.at);
  output.at += bytes.length;
}

function copyMatch(output: Output, offset: number, length: number): void {
  const { bytes, at } = output;
  if (offset < 1 || offset > at - output.start) throw new Damaged();
  if (at + length > bytes.length) throw new ZstdProblem('the data is too long');
  if (offset >= length) bytes.copyWithin(at, at - offset, at - offset + length);
  else for (let i = at; i < at + length; i++) bytes[i] = bytes[i - offset]!;
  output.at = at + length;
}
