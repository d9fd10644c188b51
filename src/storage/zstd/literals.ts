/** The section of literals in a block (RFC 8878, 3.1.1.3.1). */
import { Damaged } from './bits.ts';
import { decodeStream, type HuffmanTable, readHuffman } from './huffman.ts';

export interface Literals {
  readonly bytes: Uint8Array;
  /** For blocks that use it again. */
  readonly table: HuffmanTable | undefined;
  /** Bytes of the section. */
  readonly length: number;
}

const RAW = 0;
const RLE = 1;
const TREELESS = 3;
const MOST_LITERALS = 2 ** 17;
/** The lengths of three of four streams stand before them. */
const JUMP_TABLE = 6;

/** Reads the section from the start of a block. `kept`: the table of a block before. */
export function readLiterals(block: Uint8Array, kept: HuffmanTable | undefined): Literals {
  const head = (block[0] ?? 0) | ((block[1] ?? 0) << 8) | ((block[2] ?? 0) << 16);
  const kind = head & 3;
  const format = (head >>> 2) & 3;
  if (kind === RAW || kind === RLE) {
    const header = (format & 1) === 0 ? 1 : format === 1 ? 2 : 3;
    const size = (head & (2 ** (8 * header) - 1)) >>> (header === 1 ? 3 : 4);
    const length = header + (kind === RAW ? size : 1);
    check(size, length, block);
    const bytes = kind === RAW ? block.subarray(header, length) : new Uint8Array(size).fill(block[header]!);
    return { bytes, table: kept, length };
  }
  const width = format < 2 ? 10 : format === 2 ? 14 : 18;
  const header = Math.ceil((4 + 2 * width) / 8);
  const size = (head >>> 4) & (2 ** width - 1);
  const coded =
    Math.floor((head + (block[3] ?? 0) * 2 ** 24 + (block[4] ?? 0) * 2 ** 32) / 2 ** (4 + width)) % 2 ** width;
  check(size, header + coded, block);
  const body = block.subarray(header, header + coded);
  const read = kind === TREELESS ? undefined : readHuffman(body);
  const table = read?.table ?? kept;
  if (table === undefined) throw new Damaged();
  const bytes = new Uint8Array(size);
  const streams = body.subarray(read?.length ?? 0);
  if (format === 0) decodeStream(table, streams, bytes);
  else decodeFour(table, streams, bytes);
  return { bytes, table, length: header + coded };
}

function check(size: number, length: number, block: Uint8Array): void {
  if (size > MOST_LITERALS || length > block.length) throw new Damaged();
}

function decodeFour(table: HuffmanTable, streams: Uint8Array, into: Uint8Array): void {
  const part = Math.ceil(into.length / 4);
  let from = JUMP_TABLE;
  for (let i = 0; i < 4; i++) {
    const length = i === 3 ? streams.length - from : (streams[2 * i] ?? 0) | ((streams[2 * i + 1] ?? 0) << 8);
    if (length < 0 || from + length > streams.length || part * 3 > into.length) throw new Damaged();
    decodeStream(
      table,
      streams.subarray(from, from + length),
      into.subarray(part * i, i === 3 ? into.length : part * (i + 1)),
    );
    from += length;
  }
}
