/** Every instruction of the processor, indexed by opcode for the decoder. */
import type { Encoding } from './definition.ts';
import { CRC } from './instructions/crc.ts';
import { FXSAVE } from './instructions/fxsave.ts';
import { INTEGER } from './instructions/integer.ts';
import { MMX } from './instructions/mmx.ts';
import { SSE_ARITHMETIC } from './instructions/sse-arithmetic.ts';
import { SSE_BLEND } from './instructions/sse-blend.ts';
import { SSE_CACHE } from './instructions/sse-cache.ts';
import { SSE_EXTEND } from './instructions/sse-extend.ts';
import { SSE_FLOAT } from './instructions/sse-float.ts';
import { SSE_LANE } from './instructions/sse-lane.ts';
import { SSE_LOGIC } from './instructions/sse-logic.ts';
import { SSE_MOVE } from './instructions/sse-move.ts';
import { SSE_SHIFT } from './instructions/sse-shift.ts';
import { SSE_SHUFFLE } from './instructions/sse-shuffle.ts';
import { SSE_STRING } from './instructions/sse-string.ts';
import { X87 } from './instructions/x87.ts';

/** All rows; the order does not matter. */
export const ENCODINGS: readonly Encoding[] = [
  ...INTEGER,
  ...CRC,
  ...FXSAVE,
  ...MMX,
  ...SSE_ARITHMETIC,
  ...SSE_BLEND,
  ...SSE_CACHE,
  ...SSE_EXTEND,
  ...SSE_FLOAT,
  ...SSE_LANE,
  ...SSE_LOGIC,
  ...SSE_MOVE,
  ...SSE_SHIFT,
  ...SSE_SHUFFLE,
  ...SSE_STRING,
  ...X87,
];

/** Rows by opcode map (0, 0F, 0F 38, 0F 3A) and opcode byte; the more particular first. */
export const OPCODES: readonly (readonly (readonly Encoding[])[])[] = index(ENCODINGS);

/** A row that asks for more of the instruction is tried before one that asks for less. */
function weight(e: Encoding): number {
  const modrm = e.modrm !== undefined ? 8 : e.extension !== undefined ? 4 : 0;
  return (
    modrm +
    (e.form !== 'any' ? 2 : 0) +
    (e.attributes.has('w1') || e.attributes.has('w0') || e.attributes.has('b0') ? 1 : 0)
  );
}

function index(encodings: readonly Encoding[]): Encoding[][][] {
  const maps: Encoding[][][] = Array.from({ length: 4 }, () => Array.from({ length: 256 }, () => []));
  for (const e of encodings) {
    for (let i = 0; i < (e.opcodeRegister ? 8 : 1); i++) maps[e.map][e.opcode + i].push(e);
  }
  for (const map of maps) for (const rows of map) rows.sort((a, b) => weight(b) - weight(a));
  return maps;
}
