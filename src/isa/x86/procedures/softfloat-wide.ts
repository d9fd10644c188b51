/**
 * Arithmetic on 128 bits for the transcendental functions: fixed-point fractions, and reals of 128 significant bits. Errors of a few
 * units in the last place stay far below the 64 bits of a result.
 */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Type, Value } from '../../ir/types.ts';
import { EXPONENT_BIAS, floatProcedure, shiftRightJam } from './softfloat-format.ts';
import { mulHighUnsigned } from './wide-arithmetic.ts';

/** 128 bits. */
export interface Wide {
  readonly hi: Value;
  readonly lo: Value;
}
/** hi:lo · 2^(exponent - bias - 127), normalised: bit 127 is set. Signs are kept apart. */
export interface Real extends Wide {
  readonly exponent: Value;
}

export const REAL: readonly Type[] = ['i32', 'i64', 'i64'];
const WIDE: readonly Type[] = ['i64', 'i64'];
const low64 = (v: bigint): bigint => BigInt.asUintN(64, v);

export const wideConstant = (b: IrBuilder, v: bigint): Wide => ({
  hi: b.const('i64', v >> 64n),
  lo: b.const('i64', low64(v)),
});
/** The constant significand · 2^(exponent - 127). */
export const realConstant = (b: IrBuilder, exponent: number, significand: bigint): Real => ({
  exponent: b.const('i32', EXPONENT_BIAS + exponent),
  ...wideConstant(b, significand),
});
const wideArgs = (w: Wide): [Value, Value] => [w.hi, w.lo];
export const realArgs = (r: Real): [Value, Value, Value] => [r.exponent, r.hi, r.lo];

export function addWide(b: IrBuilder, x: Wide, y: Wide): Wide {
  const lo = b.add(x.lo, y.lo);
  return { hi: b.add(b.add(x.hi, y.hi), b.zext(b.ltU(lo, x.lo), 'i64')), lo };
}
export function subtractWide(b: IrBuilder, x: Wide, y: Wide): Wide {
  return { hi: b.sub(b.sub(x.hi, y.hi), b.zext(b.ltU(x.lo, y.lo), 'i64')), lo: b.sub(x.lo, y.lo) };
}
/** `mask` is 0 or -1 (`i64`): x + y or x - y. */
export function addSigned(b: IrBuilder, x: Wide, y: Wide, mask: Value): Wide {
  const flipped = { hi: b.xor(y.hi, mask), lo: b.xor(y.lo, mask) };
  const sum = addWide(b, x, flipped);
  return addWide(b, sum, { hi: b.const('i64', 0), lo: b.and(mask, 1) });
}
export function selectWide(b: IrBuilder, condition: Value, x: Wide, y: Wide): Wide {
  return { hi: b.select(condition, x.hi, y.hi), lo: b.select(condition, x.lo, y.lo) };
}
export function selectReal(b: IrBuilder, condition: Value, x: Real, y: Real): Real {
  return { exponent: b.select(condition, x.exponent, y.exponent), ...selectWide(b, condition, x, y) };
}
export const lessWide = (b: IrBuilder, x: Wide, y: Wide): Value =>
  b.or(b.ltU(x.hi, y.hi), b.and(b.eq(x.hi, y.hi), b.ltU(x.lo, y.lo)));

export function shiftWide(b: IrBuilder, x: Wide, right: Value | number): Wide {
  const [hi, lo] = b.call(shiftRightJam, x.hi, x.lo, b.value('i32', right));
  return { hi, lo };
}

/** The upper 128 bits of a product. */
const multiplyWide = floatProcedure('multiplyWide', [...WIDE, ...WIDE], WIDE, (b, xHi, xLo, yHi, yLo) => {
  const high = (x: Value, y: Value): Value => b.call(mulHighUnsigned, x, y)[0];
  const product: Wide = { hi: high(xHi, yHi), lo: b.mul(xHi, yHi) };
  const none = b.const('i64', 0);
  const first = addWide(b, product, { hi: none, lo: high(xHi, yLo) });
  b.return(...wideArgs(addWide(b, first, { hi: none, lo: high(xLo, yHi) })));
});
export function product(b: IrBuilder, x: Wide, y: Wide): Wide {
  const [hi, lo] = b.call(multiplyWide, ...wideArgs(x), ...wideArgs(y));
  return { hi, lo };
}

/** Moves the highest one of hi:lo, which is not zero, to bit 127; its exponent is that of bit 127 before. */
const normaliseReal = floatProcedure('normaliseReal', REAL, REAL, (b, exponent, hi, lo) => {
  const shift = b.variable(b.const('i64', 0));
  const upper = b.variable(hi);
  const lower = b.variable(lo);
  b.if(b.eq(hi, 0), () => {
    shift.set(b.const('i64', 64));
    upper.set(lo);
    lower.set(b.const('i64', 0));
  });
  const n = b.op('clz', [upper.get()]);
  // A shift by 64 - n in two steps, as n may be 0.
  const carried = b.shrU(b.shrU(lower.get(), 1), b.sub(b.const('i64', 63), n));
  const total = b.trunc(b.add(shift.get(), n), 'i32');
  b.return(b.sub(exponent, total), b.or(b.shl(upper.get(), n), carried), b.shl(lower.get(), n));
});
/** A fixed-point number as a real; `integerBits` of its 128 bits are before the point. */
export function realOfFixed(b: IrBuilder, x: Wide, integerBits: number): Real {
  const [exponent, hi, lo] = b.call(normaliseReal, b.const('i32', EXPONENT_BIAS + integerBits - 1), x.hi, x.lo);
  return { exponent, hi, lo };
}
/** A real that is less than 2^integerBits as a fixed-point number. */
export function fixedOfReal(b: IrBuilder, r: Real, integerBits: number): Wide {
  return shiftWide(b, r, b.sub(b.const('i32', EXPONENT_BIAS + integerBits - 1), r.exponent));
}

const multiplyReal = floatProcedure('multiplyReal', [...REAL, ...REAL], REAL, (b, xe, xHi, xLo, ye, yHi, yLo) => {
  const [hi, lo] = b.call(multiplyWide, xHi, xLo, yHi, yLo);
  const exponent = b.sub(b.add(xe, ye), EXPONENT_BIAS - 1);
  b.if(b.ltS(hi, 0), () => b.return(exponent, hi, lo));
  b.return(b.sub(exponent, 1), b.or(b.shl(hi, 1), b.shrU(lo, 63)), b.shl(lo, 1));
});
export function realProduct(b: IrBuilder, x: Real, y: Real): Real {
  const [exponent, hi, lo] = b.call(multiplyReal, ...realArgs(x), ...realArgs(y));
  return { exponent, hi, lo };
}

/** x / y, bit by bit. */
const divideReal = floatProcedure('divideReal', [...REAL, ...REAL], REAL, (b, xe, xHi, xLo, ye, yHi, yLo) => {
  const x: Wide = { hi: xHi, lo: xLo };
  const divisor: Wide = { hi: yHi, lo: yLo };
  const less = lessWide(b, x, divisor);
  const start = selectWide(b, less, x, subtractWide(b, x, divisor));
  const [remainderHi, remainderLo] = [b.variable(start.hi), b.variable(start.lo)];
  const [hi, lo] = [b.variable(b.const('i64', 0)), b.variable(b.zext(b.eq(less, 0), 'i64'))];
  b.loop(() => {
    const carry = b.ltS(remainderHi.get(), 0);
    const doubled: Wide = {
      hi: b.or(b.shl(remainderHi.get(), 1), b.shrU(remainderLo.get(), 63)),
      lo: b.shl(remainderLo.get(), 1),
    };
    const fits = b.or(carry, b.eq(lessWide(b, doubled, divisor), 0));
    const next = selectWide(b, fits, subtractWide(b, doubled, divisor), doubled);
    remainderHi.set(next.hi);
    remainderLo.set(next.lo);
    hi.set(b.or(b.shl(hi.get(), 1), b.shrU(lo.get(), 63)));
    lo.set(b.or(b.shl(lo.get(), 1), b.zext(fits, 'i64')));
    b.breakIf(b.ltS(hi.get(), 0));
  });
  const exponent = b.add(b.sub(xe, ye), EXPONENT_BIAS);
  b.return(b.sub(exponent, b.zext(less, 'i32')), hi.get(), lo.get());
});
export function realQuotient(b: IrBuilder, x: Real, y: Real): Real {
  const [exponent, hi, lo] = b.call(divideReal, ...realArgs(x), ...realArgs(y));
  return { exponent, hi, lo };
}

/** Bits after the point of the coefficients and values of series; two are before it. */
const SERIES_BITS = 126n;
/** Terms below this are left out. */
const SERIES_PRECISION = 2 ** -112;

/** Coefficients 1/d(0), 1/d(1), … until terms with an argument up to `largest` vanish. */
function coefficients(denominator: (k: number) => bigint, largest: number): bigint[] {
  const result: bigint[] = [];
  for (let k = 0; k === 0 || largest ** k / Number(denominator(k)) > SERIES_PRECISION; k++) {
    result.push((1n << SERIES_BITS) / denominator(k));
  }
  return result;
}

/**
 * The sum of ±t^k / d(k) with a fraction `t` (no bits before the point), as a fixed-point number with two: `mask` -1 alternates the
 * signs, 0 does not. An alternating series starts one unit lower, as its sum is less than its first term however small `t` is.
 */
export function series(
  b: IrBuilder,
  t: Wide,
  mask: Value,
  definition: { denominator: (k: number) => bigint; largest: number },
): Wide {
  const [first, ...rest] = coefficients(definition.denominator, definition.largest);
  let sum = wideConstant(b, rest[rest.length - 1]);
  for (const c of [first - 1n, ...rest.slice(0, -1)].reverse()) {
    sum = addSigned(b, wideConstant(b, c), product(b, t, sum), mask);
  }
  return sum;
}
export const factorial = (n: number): bigint => (n < 2 ? 1n : BigInt(n) * factorial(n - 1));
