/** Kernels of the transcendental functions: series on reduced arguments, as reals of 128 bits (see `softfloat-wide.ts`). */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { EXPONENT_BIAS, floatProcedure, INTEGER_BIT } from './softfloat-format.ts';
import {
  addSigned,
  addWide,
  factorial,
  fixedOfReal,
  lessWide,
  product,
  REAL,
  type Real,
  realArgs,
  realConstant,
  realOfFixed,
  realProduct,
  realQuotient,
  selectWide,
  series,
  shiftWide,
  subtractWide,
  type Wide,
  wideConstant,
} from './softfloat-wide.ts';

/** ln 2 and 2 / ln 2, as significands of 128 bits. */
const LN2 = 0xb17217f7d1cf79abc9e3b39803f2f6afn;
const TWO_OVER_LN2 = 0xb8aa3b295c17f0bbbe87fed0691d3e88n;
/** π with two bits before the point. */
const PI = 0xc90fdaa22168c234c4c6628b80dc1cd1n;
/** The arc tangents of 1/8 to 8/8, as fractions. */
const ARC_TANGENTS = [
  0x1fd5ba9aac2f6dc65912f313e7d111den,
  0x3eb6ebf25901bac55b71e7bd7de885f9n,
  0x5bd86507937bc239c55190916e7f2241n,
  0x76b19c1586ed3da2b7f222f65e1d4681n,
  0x8f005d5ef7f59f9b5c835e1665c43747n,
  0xa4bc7d1934f7092419a87f2a457dac9en,
  0xb8053e2bc2319e73cb2da55210a4443dn,
  0xc90fdaa22168c234c4c6628b80dc1cd1n,
];
const SQRT2 = 0xb504f333f9de6484n;

const all = (b: IrBuilder): Value => b.const('i64', -1n);
const none = (b: IrBuilder): Value => b.const('i64', 0);
const maskOf = (b: IrBuilder, condition: Value): Value => b.neg(b.zext(condition, 'i64'));

/** 2^±x - 1 for 0 < x ≤ 1, as its magnitude; `negative` is 0 or 1 (`i32`). */
export const exponentialKernel = floatProcedure(
  'exponentialKernel',
  ['i32', 'i64', 'i32'],
  REAL,
  (b, exponent, significand, negative) => {
    // e^t - 1 = t (1 + t/2! + t²/3! + …)
    const t = realProduct(b, { exponent, hi: significand, lo: none(b) }, realConstant(b, -1, LN2));
    const mask = maskOf(b, b.ne(negative, 0));
    const definition = { denominator: (k: number) => factorial(k + 1), largest: 0.7 };
    const sum = series(b, fixedOfReal(b, t, 0), mask, definition);
    b.return(...realArgs(realProduct(b, t, realOfFixed(b, sum, 2))));
  },
);

/** s · 2/ln 2 · (1 + s²/3 + s⁴/5 + …) = log2((1 + s) / (1 - s)) for 0 < s ≤ 0.172. */
function logarithmOfQuotient(b: IrBuilder, s: Real): Real {
  const square = fixedOfReal(b, realProduct(b, s, s), 0);
  const definition = { denominator: (k: number) => BigInt(2 * k + 1), largest: 0.0296 };
  const sum = series(b, square, none(b), definition);
  return realProduct(b, realProduct(b, s, realConstant(b, 1, TWO_OVER_LN2)), realOfFixed(b, sum, 2));
}

/** |log2(1 ± x)| for 0 < x < 0.293; `negative` 1 for 1 - x. */
export const logarithmNearOne = floatProcedure(
  'logarithmNearOne',
  ['i32', 'i64', 'i32'],
  REAL,
  (b, exponent, significand, negative) => {
    const x: Real = { exponent, hi: significand, lo: none(b) };
    const two = wideConstant(b, 1n << 127n);
    const sum = addSigned(b, two, fixedOfReal(b, x, 2), maskOf(b, b.ne(negative, 0)));
    b.return(...realArgs(logarithmOfQuotient(b, realQuotient(b, x, realOfFixed(b, sum, 2)))));
  },
);

/** Bits before the point where an exponent and a logarithm are added. */
const EXPONENT_BITS = 16;

/** log2 of m · 2^e, as sign (0 or 1) and magnitude; `significand` is m · 2^63 with 1 ≤ m < 2, not 1 where e is 0. */
export const logarithmKernel = floatProcedure(
  'logarithmKernel',
  ['i32', 'i64'],
  ['i32', ...REAL],
  (b, e, significand) => {
    // With m > √2: m / 2, less than 1, and one exponent more.
    const above = b.ltU(b.const('i64', SQRT2), significand);
    const power = b.add(e, b.zext(above, 'i32'));
    const distance = b.select(above, b.neg(significand), b.sub(significand, INTEGER_BIT));
    const powerNegative = b.ltS(power, 0);
    const powerMagnitude = b.zext(b.select(powerNegative, b.neg(power), power), 'i64');
    const powerFixed: Wide = { hi: b.shl(powerMagnitude, 64 - EXPONENT_BITS), lo: none(b) };
    b.if(b.eq(distance, 0), () => {
      b.return(b.zext(powerNegative, 'i32'), ...realArgs(realOfFixed(b, powerFixed, EXPONENT_BITS)));
    });
    const numeratorBits = b.select(above, b.const('i32', EXPONENT_BIAS - 1), EXPONENT_BIAS);
    const n = b.op('clz', [distance]);
    const numerator: Real = { exponent: b.sub(numeratorBits, b.trunc(n, 'i32')), hi: b.shl(distance, n), lo: none(b) };
    const one = b.select(above, b.const('i64', INTEGER_BIT), INTEGER_BIT >> 1n);
    const denominator: Real = {
      exponent: b.select(above, b.const('i32', EXPONENT_BIAS), EXPONENT_BIAS + 1),
      hi: b.add(b.shrU(significand, 1), one),
      lo: b.shl(significand, 63),
    };
    const logarithm = logarithmOfQuotient(b, realQuotient(b, numerator, denominator));
    b.if(b.eq(power, 0), () => b.return(b.zext(above, 'i32'), ...realArgs(logarithm)));
    const differs = maskOf(b, b.xor(powerNegative, above));
    const sum = addSigned(b, powerFixed, fixedOfReal(b, logarithm, EXPONENT_BITS), differs);
    b.return(b.zext(powerNegative, 'i32'), ...realArgs(realOfFixed(b, sum, EXPONENT_BITS)));
  },
);

/** sin x for 0 < x ≤ π/4. */
export const sineKernel = floatProcedure('sineKernel', REAL, REAL, (b, exponent, hi, lo) => {
  const x: Real = { exponent, hi, lo };
  const square = fixedOfReal(b, realProduct(b, x, x), 0);
  const sum = series(b, square, all(b), { denominator: (k) => factorial(2 * k + 1), largest: 0.617 });
  b.return(...realArgs(realProduct(b, x, realOfFixed(b, sum, 2))));
});
/** cos x for 0 < x ≤ π/4. */
export const cosineKernel = floatProcedure('cosineKernel', REAL, REAL, (b, exponent, hi, lo) => {
  const x: Real = { exponent, hi, lo };
  const square = fixedOfReal(b, realProduct(b, x, x), 0);
  const sum = series(b, square, all(b), { denominator: (k) => factorial(2 * k), largest: 0.617 });
  b.return(...realArgs(realOfFixed(b, sum, 2)));
});

const arcTangentSeries = (b: IrBuilder, z: Real): Real => {
  const square = fixedOfReal(b, realProduct(b, z, z), 0);
  const sum = series(b, square, all(b), { denominator: (k) => BigInt(2 * k + 1), largest: 1 / 250 });
  return realProduct(b, z, realOfFixed(b, sum, 2));
};

/** arctan(k/8) for 1 ≤ k ≤ 8 (`i64`), as a fraction. */
function arcTangentOfEighths(b: IrBuilder, k: Value): Wide {
  return ARC_TANGENTS.slice(1).reduce(
    (found, v, i) => selectWide(b, b.eq(k, i + 2), wideConstant(b, v), found),
    wideConstant(b, ARC_TANGENTS[0]),
  );
}

/** arctan z for 0 < z < 1. */
const arcTangentKernel = floatProcedure('arcTangentKernel', REAL, REAL, (b, exponent, hi, lo) => {
  const z: Real = { exponent, hi, lo };
  const fraction = fixedOfReal(b, z, 0);
  const k = b.shrU(b.add(b.shrU(fraction.hi, 60), 1), 1);
  b.if(b.eq(k, 0), () => b.return(...realArgs(arcTangentSeries(b, z))));
  // arctan z = arctan(k/8) + arctan((8z - k) / (8 + kz)), with four bits before the point.
  const kFixed: Wide = { hi: b.shl(k, 60), lo: none(b) };
  const eightfold = shiftWide(b, fraction, 1);
  const negative = lessWide(b, eightfold, kFixed);
  const distance = selectWide(b, negative, subtractWide(b, kFixed, eightfold), subtractWide(b, eightfold, kFixed));
  const base = arcTangentOfEighths(b, k);
  b.if(b.eq(b.or(distance.hi, distance.lo), 0), () => b.return(...realArgs(realOfFixed(b, base, 0))));
  const denominator = addWide(b, wideConstant(b, 8n << 124n), product(b, fraction, kFixed));
  const quotient = realQuotient(b, realOfFixed(b, distance, 4), realOfFixed(b, denominator, 4));
  const rest = fixedOfReal(b, arcTangentSeries(b, quotient), 0);
  b.return(...realArgs(realOfFixed(b, addSigned(b, base, rest, maskOf(b, negative)), 0)));
});

/** The angle of (x, y) for positive |x| and |y|, with 1 for a negative x: between 0 and π. */
export const angleKernel = floatProcedure(
  'angleKernel',
  ['i32', 'i64', 'i32', 'i64', 'i32'],
  REAL,
  (b, yExponent, ySignificand, xExponent, xSignificand, xNegative) => {
    const y: Real = { exponent: yExponent, hi: ySignificand, lo: none(b) };
    const x: Real = { exponent: xExponent, hi: xSignificand, lo: none(b) };
    const sameExponent = b.eq(yExponent, xExponent);
    const steep = b.or(b.ltS(xExponent, yExponent), b.and(sameExponent, b.ltU(xSignificand, ySignificand)));
    const isDiagonal = b.and(sameExponent, b.eq(xSignificand, ySignificand));
    const isNegative = b.ne(xNegative, 0);
    const quarters = (n: bigint): Wide => wideConstant(b, (PI * n) >> 2n);
    b.if(isDiagonal, () =>
      b.return(...realArgs(realOfFixed(b, selectWide(b, isNegative, quarters(3n), quarters(1n)), 2))),
    );
    const swap = (a: Value, c: Value): Value => b.select(steep, a, c);
    const smaller: Real = { exponent: swap(x.exponent, y.exponent), hi: swap(x.hi, y.hi), lo: none(b) };
    const larger: Real = { exponent: swap(y.exponent, x.exponent), hi: swap(y.hi, x.hi), lo: none(b) };
    const [exponent, hi, lo] = b.call(arcTangentKernel, ...realArgs(realQuotient(b, smaller, larger)));
    const angle: Real = { exponent, hi, lo };
    b.if(b.eq(b.or(steep, isNegative), 0), () => b.return(...realArgs(angle)));
    const fixed = fixedOfReal(b, angle, 2);
    // π/2 - a, π/2 + a or π - a.
    const base = selectWide(b, steep, quarters(2n), quarters(4n));
    const subtracts = b.eq(b.and(steep, isNegative), 0);
    b.return(...realArgs(realOfFixed(b, addSigned(b, base, fixed, maskOf(b, subtracts)), 2)));
  },
);

/** π as the processors know it for reduction, 66 bits: half of it in units of 2^-65. */
const HALF_PI_66 = 0x3243f6a8885a308d3n;
/** Bits of an integer in these units behind the point. */
const REDUCTION_BITS = 65;

/**
 * x modulo π/2 for 0 < x < 2^63, to the nearest multiple: quadrant (0–3), 1 where the rest is negative, and its magnitude, which is
 * never zero.
 */
export const reduceAngle = floatProcedure(
  'reduceAngle',
  ['i32', 'i64'],
  ['i32', 'i32', ...REAL],
  (b, exponent, significand) => {
    // Below π/4 nothing is to be done.
    const small = b.or(
      b.ltS(exponent, EXPONENT_BIAS - 1),
      b.and(b.eq(exponent, EXPONENT_BIAS - 1), b.ltU(significand, 0xc90fdaa22168c234n)),
    );
    const zero = b.const('i32', 0);
    b.if(small, () => b.return(zero, zero, exponent, significand, none(b)));
    // The significand is less than π/2 in these units; it is doubled as often as its exponent says.
    const modulus = wideConstant(b, HALF_PI_66);
    const left = b.variable(b.add(b.sub(exponent, EXPONENT_BIAS), REDUCTION_BITS - 63));
    const [hi, lo] = [b.variable(none(b)), b.variable(significand)];
    const quotient = b.variable(zero);
    b.loop(() => {
      const doubled: Wide = { hi: b.or(b.shl(hi.get(), 1), b.shrU(lo.get(), 63)), lo: b.shl(lo.get(), 1) };
      const fits = b.eq(lessWide(b, doubled, modulus), 0);
      const next = selectWide(b, fits, subtractWide(b, doubled, modulus), doubled);
      hi.set(next.hi);
      lo.set(next.lo);
      quotient.set(b.or(b.shl(quotient.get(), 1), b.zext(fits, 'i32')));
      left.set(b.sub(left.get(), 1));
      b.breakIf(b.eq(left.get(), 0));
    });
    const rest: Wide = { hi: hi.get(), lo: lo.get() };
    const complement = subtractWide(b, modulus, rest);
    const negative = lessWide(b, complement, rest);
    const magnitude = selectWide(b, negative, complement, rest);
    const quadrant = b.and(b.add(quotient.get(), b.zext(negative, 'i32')), 3);
    b.return(quadrant, b.zext(negative, 'i32'), ...realArgs(realOfFixed(b, magnitude, 128 - REDUCTION_BITS)));
  },
);
