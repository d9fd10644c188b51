/**
 * Bytes to instruction: prefixes, opcode, ModRM, SIB, displacement and immediates (SDM vol. 2 §2.1–2.2), all from the rows of the
 * definitions.
 */
import { type DecodePlan, type ImmediateKind, LEGACY_PLANS, LONG_PLANS, type RegisterKind } from './decode-plan.ts';
import type { Attribute, Encoding, Parameters } from './definition.ts';
import { InstructionReader, MAX_LENGTH, TRUNCATED } from './instruction-reader.ts';
import { type CodeSize, type Prefixes, readPrefixes } from './prefixes.ts';
import { DS_AT, IP_BASE_AT, SEGMENT_STRIDE, SS_AT, ZERO_AT } from './state.ts';

/** The operands of one instruction; see `FieldName`. */
export interface Fields {
  length: number;
  /** Byte offset in SEGMENTS of the memory operand's segment. */
  segment: number;
  scale: number;
  /** Byte offset in its register file, or a plain number for x87, control and debug registers. */
  reg: number;
  /** As `reg`; of a memory operand the base register: ZERO_AT none, IP_BASE_AT relative to the instruction pointer. */
  rm: number;
  index: number;
  /** Signed, 32 bits; of a RIP-relative operand from the end of the instruction; a second immediate where there is no ModRM. */
  displacement: number;
  /** Extended to 64 bits as the operand asks. */
  immediate: bigint;
}

export interface Decoded {
  readonly encoding: Encoding;
  readonly parameters: Parameters;
  readonly fields: Fields;
  readonly prefixes: Prefixes;
}

/** `truncated`: the bytes end inside the instruction. `invalid`: no such instruction (#UD). `tooLong`: more than 15 bytes (#GP). */
export type DecodeFailure = 'truncated' | 'invalid' | 'tooLong';

/** Opcode map × 256 + opcode byte. */
function readOpcode(r: InstructionReader): number {
  const first = r.u8();
  if (first !== 0x0f) return first;
  const second = r.u8();
  if (second === 0x38) return 0x200 | r.u8();
  if (second === 0x3a) return 0x300 | r.u8();
  return 0x100 | second;
}

function operandSizeOf(plan: DecodePlan, p: Prefixes, codeSize: CodeSize): 16 | 32 | 64 {
  const toggled = p.operandSize && !plan.takes66;
  if (codeSize === 64) {
    if (plan.force64 || (p.rex & 8) !== 0) return 64;
    if (toggled) return 16;
    return plan.default64 ? 64 : 32;
  }
  return (codeSize === 16) !== toggled ? 16 : 32;
}

function addressSizeOf(p: Prefixes, codeSize: CodeSize): 16 | 32 | 64 {
  if (codeSize === 64) return p.addressSize ? 32 : 64;
  return (codeSize === 16) !== p.addressSize ? 16 : 32;
}

/** How well the prefixes fit the row: its own F2 or F3 over its own 66 or none, over a row that does not care; 0 does not fit. */
function prefixRank(plan: DecodePlan, p: Prefixes): number {
  switch (plan.prefix) {
    case 'F2':
    case 'F3':
      return p.repeat === plan.prefix ? 4 : 0;
    case '66':
      return p.repeat === 'none' && p.operandSize ? 3 : 0;
    case 'NP':
      return p.repeat === 'none' && !p.operandSize ? 3 : 0;
    case 'NFx':
      return p.repeat === 'none' ? 2 : 0;
    default:
      return 1;
  }
}

/** The attributes that restrict a row hold; `i64` and `o64` were sorted out before. */
function attributesHold(plan: DecodePlan, p: Prefixes, codeSize: CodeSize): boolean {
  const a: ReadonlySet<Attribute> = plan.encoding.attributes;
  if (a.has('w1') && (p.rex & 8) === 0) return false;
  if (a.has('w0') && (p.rex & 8) !== 0) return false;
  if (a.has('b0') && (p.rex & 1) !== 0) return false;
  if (a.has('o16') && operandSizeOf(plan, p, codeSize) !== 16) return false;
  if (a.has('o32') && operandSizeOf(plan, p, codeSize) !== 32) return false;
  if (a.has('a16') && addressSizeOf(p, codeSize) !== 16) return false;
  if (a.has('a32') && addressSizeOf(p, codeSize) !== 32) return false;
  return !(a.has('a64') && addressSizeOf(p, codeSize) !== 64);
}

function choose(rows: readonly DecodePlan[], p: Prefixes, codeSize: CodeSize): DecodePlan | undefined {
  let best: DecodePlan | undefined;
  let bestRank = 0;
  for (const plan of rows) {
    const rank = prefixRank(plan, p);
    if (rank > bestRank && (!plan.restricted || attributesHold(plan, p, codeSize))) {
      best = plan;
      bestRank = rank;
    }
  }
  return best;
}

/** The field's value from a register number without REX, and the REX bit that extends it (0 or 8). */
function registerAt(kind: RegisterKind, number: number, extended: number, rex: number): number {
  switch (kind) {
    case 'byte':
      // SPL, BPL, SIL, DIL with any REX prefix; AH, CH, DH, BH without.
      return rex === 0 && number >= 4 ? (number - 4) * 8 + 1 : (number | extended) * 8;
    case 'general':
      return (number | extended) * 8;
    case 'xmm':
      return (number | extended) * 16;
    case 'mmx':
      return number * 16;
    case 'segment':
      return number * SEGMENT_STRIDE;
    case 'control':
    case 'debug':
      return number | extended;
    case 'number':
      return number;
    default:
      return kind satisfies never;
  }
}

/** BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX (SDM vol. 2 table 2-1), as register numbers. */
const BASE_16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX_16 = [6, 7, 6, 7] as const;

/** Returns the default segment. */
function readAddress16(r: InstructionReader, f: Fields, modrm: number): number {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (mod === 0 && rm === 6) {
    f.rm = ZERO_AT;
    f.displacement = r.s16();
    return DS_AT;
  }
  f.rm = BASE_16[rm] * 8;
  if (rm < 4) f.index = INDEX_16[rm] * 8;
  if (mod === 1) f.displacement = r.s8();
  if (mod === 2) f.displacement = r.s16();
  return BASE_16[rm] === 5 ? SS_AT : DS_AT;
}

/** Returns the default segment. */
function readAddress32(r: InstructionReader, f: Fields, modrm: number, rex: number, long: boolean): number {
  const mod = modrm >> 6;
  let base = modrm & 7;
  if (base === 4) {
    const sib = r.u8();
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index !== 4) {
      f.index = index * 8;
      f.scale = sib >> 6;
    }
    base = sib & 7;
    if (base === 5 && mod === 0) {
      f.rm = ZERO_AT;
      f.displacement = r.s32();
      return DS_AT;
    }
  } else if (base === 5 && mod === 0) {
    f.rm = long ? IP_BASE_AT : ZERO_AT;
    f.displacement = r.s32();
    return DS_AT;
  }
  f.rm = (base | ((rex & 1) << 3)) * 8;
  if (mod === 1) f.displacement = r.s8();
  if (mod === 2) f.displacement = r.s32();
  return (base === 4 || base === 5) && (rex & 1) === 0 ? SS_AT : DS_AT;
}

function readModrm(
  r: InstructionReader,
  f: Fields,
  plan: DecodePlan,
  modrm: number,
  prefixes: Prefixes,
  p: Parameters,
): void {
  const { rex } = prefixes;
  if (plan.reg !== undefined) f.reg = registerAt(plan.reg, (modrm >> 3) & 7, (rex & 4) << 1, rex);
  if (p.memory) {
    const segment = p.addressSize === 16 ? readAddress16(r, f, modrm) : readAddress32(r, f, modrm, rex, p.long);
    f.segment = prefixes.segment ?? segment;
  } else if (plan.rm !== undefined) f.rm = registerAt(plan.rm, modrm & 7, (rex & 1) << 3, rex);
}

/** Immediates, relative targets, absolute addresses. Unsigned codes: Ib; sign-extended: Ibs, Iz; the operand's own size: Iv. */
function readImmediates(r: InstructionReader, f: Fields, plan: DecodePlan, p: Parameters): void {
  const { immediates } = plan;
  if (immediates.length === 0) return;
  f.immediate = readImmediate(r, immediates[0], p);
  if (immediates[0] === 'far') f.displacement = r.u16();
  if (immediates.length > 1) f.displacement = Number(readImmediate(r, immediates[1], p));
}

function readImmediate(r: InstructionReader, kind: ImmediateKind, p: Parameters): bigint {
  switch (kind) {
    case 'u8':
      return BigInt(r.u8());
    case 's8':
      return BigInt(r.s8());
    case 'u16':
      return BigInt(r.u16());
    case 'z':
      return BigInt(p.operandSize === 16 ? r.s16() : r.s32());
    case 'far':
      return BigInt(p.operandSize === 16 ? r.u16() : r.u32());
    case 'operandSize':
      return readUnsigned(r, p.operandSize);
    case 'offset':
      return readUnsigned(r, p.addressSize);
    default:
      return kind satisfies never;
  }
}

function readUnsigned(r: InstructionReader, width: 16 | 32 | 64): bigint {
  if (width === 64) return r.u64();
  return BigInt(width === 32 ? r.u32() : r.u16());
}

const REPEATS = { none: 0, F3: 1, F2: 2 } as const;
/** One object for every combination: there are few. */
const parameterCache: (Parameters | undefined)[] = Array(512).fill(undefined);

function parametersOf(plan: DecodePlan, p: Prefixes, codeSize: CodeSize, memory: boolean): Parameters {
  const operandSize = operandSizeOf(plan, p, codeSize);
  const addressSize = addressSizeOf(p, codeSize);
  const long = codeSize === 64;
  const segmented = !long || p.segment !== undefined;
  const rep = plan.rep ? p.repeat : 'none';
  const flags = (long ? 1 : 0) | (memory ? 2 : 0) | (segmented ? 4 : 0) | (REPEATS[rep] << 3);
  // 16, 32, 64 >> 5: 0, 1, 2.
  const key = (operandSize >> 5) | ((addressSize >> 5) << 2) | (flags << 4);
  return (parameterCache[key] ??= { operandSize, addressSize, long, memory, segmented, rep });
}

function decodeRest(r: InstructionReader, codeSize: CodeSize): Decoded | DecodeFailure {
  const prefixes = readPrefixes(r, codeSize);
  if (r.length >= MAX_LENGTH) return 'tooLong';
  const opcode = readOpcode(r);
  const rows = (codeSize === 64 ? LONG_PLANS : LEGACY_PLANS)[opcode];
  if (rows === undefined) return 'invalid';
  const modrm = rows.hasModrm ? r.u8() : 0;
  const plan = choose(rows.forModrm(modrm), prefixes, codeSize);
  if (plan === undefined) return 'invalid';
  const memory = rows.hasModrm && modrm < 0xc0 && !plan.ignoresMod;
  // LOCK needs an instruction that allows it and a destination in memory (SDM vol. 2, LOCK).
  if (prefixes.lock && !(plan.lockable && memory)) return 'invalid';
  const parameters = parametersOf(plan, prefixes, codeSize, memory);
  const fields: Fields = {
    length: 0,
    segment: prefixes.segment ?? DS_AT,
    scale: 0,
    reg: 0,
    rm: ZERO_AT,
    index: ZERO_AT,
    displacement: 0,
    immediate: 0n,
  };
  if (plan.opcodeRegister !== undefined) {
    fields.reg = registerAt(plan.opcodeRegister, opcode & 7, (prefixes.rex & 1) << 3, prefixes.rex);
  }
  if (rows.hasModrm) {
    if (plan.limited && !isRegister(plan, ((modrm >> 3) & 7) | ((prefixes.rex & 4) << 1))) return 'invalid';
    readModrm(r, fields, plan, modrm, prefixes, parameters);
  }
  readImmediates(r, fields, plan, parameters);
  fields.length = r.length;
  return { encoding: plan.encoding, parameters, fields, prefixes };
}

/** CR0, CR2, CR3, CR4, CR8. */
const CONTROL_REGISTERS = 0b1_0001_1101;

/** There is such a segment, control or debug register, and CS is not loaded (SDM vol. 2, MOV). REX.R does not reach segments. */
function isRegister({ reg, writesReg }: DecodePlan, number: number): boolean {
  if (reg === 'segment') return (number & 7) < 6 && !(writesReg && (number & 7) === 1);
  return reg === 'control' ? ((CONTROL_REGISTERS >> number) & 1) !== 0 : number < 8;
}

/** One for all: it keeps nothing between instructions. */
const reader = new InstructionReader();

/** Decodes the instruction at `start` of `bytes` (at most 15 of them count). */
export function decode(bytes: Uint8Array, codeSize: CodeSize, start = 0): Decoded | DecodeFailure {
  reader.open(bytes, start);
  try {
    return decodeRest(reader, codeSize);
  } catch (error) {
    if (error !== TRUNCATED) throw error;
    return bytes.length - start >= MAX_LENGTH ? 'tooLong' : 'truncated';
  }
}
