/**
 * Pure operations on integers and floating-point numbers: their types and what they compute on bit patterns.
 *
 * Every value is a BigInt bit pattern of its type's width. Vector operations are in `vector-ops.ts` and
 * `vector-float-ops.ts`.
 */
import { bitsOf, floatOf, roundToEven } from './float-bits.ts';
import { type Type, WIDTH } from './types.ts';
import { VECTOR_FLOAT_OPS } from './vector-float-ops.ts';
import { VECTOR_OPS } from './vector-ops.ts';

/** The meaning of one operation. `result` is given the types of the first two arguments, `evaluate` that of the first. */
export interface OpMeaning {
  result(first: Type, second: Type): Type;
  evaluate(args: readonly bigint[], type: Type, immediate: readonly number[]): bigint;
}

const mask = (type: Type, v: bigint): bigint => BigInt.asUintN(WIDTH[type], v);
const signed = (type: Type, v: bigint): bigint => BigInt.asIntN(WIDTH[type], v);
/** Shift counts wrap at the width of the WebAssembly type that holds the value: 32 or 64. */
const shiftCount = (type: Type, n: bigint): bigint => n & (type === 'i64' ? 63n : 31n);

const same = (f: (a: bigint, b: bigint, type: Type) => bigint): OpMeaning => ({
  result: (type) => type,
  evaluate: (args, type) => mask(type, f(args[0], args[1], type)),
});
const compare = (f: (a: bigint, b: bigint, type: Type) => boolean): OpMeaning => ({
  result: () => 'i1',
  evaluate: (args, type) => (f(args[0], args[1], type) ? 1n : 0n),
});
const convert = (to: Type, f: (a: bigint, from: Type) => bigint): OpMeaning => ({
  result: () => to,
  evaluate: (args, from) => mask(to, f(args[0], from)),
});

/** f32 results of f64 operations round correctly for + - * / and square root (double rounding is innocuous at these widths). */
const floating = (f: (a: number, b: number) => number): OpMeaning => ({
  result: (type) => type,
  evaluate: ([a, b = 0n], type) => bitsOf(type, f(floatOf(type, a), floatOf(type, b))),
});
const floatCompare = (f: (a: number, b: number) => boolean): OpMeaning => ({
  result: () => 'i1',
  evaluate: ([a, b], type) => (f(floatOf(type, a), floatOf(type, b)) ? 1n : 0n),
});

function countLeadingZeros(type: Type, a: bigint): bigint {
  return BigInt(a === 0n ? WIDTH[type] : WIDTH[type] - a.toString(2).length);
}
function countTrailingZeros(type: Type, a: bigint): bigint {
  return a === 0n ? BigInt(WIDTH[type]) : BigInt((a & -a).toString(2).length - 1);
}
function populationCount(a: bigint): bigint {
  let n = 0n;
  for (let rest = a; rest !== 0n; rest &= rest - 1n) n += 1n;
  return n;
}
const rotate = (type: Type, a: bigint, n: bigint): bigint => {
  const width = BigInt(WIDTH[type]);
  const by = n & (width - 1n);
  return (a << by) | (a >> (width - by));
};
const truncateToI64 = (x: number): bigint =>
  Number.isNaN(x) ? 0n : BigInt(Math.max(-(2 ** 63), Math.min(2 ** 63, Math.trunc(x))));

const INTEGER_OPS: Record<string, OpMeaning> = {
  add: same((a, b) => a + b),
  sub: same((a, b) => a - b),
  mul: same((a, b) => a * b),
  /** Division by zero and overflow must be excluded before. */
  div_u: same((a, b) => a / b),
  div_s: same((a, b, t) => signed(t, a) / signed(t, b)),
  rem_u: same((a, b) => a % b),
  rem_s: same((a, b, t) => signed(t, a) % signed(t, b)),
  and: same((a, b) => a & b),
  or: same((a, b) => a | b),
  xor: same((a, b) => a ^ b),
  shl: same((a, b, t) => a << shiftCount(t, b)),
  shr_u: same((a, b, t) => a >> shiftCount(t, b)),
  shr_s: same((a, b, t) => signed(t, a) >> shiftCount(t, b)),
  /** i32 and i64 alone. */
  rotl: same((a, b, t) => rotate(t, a, b)),
  rotr: same((a, b, t) => rotate(t, a, BigInt(WIDTH[t]) - (b & BigInt(WIDTH[t] - 1)))),
  clz: same((a, _b, t) => countLeadingZeros(t, a)),
  ctz: same((a, _b, t) => countTrailingZeros(t, a)),
  popcnt: same((a) => populationCount(a)),
  eq: compare((a, b) => a === b),
  ne: compare((a, b) => a !== b),
  lt_u: compare((a, b) => a < b),
  le_u: compare((a, b) => a <= b),
  lt_s: compare((a, b, t) => signed(t, a) < signed(t, b)),
  le_s: compare((a, b, t) => signed(t, a) <= signed(t, b)),
  select: {
    result: (_condition, type) => type,
    evaluate: ([condition, a, b]) => (condition === 1n ? a : b),
  },
};
for (const to of ['i1', 'i8', 'i16', 'i32', 'i64'] as const) {
  INTEGER_OPS[`trunc.${to}`] = convert(to, (a) => a);
  INTEGER_OPS[`zext.${to}`] = convert(to, (a) => a);
  INTEGER_OPS[`sext.${to}`] = convert(to, (a, from) => signed(from, a));
}

const FLOAT_OPS: Record<string, OpMeaning> = {
  fadd: floating((a, b) => a + b),
  fsub: floating((a, b) => a - b),
  fmul: floating((a, b) => a * b),
  fdiv: floating((a, b) => a / b),
  fsqrt: floating((a) => Math.sqrt(a)),
  fnearest: floating(roundToEven),
  ffloor: floating(Math.floor),
  fceil: floating(Math.ceil),
  ftrunc: floating(Math.trunc),
  feq: floatCompare((a, b) => a === b),
  flt: floatCompare((a, b) => a < b),
  fle: floatCompare((a, b) => a <= b),
  'bits.i32': convert('i32', (a) => a),
  'bits.i64': convert('i64', (a) => a),
  'float.f32': convert('f32', (a) => a),
  'float.f64': convert('f64', (a) => a),
  /** Signed integers to floating point, rounding to nearest even. */
  'convert.f64': convert('f64', (a, from) => bitsOf('f64', Number(signed(from, a)))),
  'convert.f32': convert('f32', (a, from) => bitsOf('f32', i64ToF32(signed(from, a)))),
  'demote.f32': convert('f32', (a) => bitsOf('f32', floatOf('f64', a))),
  'promote.f64': convert('f64', (a) => bitsOf('f64', floatOf('f32', a))),
  /** Towards zero, saturating, NaN to zero. */
  'truncate_sat.i64': convert('i64', (a, from) => BigInt.asUintN(64, clampI64(truncateToI64(floatOf(from, a))))),
  'truncate_sat.i32': convert('i32', (a, from) => clampI32(truncateToI64(floatOf(from, a)))),
};
const clampI64 = (v: bigint): bigint => (v > 2n ** 63n - 1n ? 2n ** 63n - 1n : v);
const clampI32 = (v: bigint): bigint => (v > 2n ** 31n - 1n ? 2n ** 31n - 1n : v < -(2n ** 31n) ? -(2n ** 31n) : v);

/** One rounding: through f64 only when it is exact, else with a sticky bit kept below. */
function i64ToF32(v: bigint): number {
  const magnitude = v < 0n ? -v : v;
  if (magnitude < 2n ** 53n) return Math.fround(Number(v));
  const sticky = (magnitude & 0xffffn) !== 0n ? 1n : 0n;
  const rounded = Math.fround(Number((magnitude >> 16n) | sticky) * 65536);
  return v < 0n ? -rounded : rounded;
}

export const OPS: Readonly<Record<string, OpMeaning>> = {
  ...INTEGER_OPS,
  ...FLOAT_OPS,
  ...VECTOR_OPS,
  ...VECTOR_FLOAT_OPS,
};
