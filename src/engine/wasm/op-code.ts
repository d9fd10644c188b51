/** How each pure integer and floating-point operation of the IR is written in WebAssembly. */
import type { Type } from '../../isa/ir/types.ts';
import { WIDTH } from '../../isa/ir/types.ts';
import { type ByteWriter, OP, OP_FC, type WasmType } from './encoder.ts';
import { VECTOR_OPCODES } from './vector-opcodes.ts';

/** The WebAssembly type that holds values of an IR type; narrow integers lie in an i32, zero-extended. */
export const WASM_TYPE: Readonly<Record<Type, WasmType>> = {
  i1: 'i32',
  i8: 'i32',
  i16: 'i32',
  i32: 'i32',
  i64: 'i64',
  i128: 'v128',
  f32: 'f32',
  f64: 'f64',
};

type OpName = keyof typeof OP;
const both = (name: string, op64 = name): Readonly<Record<'i32' | 'i64', number>> => ({
  i32: OP[`i32_${name}` as OpName],
  i64: OP[`i64_${op64}` as OpName],
});

/** Operations whose low result bits depend on the low bits of the operands alone. */
export const MODULAR: Readonly<Record<string, Readonly<Record<'i32' | 'i64', number>>>> = {
  add: both('add'),
  sub: both('sub'),
  mul: both('mul'),
  and: both('and'),
  or: both('or'),
  xor: both('xor'),
};
/** Operations on whole operands, zero-extended. */
export const UNSIGNED: Readonly<Record<string, Readonly<Record<'i32' | 'i64', number>>>> = {
  div_u: both('div_u'),
  rem_u: both('rem_u'),
  shr_u: both('shr_u'),
  rotl: both('rotl'),
  rotr: both('rotr'),
  eq: both('eq'),
  ne: both('ne'),
  lt_u: both('lt_u'),
  le_u: both('le_u'),
  popcnt: both('popcnt'),
};
/** Operations on sign-extended operands. */
export const SIGNED: Readonly<Record<string, Readonly<Record<'i32' | 'i64', number>>>> = {
  div_s: both('div_s'),
  rem_s: both('rem_s'),
  lt_s: both('lt_s'),
  le_s: both('le_s'),
};

export const FLOAT: Readonly<Record<string, Readonly<Record<'f32' | 'f64', number>>>> = Object.fromEntries(
  (
    [
      ['fadd', 'add'],
      ['fsub', 'sub'],
      ['fmul', 'mul'],
      ['fdiv', 'div'],
      ['fsqrt', 'sqrt'],
      ['fnearest', 'nearest'],
      ['ffloor', 'floor'],
      ['fceil', 'ceil'],
      ['ftrunc', 'trunc'],
      ['feq', 'eq'],
      ['flt', 'lt'],
      ['fle', 'le'],
    ] as const
  ).map(([name, op]) => [name, { f32: OP[`f32_${op}`], f64: OP[`f64_${op}`] }]),
);

const CONVERSIONS: Readonly<Record<string, number>> = {
  'f32>bits.i32': OP.i32_reinterpret_f32,
  'f64>bits.i64': OP.i64_reinterpret_f64,
  'i32>float.f32': OP.f32_reinterpret_i32,
  'i64>float.f64': OP.f64_reinterpret_i64,
  'i32>convert.f64': OP.f64_convert_i32_s,
  'i64>convert.f64': OP.f64_convert_i64_s,
  'i32>convert.f32': OP.f32_convert_i32_s,
  'i64>convert.f32': OP.f32_convert_i64_s,
  'f64>demote.f32': OP.f32_demote_f64,
  'f32>promote.f64': OP.f64_promote_f32,
};
const SATURATING: Readonly<Record<string, number>> = {
  'f32>truncate_sat.i32': OP_FC.i32_trunc_sat_f32_s,
  'f64>truncate_sat.i32': OP_FC.i32_trunc_sat_f64_s,
  'f32>truncate_sat.i64': OP_FC.i64_trunc_sat_f32_s,
  'f64>truncate_sat.i64': OP_FC.i64_trunc_sat_f64_s,
};

/** Writes a conversion between floating-point and other types; false if it is none. */
export function writeFloatConversion(code: ByteWriter, op: string, from: Type): boolean {
  const key = `${from}>${op}`;
  if (key in CONVERSIONS) code.byte(CONVERSIONS[key]);
  else if (key in SATURATING) {
    code.byte(0xfc);
    code.u32(SATURATING[key]);
  } else return false;
  return true;
}

/** Clears what lies above a narrow integer. */
export function writeMask(code: ByteWriter, type: Type): void {
  if (type !== 'i8' && type !== 'i16' && type !== 'i1') return;
  code.i32(2 ** WIDTH[type] - 1);
  code.byte(OP.i32_and);
}

/** Extends the sign of a narrow integer over its i32. */
export function writeSignExtension(code: ByteWriter, type: Type): void {
  if (type === 'i8') code.byte(OP.i32_extend8_s);
  else if (type === 'i16') code.byte(OP.i32_extend16_s);
  else if (type === 'i1') {
    for (let i = 0; i < 2; i++) {
      code.i32(31);
      code.byte(i === 0 ? OP.i32_shl : OP.i32_shr_s);
    }
  }
}

const LOAD: Readonly<Record<Type, number>> = {
  i1: OP.i32_load8_u,
  i8: OP.i32_load8_u,
  i16: OP.i32_load16_u,
  i32: OP.i32_load,
  i64: OP.i64_load,
  i128: 0,
  f32: OP.f32_load,
  f64: OP.f64_load,
};
const STORE: Readonly<Record<Type, number>> = {
  i1: OP.i32_store8,
  i8: OP.i32_store8,
  i16: OP.i32_store16,
  i32: OP.i32_store,
  i64: OP.i64_store,
  i128: 11,
  f32: OP.i32_store,
  f64: OP.i64_store,
};
/** A load of `type` from the address on the stack plus `offset`; unaligned. */
export function writeLoad(code: ByteWriter, type: Type, offset: number): void {
  if (type === 'i128') code.byte(0xfd);
  code.memory(LOAD[type], offset);
}
/** A store of `type` to the address on the stack plus `offset`; unaligned. */
export function writeStore(code: ByteWriter, type: Type, offset: number): void {
  if (type === 'i128') code.byte(0xfd);
  code.memory(STORE[type], offset);
}

/** An operation on vectors. */
export function writeVectorOp(code: ByteWriter, op: string, immediate: readonly number[]): void {
  code.byte(0xfd);
  code.u32(VECTOR_OPCODES[op]);
  for (const b of immediate) code.byte(b);
}

/** Opcodes behind the prefix FD that move a lane of 32 or 64 bits; `lane` is always 0. */
const VECTOR_MEMORY = {
  v128_store32_lane: 0x5a,
  v128_store64_lane: 0x5b,
  v128_load32_zero: 0x5c,
  v128_load64_zero: 0x5d,
};
/** A load into the lowest lane with zeros above it, or a store of that lane; unaligned, at the address on the stack plus `offset`. */
export function writeVectorMemoryOp(code: ByteWriter, op: keyof typeof VECTOR_MEMORY, offset: number): void {
  code.byte(0xfd);
  code.u32(VECTOR_MEMORY[op]);
  code.byte(0);
  code.u32(offset);
  if (op.includes('lane')) code.byte(0);
}
