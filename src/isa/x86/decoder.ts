/**
 * Bytes to instruction: prefixes, opcode, ModRM, SIB, displacement and immediates (SDM vol. 2 §2.1–2.2), all from the rows of the
 * definitions.
 */
import type { Encoding, MandatoryPrefix, Parameters } from './definition.ts';
import { fixedRegister, operandWidth, parseOperand } from './operands.ts';
import { CS_AT, DS_AT, ES_AT, FS_AT, GS_AT, IP_BASE_AT, SEGMENT_STRIDE, SS_AT, ZERO_AT } from './state.ts';
import { OPCODES } from './instruction-set.ts';

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
const SEGMENT_PREFIXES: Readonly<Record<number, number>> = {
  0x26: ES_AT,
  0x2e: CS_AT,
  0x36: SS_AT,
  0x3e: DS_AT,
  0x64: FS_AT,
  0x65: GS_AT,
};

class Truncated extends Error {}
const TRUNCATED = new Truncated();

/** Reads an instruction's bytes in order. */
class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  peek(): number {
    if (this.at >= this.#bytes.length) throw TRUNCATED;
    return this.#bytes[this.at];
  }
  u8(): number {
    const b = this.peek();
    this.at++;
    return b;
  }
  u16(): number {
    return this.u8() | (this.u8() << 8);
  }
  u32(): number {
    return (this.u16() | (this.u16() << 16)) >>> 0;
  }
  signed(bytes: 1 | 2 | 4): number {
    if (bytes === 1) return (this.u8() << 24) >> 24;
    return bytes === 2 ? (this.u16() << 16) >> 16 : this.u32() | 0;
  }
  u64(): bigint {
    return BigInt(this.u32()) | (BigInt(this.u32()) << 32n);
  }
}

function readPrefixes(r: Reader, codeSize: CodeSize): Prefixes {
  let rex = 0;
  let lock = false;
  let operandSize = false;
  let addressSize = false;
  let repeat: Prefixes['repeat'] = 'none';
  let segment: number | undefined;
  for (;;) {
    const b = r.peek();
    if (codeSize === 64 && (b & 0xf0) === 0x40) {
      rex = b;
      r.at++;
      continue;
    }
    if (b === 0x66) operandSize = true;
    else if (b === 0x67) addressSize = true;
    else if (b === 0xf0) lock = true;
    else if (b === 0xf2) repeat = 'F2';
    else if (b === 0xf3) repeat = 'F3';
    else if (b in SEGMENT_PREFIXES) {
      // In 64-bit mode the other four are ignored (SDM vol. 2 §2.1.1), even behind FS or GS.
      if (codeSize !== 64 || b >= 0x64) segment = SEGMENT_PREFIXES[b];
    } else return { rex, lock, operandSize, addressSize, repeat, segment };
    // A REX prefix counts only right before the opcode (SDM vol. 2 §2.2.1).
    rex = 0;
    r.at++;
    if (r.at >= MAX_LENGTH) return { rex, lock, operandSize, addressSize, repeat, segment };
  }
}

function readOpcode(r: Reader): { map: number; opcode: number } {
  const first = r.u8();
  if (first !== 0x0f) return { map: 0, opcode: first };
  const second = r.u8();
  if (second === 0x38) return { map: 2, opcode: r.u8() };
  if (second === 0x3a) return { map: 3, opcode: r.u8() };
  return { map: 1, opcode: second };
}

function operandSizeOf(e: Encoding, p: Prefixes, codeSize: CodeSize): 16 | 32 | 64 {
  if (codeSize === 64) {
    if (e.attributes.has('f64')) return 64;
    if (p.rex & 8) return 64;
    if (p.operandSize && e.prefix !== '66') return 16;
    return e.attributes.has('d64') ? 64 : 32;
  }
  const toggled = p.operandSize && e.prefix !== '66';
  return (codeSize === 16) !== toggled ? 16 : 32;
}

function addressSizeOf(p: Prefixes, codeSize: CodeSize): 16 | 32 | 64 {
  if (codeSize === 64) return p.addressSize ? 32 : 64;
  return (codeSize === 16) !== p.addressSize ? 16 : 32;
}

/** How well the prefixes fit the row: its own F2 or F3 over its own 66 or none, over a row that does not care; 0 does not fit. */
function prefixRank(e: Encoding, p: Prefixes): number {
  switch (e.prefix) {
    case 'F2':
    case 'F3':
      return p.repeat === e.prefix ? 4 : 0;
    case '66':
      return p.repeat === 'none' && p.operandSize ? 3 : 0;
    case 'NP':
      return p.repeat === 'none' && !p.operandSize ? 3 : 0;
    default:
      return 1;
  }
}

function matches(e: Encoding, p: Prefixes, codeSize: CodeSize, modrm: number): boolean {
  if (e.hasModrm) {
    if (e.modrm !== undefined && e.modrm !== modrm) return false;
    if (e.extension !== undefined && e.extension !== ((modrm >> 3) & 7)) return false;
    const isRegister = modrm >= 0xc0;
    // MOV to and from control and debug registers ignores mod (SDM vol. 2, MOV—Move to/from Control Registers).
    const ignoresMod = e.operands.some((o) => /^[CD]r$/.test(o));
    if (!ignoresMod && e.form !== 'any' && (e.form === 'reg') !== isRegister) return false;
  }
  const a = e.attributes;
  if (a.size === 0) return true;
  if (a.has('i64') && codeSize === 64) return false;
  if (a.has('o64') && codeSize !== 64) return false;
  if (a.has('w1') && (p.rex & 8) === 0) return false;
  if (a.has('w0') && (p.rex & 8) !== 0) return false;
  if (a.has('b0') && (p.rex & 1) !== 0) return false;
  if (a.has('o16') && operandSizeOf(e, p, codeSize) !== 16) return false;
  if (a.has('o32') && operandSizeOf(e, p, codeSize) !== 32) return false;
  if (a.has('a16') && addressSizeOf(p, codeSize) !== 16) return false;
  if (a.has('a32') && addressSizeOf(p, codeSize) !== 32) return false;
  return !(a.has('a64') && addressSizeOf(p, codeSize) !== 64);
}

function choose(rows: readonly Encoding[], p: Prefixes, codeSize: CodeSize, modrm: number): Encoding | undefined {
  let best: Encoding | undefined;
  let bestRank = 0;
  for (const e of rows) {
    const rank = prefixRank(e, p);
    if (rank > bestRank && matches(e, p, codeSize, modrm)) {
      best = e;
      bestRank = rank;
    }
  }
  return best;
}

/** SPL, BPL, SIL, DIL with any REX prefix; AH, CH, DH, BH without. */
function byteRegisterAt(number: number, rex: number): number {
  return rex === 0 && number >= 4 && number < 8 ? (number - 4) * 8 + 1 : number * 8;
}

/** Byte offset (or number) of a register operand from its number without REX, and the REX bit that extends it. */
function registerAt(code: string, number: number, extended: number, rex: number, width: number): number {
  switch (parseOperand(code).addressing) {
    case 'E':
    case 'G':
    case 'Z':
    case 'R':
      return width === 8 ? byteRegisterAt(number | extended, rex) : (number | extended) * 8;
    case 'V':
    case 'W':
    case 'U':
      return (number | extended) * 16;
    case 'P':
    case 'Q':
    case 'N':
      return number * 16;
    case 'S':
      return number * SEGMENT_STRIDE;
    case 'C':
    case 'D':
      return number | extended;
    default:
      return number;
  }
}

interface Place {
  readonly r: Reader;
  readonly f: Fields;
  readonly prefixes: Prefixes;
  readonly modrm: number;
}

/** BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX (SDM vol. 2 table 2-1), as register numbers. */
const BASE_16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX_16 = [6, 7, 6, 7] as const;

/** Returns the default segment. */
function readAddress16({ r, f, modrm }: Place): number {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (mod === 0 && rm === 6) {
    f.rm = ZERO_AT;
    f.displacement = r.signed(2);
    return DS_AT;
  }
  f.rm = BASE_16[rm] * 8;
  if (rm < 4) f.index = INDEX_16[rm] * 8;
  if (mod === 1) f.displacement = r.signed(1);
  if (mod === 2) f.displacement = r.signed(2);
  return BASE_16[rm] === 5 ? SS_AT : DS_AT;
}

function readAddress32({ r, f, prefixes, modrm }: Place, long: boolean): number {
  const mod = modrm >> 6;
  let base = modrm & 7;
  if (base === 4) {
    const sib = r.u8();
    const index = ((sib >> 3) & 7) | ((prefixes.rex & 2) << 2);
    if (index !== 4) {
      f.index = index * 8;
      f.scale = sib >> 6;
    }
    base = sib & 7;
    if (base === 5 && mod === 0) {
      f.displacement = r.signed(4);
      return DS_AT;
    }
  } else if (base === 5 && mod === 0) {
    f.rm = long ? IP_BASE_AT : ZERO_AT;
    f.displacement = r.signed(4);
    return DS_AT;
  }
  f.rm = (base | ((prefixes.rex & 1) << 3)) * 8;
  if (mod === 1) f.displacement = r.signed(1);
  if (mod === 2) f.displacement = r.signed(4);
  return (base === 4 || base === 5) && (prefixes.rex & 1) === 0 ? SS_AT : DS_AT;
}

function readModrm(place: Place, e: Encoding, p: Parameters): void {
  const { f, prefixes, modrm } = place;
  for (const code of e.operands) {
    const width = operandWidth(code, p);
    const { addressing } = parseOperand(code);
    if ('GVPSCD'.includes(addressing)) {
      f.reg = registerAt(code, (modrm >> 3) & 7, (prefixes.rex & 4) << 1, prefixes.rex, width);
    } else if (!p.memory && ('EWQURN'.includes(addressing) || code === 'STi')) {
      f.rm = registerAt(code, modrm & 7, (prefixes.rex & 1) << 3, prefixes.rex, width);
    }
  }
  if (!p.memory) return;
  f.rm = ZERO_AT;
  const segment = p.addressSize === 16 ? readAddress16(place) : readAddress32(place, p.long);
  f.segment = prefixes.segment ?? segment;
}

/** Immediates, relative targets, absolute addresses. Unsigned codes: Ib; sign-extended: Ibs, Iz; the operand's own size: Iv. */
function readImmediates({ r, f }: Place, e: Encoding, p: Parameters): void {
  let seen = false;
  for (const code of e.operands) {
    const { addressing, size } = parseOperand(code);
    if (addressing === 'O') {
      f.immediate = p.addressSize === 64 ? r.u64() : BigInt(p.addressSize === 32 ? r.u32() : r.u16());
    } else if (addressing === 'A') {
      f.immediate = BigInt(p.operandSize === 16 ? r.u16() : r.u32());
      f.displacement = r.u16();
    } else if (addressing === 'I' || addressing === 'J') {
      const value = readImmediate(r, addressing, size, p);
      if (seen) f.displacement = Number(value);
      else f.immediate = value;
      seen = true;
    }
  }
}

function readImmediate(r: Reader, addressing: string, size: string, p: Parameters): bigint {
  switch (size) {
    case 'b':
      return BigInt(addressing === 'J' ? r.signed(1) : r.u8());
    case 'bs':
      return BigInt(r.signed(1));
    case 'w':
      return BigInt(r.u16());
    case 'v':
      return p.operandSize === 64 ? r.u64() : BigInt(p.operandSize === 32 ? r.u32() : r.u16());
    case 'z':
      return BigInt(p.operandSize === 16 ? r.signed(2) : r.signed(4));
    default:
      throw new Error(`no immediate of size ${size}`);
  }
}

function parametersOf(e: Encoding, p: Prefixes, codeSize: CodeSize, memory: boolean): Parameters {
  const long = codeSize === 64;
  return {
    operandSize: operandSizeOf(e, p, codeSize),
    addressSize: addressSizeOf(p, codeSize),
    long,
    memory,
    segmented: !long || p.segment !== undefined,
    rep: e.attributes.has('rep') ? p.repeat : 'none',
  };
}

/** LOCK needs an instruction that allows it and a destination in memory (SDM vol. 2, LOCK). */
function lockIsValid(e: Encoding, memory: boolean): boolean {
  return e.definition.lockable === true && memory && /^[EM]/.test(e.operands[0]);
}

function decodeRest(r: Reader, codeSize: CodeSize): Decoded | DecodeFailure {
  const prefixes = readPrefixes(r, codeSize);
  if (r.at >= MAX_LENGTH) return 'tooLong';
  const { map, opcode } = readOpcode(r);
  const rows = OPCODES[map][opcode];
  if (rows.length === 0) return 'invalid';
  const hasModrm = rows[0].hasModrm;
  const modrm = hasModrm ? r.u8() : 0;
  const e = choose(rows, prefixes, codeSize, modrm);
  if (e === undefined) return 'invalid';
  const ignoresMod = e.operands.some((o) => /^[CD]r$/.test(o));
  const inMemory = hasModrm && modrm < 0xc0 && !ignoresMod;
  const parameters = parametersOf(e, prefixes, codeSize, inMemory);
  if (prefixes.lock && !lockIsValid(e, inMemory)) return 'invalid';
  const f: Fields = { length: 0, segment: DS_AT, scale: 0, reg: 0, rm: ZERO_AT, index: ZERO_AT, displacement: 0, immediate: 0n };
  f.segment = prefixes.segment ?? DS_AT;
  const place: Place = { r, f, prefixes, modrm };
  if (e.opcodeRegister) readOpcodeRegister(place, e, parameters, opcode);
  if (hasModrm) readModrm(place, e, parameters);
  readImmediates(place, e, parameters);
  f.length = r.at;
  return r.at > MAX_LENGTH ? 'tooLong' : { encoding: e, parameters, fields: f, prefixes };
}

function readOpcodeRegister({ f, prefixes }: Place, e: Encoding, p: Parameters, opcode: number): void {
  const code = e.operands.find((o) => o.startsWith('Z') && fixedRegister(o) === undefined);
  if (code === undefined) throw new Error(`${e.row}: +r without a Z operand`);
  f.reg = registerAt(code, opcode & 7, (prefixes.rex & 1) << 3, prefixes.rex, operandWidth(code, p));
}

/** Decodes the instruction at the start of `bytes` (at most 15 of them count). */
export function decode(bytes: Uint8Array, codeSize: CodeSize): Decoded | DecodeFailure {
  try {
    return decodeRest(new Reader(bytes), codeSize);
  } catch (error) {
    if (error !== TRUNCATED) throw error;
    return bytes.length > MAX_LENGTH ? 'tooLong' : 'truncated';
  }
}
