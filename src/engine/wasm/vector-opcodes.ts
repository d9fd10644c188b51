/**
 * WebAssembly opcodes of the vector operations of the IR (WebAssembly core specification, §5.4 "Vector Instructions"): the number that
 * follows the prefix byte 0xFD, as LEB128. The bytes of the operation's `immediate` (a lane, a shuffle) follow it as they are.
 */

/** Consecutive opcodes from `first`; `-` is one that is not used. */
function row(first: number, names: string): [string, number][] {
  return names
    .split(/\s+/)
    .map((name, i): [string, number] => [name, first + i])
    .filter(([name]) => name !== '-');
}

const COMPARE = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const of = (shape: string, names: string): string => names.replace(/[a-z]\S*/g, (name) => `${shape}.${name}`);

/** Opcode by operation of `VECTOR_OPS` and `VECTOR_FLOAT_OPS`. */
export const VECTOR_OPCODES: Readonly<Record<string, number>> = Object.fromEntries([
  ...row(0x0d, of('i8x16', 'shuffle swizzle splat')),
  ...row(0x10, 'i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat'),
  ...row(0x16, of('i8x16', 'extract replace')),
  ...row(0x19, of('i16x8', 'extract replace')),
  ...row(0x1b, of('i32x4', 'extract replace')),
  ...row(0x1d, of('i64x2', 'extract replace')),
  ...row(0x1f, of('f32x4', 'extract replace')),
  ...row(0x21, of('f64x2', 'extract replace')),
  ...row(0x23, of('i8x16', COMPARE)),
  ...row(0x2d, of('i16x8', COMPARE)),
  ...row(0x37, of('i32x4', COMPARE)),
  ...row(0x41, of('f32x4', 'eq - lt - le -')),
  ...row(0x47, of('f64x2', 'eq - lt - le -')),
  ...row(0x4d, of('v128', 'not and andnot or xor bitselect any_true')),
  ...row(0x5e, 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4'),
  ...row(0x60, of('i8x16', 'abs neg - all_true bitmask narrow_i16x8_s narrow_i16x8_u - - - - shl shr_s shr_u')),
  ...row(0x6a, 'f32x4.nearest'),
  ...row(0x6e, of('i8x16', 'add add_sat_s add_sat_u sub sub_sat_s sub_sat_u - - min_s min_u max_s max_u - avgr_u')),
  ...row(0x7c, of('i16x8', 'extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u')),
  ...row(0x7e, of('i32x4', 'extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u')),
  ...row(0x80, of('i16x8', 'abs neg q15mulr_sat_s all_true bitmask narrow_i32x4_s narrow_i32x4_u')),
  ...row(0x87, of('i16x8', 'extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u')),
  ...row(0x8b, of('i16x8', 'shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u')),
  ...row(0x94, 'f64x2.nearest'),
  ...row(0x95, of('i16x8', 'mul min_s min_u max_s max_u - avgr_u')),
  ...row(0x9c, of('i16x8', 'extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u')),
  ...row(0xa0, of('i32x4', 'abs neg - all_true bitmask')),
  ...row(0xa7, of('i32x4', 'extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u')),
  ...row(0xab, of('i32x4', 'shl shr_s shr_u add - - sub')),
  ...row(0xb5, of('i32x4', 'mul min_s min_u max_s max_u dot_i16x8_s')),
  ...row(0xbc, of('i32x4', 'extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u')),
  ...row(0xc0, of('i64x2', 'abs neg - all_true bitmask')),
  ...row(0xc7, of('i64x2', 'extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u')),
  ...row(0xcb, of('i64x2', 'shl shr_s shr_u add - - sub - - - mul eq ne lt_s gt_s le_s ge_s')),
  ...row(0xdc, of('i64x2', 'extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u')),
  ...row(0xe3, of('f32x4', 'sqrt add sub mul div - - pmin pmax')),
  ...row(0xef, of('f64x2', 'sqrt add sub mul div - - pmin pmax')),
  ...row(0xf8, 'i32x4.trunc_sat_f32x4_s - f32x4.convert_i32x4_s - i32x4.trunc_sat_f64x2_s_zero'),
  ...row(0xfe, 'f64x2.convert_low_i32x4_s'),
]);
