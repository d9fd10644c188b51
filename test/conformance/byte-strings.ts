/** Byte strings for the decoder check: random ones, and instructions of the definitions with random prefixes, operands and damage. */
import type { Encoding } from '../../src/isa/x86/definition.ts';
import { ENCODINGS } from '../../src/isa/x86/instruction-set.ts';
import type { Random } from './random.ts';

/** Longer than any instruction, so that none runs into the end. */
export const STRING_LENGTH = 16;

const PREFIXES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65] as const;
const ESCAPES = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]] as const;
const MANDATORY: Readonly<Record<string, number>> = { '66': 0x66, F2: 0xf2, F3: 0xf3 };

function prefixes(random: Random, e: Encoding): number[] {
  const bytes: number[] = [];
  while (random.chance(0.3)) bytes.push(random.pick(PREFIXES));
  const mandatory = MANDATORY[e.prefix ?? ''];
  if (mandatory !== undefined && random.chance(0.95)) bytes.splice(random.below(bytes.length + 1), 0, mandatory);
  if (random.chance(0.3)) bytes.push(0x40 | random.below(16));
  return bytes;
}

function modrm(random: Random, e: Encoding): number {
  if (e.modrm !== undefined) return e.modrm;
  const byte = random.below(256);
  const mod = e.form === 'any' ? byte & 0xc0 : e.form === 'reg' ? 0xc0 : (byte & 0xc0) % 0xc0;
  return mod | (e.extension !== undefined ? e.extension << 3 : byte & 0x38) | (byte & 7);
}

/** The encoding with random prefixes and operands. */
function instructionBytes(random: Random, e: Encoding): number[] {
  const opcode = e.opcode + (e.opcodeRegister ? random.below(8) : 0);
  return [...prefixes(random, e), ...ESCAPES[e.map], opcode, ...(e.hasModrm ? [modrm(random, e)] : [])];
}

/** Writes one string to `bytes` (of `STRING_LENGTH`). */
export function writeString(random: Random, bytes: Uint8Array): void {
  random.fill(bytes);
  if (random.chance(0.2)) return;
  bytes.set(instructionBytes(random, random.pick(ENCODINGS)).slice(0, bytes.length));
  while (random.chance(0.15)) bytes[random.below(6)] = random.u32();
}
