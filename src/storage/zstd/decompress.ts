/**
 * Zstandard's frames (RFC 8878), without dictionaries. Browsers have none, and the library that there is gives data where the format has an
 * error: a damaged disk must not read as a whole one.
 */
import { Damaged, ZstdProblem } from './bits.ts';
import type { HuffmanTable } from './huffman.ts';
import { readLiterals } from './literals.ts';
import { type Output, runSequences, type SequenceState } from './sequences.ts';

const MAGIC = 0xfd2f_b528;
const SKIPPABLE = 0x184d_2a50;
const MOST_OF_BLOCK = 2 ** 17;
const CHECKSUM = 4;

/** What a frame's header says of how to read it. */
interface Frame {
  /** Where its blocks begin. */
  readonly body: number;
  readonly hasChecksum: boolean;
}

/**
 * Fills `into` from the frames at the start of `from`; what stands behind them is ignored. Returns what is wrong, if
 * anything. Checksums, which qcow2's writers leave out, are not looked at.
 */
export function decompressZstd(from: Uint8Array, into: Uint8Array): string | undefined {
  try {
    const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
    for (let at = 0, done = 0; done < into.length; ) {
      if (at + 8 > from.length) throw new ZstdProblem('the data is too short');
      const magic = view.getUint32(at, true);
      if ((magic & ~15) >>> 0 === SKIPPABLE) {
        at += 8 + view.getUint32(at + 4, true);
        continue;
      }
      if (magic !== MAGIC) throw new ZstdProblem('a frame begins otherwise');
      const output = { bytes: into, start: done, at: done };
      at = readFrame(from, at + 4, output);
      done = output.at;
    }
    return undefined;
  } catch (error) {
    if (error instanceof ZstdProblem) return error.message;
    throw error;
  }
}

/** Returns where the frame ends. */
function readFrame(from: Uint8Array, start: number, output: Output): number {
  const { body, hasChecksum } = readHeader(from, start);
  const sequences: SequenceState = { tables: undefined, repeats: [1, 4, 8] };
  let table: HuffmanTable | undefined;
  for (let at = body, last = false; ; ) {
    if (last) return hasChecksum ? at + CHECKSUM : at;
    if (at + 3 > from.length) throw new ZstdProblem('the data is too short');
    const head = from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16);
    last = (head & 1) === 1;
    const kind = (head >>> 1) & 3;
    const size = head >>> 3;
    at += 3;
    const length = kind === 1 ? 1 : size;
    if (size > MOST_OF_BLOCK || at + length > from.length) throw new Damaged();
    const block = from.subarray(at, at + length);
    at += length;
    const before = output.at;
    if (kind === 2) {
      const literals = readLiterals(block, table);
      table = literals.table;
      runSequences(block.subarray(literals.length), literals.bytes, output, sequences);
      if (output.at - before > MOST_OF_BLOCK) throw new Damaged();
    } else if (kind === 3) throw new Damaged();
    else {
      if (before + size > output.bytes.length) throw new ZstdProblem('the data is too long');
      if (kind === 0) output.bytes.set(block, before);
      else output.bytes.fill(block[0]!, before, before + size);
      output.at = before + size;
    }
  }
}

/** The descriptor says which fields follow it (3.1.1.1). */
function readHeader(from: Uint8Array, start: number): Frame {
  const descriptor = from[start]!;
  if ((descriptor & 8) !== 0) throw new ZstdProblem('a frame needs what is not known');
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const sizeField = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
  const behindWindow = start + (single ? 1 : 2);
  if (from.subarray(behindWindow, behindWindow + dictionary).some((byte) => byte !== 0))
    throw new ZstdProblem('a frame needs a dictionary');
  return { body: behindWindow + dictionary + sizeField, hasChecksum: (descriptor & 4) !== 0 };
}
