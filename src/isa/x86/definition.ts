/**
 * How an x86 instruction is written down: rows as in the manual's tables, and one meaning for all of them.
 *
 * A row is `'opcode | operands | attributes'`:
 * - opcode: bytes in hexadecimal, first an optional mandatory prefix (`NP`, `66`, `F2`, `F3`; `NFx`: neither F2 nor F3; SDM vol. 2 §2.1.2, §3.1.1.1);
 *   `/r` a ModRM byte;
 *   `/0`…`/7` a ModRM byte whose reg field extends the opcode; `+r` behind the last byte: its low three bits name a register;
 * - operands: the codes of SDM vol. 2 appendix A.2 (see `operands.ts`), separated by commas;
 * - attributes, separated by blanks: `i64` invalid in 64-bit mode, `o64` only there, `d64` 64-bit operand size by default there,
 *   `f64` always 64-bit there, `rep` takes REP prefixes, `w1`/`w0` needs REX.W to be 1/0, `o16`/`o32` needs that operand size, `a16`…`a64` that address size, `b0` REX.B clear.
 */
import type { Value } from '../ir/types.ts';
import type { BoundOperand } from './operands.ts';
import type { X86Builder } from './x86-builder.ts';

export type Attribute =
  | 'i64'
  | 'o64'
  | 'd64'
  | 'f64'
  | 'rep'
  | 'w0'
  | 'w1'
  | 'o16'
  | 'o32'
  | 'a16'
  | 'a32'
  | 'a64'
  | 'b0';
export type MandatoryPrefix = 'NP' | 'NFx' | '66' | 'F2' | 'F3' | undefined;

export interface InstructionDefinition {
  /** The mnemonic in capitals. */
  readonly name: string;
  readonly rows: readonly string[];
  /** LOCK is allowed with a destination in memory. */
  readonly lockable?: boolean;
  /** Nothing may be decoded behind it in a block: it changes how code is fetched, or the machine must look around. */
  readonly endsBlock?: boolean;
  /** Interrupts wait until the next instruction is complete: a block ends behind that. */
  readonly holdsInterrupts?: boolean;
  /** Flags that the manual leaves undefined, as a mask of RFLAGS; for comparisons with silicon. */
  readonly undefinedFlags?: number;
  readonly semantics: (x: X86Builder, ...operands: BoundOperand[]) => void;
}

/** One row, parsed. */
export interface Encoding {
  readonly id: number;
  readonly definition: InstructionDefinition;
  readonly row: string;
  /** 0: one byte; 1: 0F; 2: 0F 38; 3: 0F 3A. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  readonly prefix: MandatoryPrefix;
  readonly hasModrm: boolean;
  /** The ModRM reg field that the row asks for. */
  readonly extension: number | undefined;
  /** The whole ModRM byte that the row asks for. */
  readonly modrm: number | undefined;
  /** The low three bits of the opcode name a register. */
  readonly opcodeRegister: boolean;
  readonly operands: readonly string[];
  /** The address of the memory operand is the immediate (operand code O). */
  readonly absolute: boolean;
  readonly attributes: ReadonlySet<Attribute>;
  /** `reg`: only with ModRM.mod = 3; `mem`: only without. */
  readonly form: 'reg' | 'mem' | 'any';
}

/** What is the same for every execution of one decoded row: an `if` on these is plain TypeScript. */
export interface Parameters {
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  /** In 64-bit mode. */
  readonly long: boolean;
  /** The ModRM operand is in memory. */
  readonly memory: boolean;
  /** Addresses go through a segment base: always outside 64-bit mode, there with an FS or GS prefix. */
  readonly segmented: boolean;
  readonly rep: 'none' | 'F3' | 'F2';
}

/** Conditions by number (SDM vol. 2 appendix B.1.4.7). */
export const CONDITIONS = [
  'O',
  'NO',
  'B',
  'AE',
  'E',
  'NE',
  'BE',
  'A',
  'S',
  'NS',
  'P',
  'NP',
  'L',
  'GE',
  'LE',
  'G',
] as const;

export type Semantics = (x: X86Builder, ...operands: BoundOperand[]) => void;
export type Compute = (x: X86Builder, a: Value, b: Value) => Value;

const MODRM_MEMORY_ONLY = /^M/;
const MODRM_REGISTER_ONLY = /^(R|U|N|ST\d?i)/;

let encodings = 0;

function parseOpcode(tokens: readonly string[], row: string) {
  const bytes: string[] = [...tokens];
  let prefix: MandatoryPrefix;
  if (bytes[0] === 'NP' || bytes[0] === 'NFx' || (bytes.length > 1 && ['66', 'F2', 'F3'].includes(bytes[0])))
    prefix = bytes.shift() as MandatoryPrefix;
  let map: 0 | 1 | 2 | 3 = 0;
  let first = bytes.shift()!;
  if (first === '0F' && bytes.length > 0) {
    map = 1;
    first = bytes.shift()!;
    if ((first === '38' || first === '3A') && bytes.length > 0 && !bytes[0].startsWith('/')) {
      map = first === '38' ? 2 : 3;
      first = bytes.shift()!;
    }
  }
  const opcode = Number.parseInt(first, 16);
  let extension: number | undefined;
  let modrm: number | undefined;
  let hasModrm = false;
  for (const token of bytes) {
    hasModrm = true;
    if (token === '/r') continue;
    if (/^\/[0-7]$/.test(token)) extension = Number(token[1]);
    else if (/^[0-9A-F]{2}$/.test(token)) modrm = Number.parseInt(token, 16);
    else throw new Error(`${row}: what is ${token}?`);
  }
  return { prefix, map, opcode, opcodeRegister: first.endsWith('+r'), extension, modrm, hasModrm };
}

function formOf(operands: readonly string[], modrm: number | undefined): Encoding['form'] {
  if (modrm !== undefined) return 'reg';
  if (operands.some((o) => MODRM_MEMORY_ONLY.test(o))) return 'mem';
  return operands.some((o) => MODRM_REGISTER_ONLY.test(o)) ? 'reg' : 'any';
}

function parseRow(definition: InstructionDefinition, row: string): Encoding {
  const [opcodeText, operandText = '', attributeText = ''] = row.split('|').map((part) => part.trim());
  const operands = operandText === '' ? [] : operandText.split(',');
  const opcode = parseOpcode(opcodeText.split(/\s+/), row);
  const attributes = new Set(attributeText.split(/\s+/).filter((a) => a !== '') as Attribute[]);
  const absolute = operands.some((o) => o.startsWith('O'));
  const form = formOf(operands, opcode.modrm);
  return { id: encodings++, definition, row, ...opcode, operands, absolute, attributes, form };
}

/** Declares one instruction; its rows in the order of the manual. */
export function instruction(definition: InstructionDefinition): readonly Encoding[] {
  return definition.rows.map((row) => parseRow(definition, row));
}
