/**
 * Bytes to instruction: prefixes, opcode, ModRM, SIB, displacement and immediates (SDM vol. 2 §2.1–2.2), all from the rows of the
 * definitions.
 */
import { type DecodePlan, type ImmediateKind, LEGACY_PLANS, LONG_PLANS, type RegisterKind } from './decode-plan.ts';
import type { Attribute, Encoding, Parameters } from './definition.ts';
import { CS_AT, DS_AT, ES_AT, FS_AT, GS_AT, IP_BASE_AT, SEGMENT_STRIDE, SS_AT, ZERO_AT } from './state.ts';

export type CodeSize = 16 | 32 | 64;

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

export interface Prefixes {
  readonly rex: number;
  readonly lock: boolean;
  readonly operandSize: boolean;
  readonly addressSize: boolean;
  readonly repeat: 'none' | 'F2' | 'F3';
  /** The segment override: byte offset in SEGMENTS. */
  readonly segment: number | undefined;
}

export interface Decoded {
  readonly encoding: Encoding;
  readonly parameters: Parameters;
  readonly fields: Fields;
  readonly prefixes: Prefixes;
}

/** `truncated`: the bytes end inside the instruction. `invalid`: no such instruction (#UD). `tooLong`: more than 15 bytes (#GP). */
export type DecodeFailure = 'truncated' | 'invalid' | 'tooLong';

const MAX_LENGTH = 15;

class Truncated extends Error {}
const TRUNCATED = new Truncated();

/** Reads an instruction's bytes in order. */
class Reader {
  at = 0;
  start = 0;
  /** Behind the last byte that may be read. */
  end = 0;
  bytes: Uint8Array = new Uint8Array();

  open(bytes: Uint8Array, start: number): void {
    this.bytes = bytes;
    this.at = start;
    this.start = start;
    this.end = Math.min(start + MAX_LENGTH, bytes.length);
  }
  get length(): number {
    return this.at - this.start;
  }
  u8(): number {
    if (this.at >= this.end) throw TRUNCATED;
    return this.bytes[this.at++];
  }
  u16(): number {
    return this.u8() | (this.u8() << 8);
  }
  u32(): number {
    return (this.u16() | (this.u16() << 16)) >>> 0;
  }
  s8(): number {
    return (this.u8() << 24) >> 24;
  }
  s16(): number {
    return (this.u16() << 16) >> 16;
  }
  s32(): number {
    return this.u16() | (this.u16() << 16);
  }
  u64(): bigint {
    return BigInt(this.u32()) | (BigInt(this.u32()) << 32n);
  }
}

const isPrefix = Array.from({ length: 256 }, (_, b) =>
  [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].includes(b),
);
const onlyRex = (rex: number): Prefixes => ({
  rex,
  lock: false,
  operandSize: false,
  addressSize: false,
  repeat: 'none',
  segment: undefined,
});
/** Most instructions have no other prefix. */
const NO_PREFIXES = onlyRex(0);
const REX_PREFIXES = Array.from({ length: 16 }, (_, i) => onlyRex(0x40 | i));

function readPrefixes(r: Reader, codeSize: CodeSize): Prefixes {
  if (r.at < r.end) {
    const first = r.bytes[r.at];
    const isRex = codeSize === 64 && (first & 0xf0) === 0x40;
    if (!isRex && !isPrefix[first]) return NO_PREFIXES;
    const second = r.bytes[r.at + 1];
    if (isRex && r.at + 1 < r.end && (second & 0xf0) !== 0x40 && !isPrefix[second]) {
      r.at++;
      return REX_PREFIXES[first & 15];
    }
  }
  return readAnyPrefixes(r, codeSize);
}

/** Reads them all; more than fit an instruction are left unread. */
function readAnyPrefixes(r: Reader, codeSize: CodeSize): Prefixes {
  const long = codeSize === 64;
  const p = {
    rex: 0,
    lock: false,
    operandSize: false,
    addressSize: false,
    repeat: 'none' as Prefixes['repeat'],
    segment: undefined as number | undefined,
  };
  for (; r.length < MAX_LENGTH; r.at++) {
    if (r.at >= r.end) throw TRUNCATED;
    const b = r.bytes[r.at];
    if (long && (b & 0xf0) === 0x40) {
      p.rex = b;
      continue;
    }
    switch (b) {
      case 0x66:
        p.operandSize = true;
        break;
      case 0x67:
        p.addressSize = true;
        break;
      case 0xf0:
        p.lock = true;
        break;
      case 0xf2:
        p.repeat = 'F2';
        break;
      case 0xf3:
        p.repeat = 'F3';
        break;
      // In 64-bit mode these four are ignored (SDM vol. 2 §2.1.1), even behind FS or GS.
      case 0x26:
        if (!long) p.segment = ES_AT;
        break;
      case 0x2e:
        if (!long) p.segment = CS_AT;
        break;
      case 0x36:
        if (!long) p.segment = SS_AT;
        break;
      case 0x3e:
        if (!long) p.segment = DS_AT;
        break;
      case 0x64:
        p.segment = FS_AT;
        break;
      case 0x65:
        p.segment = GS_AT;
        break;
      default:
        return p;
    }
    // A REX prefix counts only right before the opcode (SDM vol. 2 §2.2.1).
    p.rex = 0;
  }
  return p;
}

/** Opcode map × 256 + opcode byte. */
function readOpcode(r: Reader): number {
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
function readAddress16(r: Reader, f: Fields, modrm: number): number {
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
function readAddress32(r: Reader, f: Fields, modrm: number, rex: number, long: boolean): number {
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

function readModrm(r: Reader, f: Fields, plan: DecodePlan, modrm: number, prefixes: Prefixes, p: Parameters): void {
  const { rex } = prefixes;
  if (plan.reg !== undefined) f.reg = registerAt(plan.reg, (modrm >> 3) & 7, (rex & 4) << 1, rex);
  if (p.memory) {
    const segment = p.addressSize === 16 ? readAddress16(r, f, modrm) : readAddress32(r, f, modrm, rex, p.long);
    f.segment = prefixes.segment ?? segment;
  } else if (plan.rm !== undefined) f.rm = registerAt(plan.rm, modrm & 7, (rex & 1) << 3, rex);
}

/** Immediates, relative targets, absolute addresses. Unsigned codes: Ib; sign-extended: Ibs, Iz; the operand's own size: Iv. */
function readImmediates(r: Reader, f: Fields, plan: DecodePlan, p: Parameters): void {
  const { immediates } = plan;
  if (immediates.length === 0) return;
  f.immediate = readImmediate(r, immediates[0], p);
  if (immediates[0] === 'far') f.displacement = r.u16();
  if (immediates.length > 1) f.displacement = Number(readImmediate(r, immediates[1], p));
}

function readImmediate(r: Reader, kind: ImmediateKind, p: Parameters): bigint {
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

function readUnsigned(r: Reader, width: 16 | 32 | 64): bigint {
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

function decodeRest(r: Reader, codeSize: CodeSize): Decoded | DecodeFailure {
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
const reader = new Reader();

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
