/** The instructions of WebAssembly by opcode, named as in its text format (WebAssembly Core Specification, appendix "Index of Instructions"). */

import type { ByteReader } from './byte-reader.ts';

/** What follows an opcode. */
export type Immediate =
  | 'none' | 'block' | 'label' | 'labels' | 'function' | 'indirect' | 'types' | 'local' | 'index' | 'twoIndices'
  | 'memory' | 'memoryLane' | 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'lane' | 'lanes'; // biome-ignore format: a list

export interface Instruction {
  readonly name: string;
  readonly immediate: Immediate;
  /** Of a memory access: the alignment that it has unless it says otherwise, as a power of two. */
  readonly alignment: number;
}

const IMMEDIATES: readonly (readonly [RegExp, Immediate])[] = [
  [/^(block|loop|if)$/, 'block'],
  [/^(br|br_if)$/, 'label'],
  [/^br_table$/, 'labels'],
  [/^(return_)?call$/, 'function'],
  [/^(return_)?call_indirect$/, 'indirect'],
  [/^select_typed$/, 'types'],
  [/^local\./, 'local'],
  [/^(global|table)\.(get|set|grow|size|fill)|^memory\.(size|grow|fill)|\.drop$/, 'index'],
  [/^(memory|table)\.(init|copy)/, 'twoIndices'],
  [/\.(load|store)\d+_lane$/, 'memoryLane'],
  [/\.(load|store)/, 'memory'],
  [/^i32\.const/, 'i32'],
  [/^i64\.const/, 'i64'],
  [/^f32\.const/, 'f32'],
  [/^f64\.const/, 'f64'],
  [/^v128\.const/, 'v128'],
  [/_lane(_[su])?$/, 'lane'],
  [/shuffle/, 'lanes'],
];
const TYPE_BYTES: Readonly<Record<string, number>> = { i32: 4, i64: 8, f32: 4, f64: 8, v128: 16 };

/** A narrow access names its bits; one that widens lanes reads eight bytes. */
function alignmentOf(name: string): number {
  const [type, operation = ''] = name.split('.');
  const bits = /\d+x\d/.test(operation) ? 64 : Number(/\d+/.exec(operation)?.[0] ?? 0);
  return Math.log2(bits > 0 ? bits / 8 : (TYPE_BYTES[type] ?? 1));
}

/** Instructions of consecutive opcodes from `first`, `shape.` before each where one is given; `-` is an opcode that is not used. */
function row(first: number, names: string, shape?: string): [number, Instruction][] {
  return names.split(/\s+/).flatMap((short, i): [number, Instruction][] => {
    if (short === '-') return [];
    const name = shape === undefined ? short : `${shape}.${short}`;
    const immediate = IMMEDIATES.find(([pattern]) => pattern.test(name))?.[1] ?? 'none';
    return [[first + i, { name, immediate, alignment: alignmentOf(name) }]];
  });
}

const COMPARE = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const FLOAT_COMPARE = 'eq ne lt gt le ge';
const INTEGER = 'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr';
const FLOAT = 'abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign';
const FLOAT_LANES = 'abs neg - sqrt add sub mul div min max pmin pmax';
const SHIFTS_AND_SATURATING = 'shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u';
const extended = (what: string, from: string): string =>
  ['low', 'high'].map((half) => `${what}_${half}_${from}_s`).join(' ') +
  ['low', 'high'].map((half) => ` ${what}_${half}_${from}_u`).join('');

const PLAIN = new Map([
  ...row(0x00, 'unreachable nop block loop if else'),
  ...row(0x0b, 'end br br_if br_table return call call_indirect return_call return_call_indirect'),
  ...row(0x1a, 'drop select select_typed'),
  ...row(0x20, 'local.get local.set local.tee global.get global.set table.get table.set'),
  ...row(0x28, 'i32.load i64.load f32.load f64.load'),
  ...row(0x2c, 'load8_s load8_u load16_s load16_u', 'i32'),
  ...row(0x30, 'load8_s load8_u load16_s load16_u load32_s load32_u', 'i64'),
  ...row(0x36, 'i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32'),
  ...row(0x3f, 'memory.size memory.grow i32.const i64.const f32.const f64.const'),
  ...row(0x45, `eqz ${COMPARE}`, 'i32'),
  ...row(0x50, `eqz ${COMPARE}`, 'i64'),
  ...row(0x5b, FLOAT_COMPARE, 'f32'),
  ...row(0x61, FLOAT_COMPARE, 'f64'),
  ...row(0x67, INTEGER, 'i32'),
  ...row(0x79, INTEGER, 'i64'),
  ...row(0x8b, FLOAT, 'f32'),
  ...row(0x99, FLOAT, 'f64'),
  ...row(0xa7, 'wrap_i64 trunc_f32_s trunc_f32_u trunc_f64_s trunc_f64_u', 'i32'),
  ...row(0xac, 'extend_i32_s extend_i32_u trunc_f32_s trunc_f32_u trunc_f64_s trunc_f64_u', 'i64'),
  ...row(0xb2, 'convert_i32_s convert_i32_u convert_i64_s convert_i64_u demote_f64', 'f32'),
  ...row(0xb7, 'convert_i32_s convert_i32_u convert_i64_s convert_i64_u promote_f32', 'f64'),
  ...row(0xbc, 'i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64'),
  ...row(0xc0, 'i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s'),
]);

/** Behind the prefix FC. */
const EXTENDED = new Map([
  ...row(0, 'trunc_sat_f32_s trunc_sat_f32_u trunc_sat_f64_s trunc_sat_f64_u', 'i32'),
  ...row(4, 'trunc_sat_f32_s trunc_sat_f32_u trunc_sat_f64_s trunc_sat_f64_u', 'i64'),
  ...row(8, 'memory.init data.drop memory.copy memory.fill table.init elem.drop table.copy'),
  ...row(15, 'table.grow table.size table.fill'),
]);

/** Behind the prefix FD. */
const VECTOR = new Map([
  ...row(0x00, 'load load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u', 'v128'),
  ...row(0x07, 'load8_splat load16_splat load32_splat load64_splat store const', 'v128'),
  ...row(0x0d, 'i8x16.shuffle i8x16.swizzle'),
  ...row(0x0f, 'i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat'),
  ...row(0x15, 'extract_lane_s extract_lane_u replace_lane', 'i8x16'),
  ...row(0x18, 'extract_lane_s extract_lane_u replace_lane', 'i16x8'),
  ...row(0x1b, 'i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane'),
  ...row(0x1f, 'f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane'),
  ...row(0x23, COMPARE, 'i8x16'),
  ...row(0x2d, COMPARE, 'i16x8'),
  ...row(0x37, COMPARE, 'i32x4'),
  ...row(0x41, FLOAT_COMPARE, 'f32x4'),
  ...row(0x47, FLOAT_COMPARE, 'f64x2'),
  ...row(0x4d, 'not and andnot or xor bitselect any_true load8_lane load16_lane load32_lane load64_lane', 'v128'),
  ...row(0x58, 'store8_lane store16_lane store32_lane store64_lane load32_zero load64_zero', 'v128'),
  ...row(0x5e, 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4'),
  ...row(0x60, 'abs neg popcnt all_true bitmask narrow_i16x8_s narrow_i16x8_u', 'i8x16'),
  ...row(0x67, 'ceil floor trunc nearest', 'f32x4'),
  ...row(0x6b, SHIFTS_AND_SATURATING, 'i8x16'),
  ...row(0x74, 'f64x2.ceil f64x2.floor i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u f64x2.trunc i8x16.avgr_u'),
  ...row(0x7c, 'extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u', 'i16x8'),
  ...row(0x7e, 'extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u', 'i32x4'),
  ...row(0x80, 'abs neg q15mulr_sat_s all_true bitmask narrow_i32x4_s narrow_i32x4_u', 'i16x8'),
  ...row(0x87, `${extended('extend', 'i8x16')} ${SHIFTS_AND_SATURATING}`, 'i16x8'),
  ...row(0x94, 'f64x2.nearest i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u - i16x8.avgr_u'),
  ...row(0x9c, extended('extmul', 'i8x16'), 'i16x8'),
  ...row(0xa0, `abs neg - all_true bitmask - - ${extended('extend', 'i16x8')} shl shr_s shr_u add - - sub`, 'i32x4'),
  ...row(0xb5, `mul min_s min_u max_s max_u dot_i16x8_s - ${extended('extmul', 'i16x8')}`, 'i32x4'),
  ...row(0xc0, `abs neg - all_true bitmask - - ${extended('extend', 'i32x4')} shl shr_s shr_u add - - sub`, 'i64x2'),
  ...row(0xd5, `mul eq ne lt_s gt_s le_s ge_s ${extended('extmul', 'i32x4')}`, 'i64x2'),
  ...row(0xe0, FLOAT_LANES, 'f32x4'),
  ...row(0xec, FLOAT_LANES, 'f64x2'),
  ...row(0xf8, 'i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u'),
  ...row(0xfc, 'i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero'),
  ...row(0xfe, 'f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u'),
]);

/** By the prefix byte; 0 is none. */
export const INSTRUCTIONS: Readonly<Record<number, ReadonlyMap<number, Instruction>>> = {
  0: PLAIN,
  252: EXTENDED,
  253: VECTOR,
};

/** The instruction whose opcode is next; undefined where there is none of that opcode. */
export function instructionAt(r: ByteReader): Instruction | undefined {
  const first = r.byte();
  const prefix = first in INSTRUCTIONS && first !== 0 ? first : 0;
  return INSTRUCTIONS[prefix].get(prefix === 0 ? first : r.u32());
}
