/** Every instruction of the processor, indexed by opcode for the decoder. */
import type { Encoding } from './definition.ts';
import { INTEGER } from './instructions/integer.ts';

/** All rows; the order does not matter. */
export const ENCODINGS: readonly Encoding[] = [...INTEGER];

/** Rows by opcode map (0, 0F, 0F 38, 0F 3A) and opcode byte; the more particular first. */
export const OPCODES: readonly (readonly (readonly Encoding[])[])[] = index(ENCODINGS);

/** A row that asks for more of the instruction is tried before one that asks for less. */
function weight(e: Encoding): number {
  const modrm = e.modrm !== undefined ? 8 : e.extension !== undefined ? 4 : 0;
  return modrm + (e.form !== 'any' ? 2 : 0) + (e.attributes.has('w1') || e.attributes.has('w0') ? 1 : 0);
}

function index(encodings: readonly Encoding[]): Encoding[][][] {
  const maps: Encoding[][][] = Array.from({ length: 4 }, () => Array.from({ length: 256 }, () => []));
  for (const e of encodings) {
    for (let i = 0; i < (e.opcodeRegister ? 8 : 1); i++) maps[e.map][e.opcode + i].push(e);
  }
  for (const map of maps) for (const rows of map) rows.sort((a, b) => weight(b) - weight(a));
  return maps;
}
