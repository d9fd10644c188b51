/** F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS and FPTAN of extended numbers: special cases around the kernels (SDM vol. 2). */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { BINARY_PARAMETERS, denormalFlag, FLOAT_RESULTS, floatAdd, floatMultiply } from './softfloat-arithmetic.ts';
import { floatFromInteger } from './softfloat-convert.ts';
import {
  angleKernel,
  cosineKernel,
  exponentialKernel,
  logarithmKernel,
  logarithmNearOne,
  reduceAngle,
  sineKernel,
} from './softfloat-elementary.ts';
import {
  CLASS,
  CLASS_NAN,
  ENV,
  EXPONENT_BIAS,
  EXPONENT_MAX,
  FLOAT_FLAG,
  floatClassify,
  floatProcedure,
  floatPropagateNan,
  has,
  INTEGER_BIT,
  returnIndefinite,
  signOf,
} from './softfloat-format.ts';
import { floatRound } from './softfloat-round.ts';
import { type Real, realArgs, realProduct, realQuotient, selectReal } from './softfloat-wide.ts';

/** An operand taken apart. */
interface Operand {
  readonly se: Value;
  readonly bits: Value;
  readonly class: Value;
  readonly sign: Value;
  readonly exponent: Value;
  readonly significand: Value;
}
function takeApart(b: IrBuilder, se: Value, bits: Value): Operand {
  const [kind, exponent, significand] = b.call(floatClassify, se, bits);
  return { se, bits, class: kind, sign: signOf(b, se), exponent, significand };
}
const is = (b: IrBuilder, o: Operand, bits: number): Value => has(b, o.class, bits);
const not = (b: IrBuilder, v: Value): Value => b.eq(v, 0);
const real = (b: IrBuilder, o: Operand): Real => ({ exponent: o.exponent, hi: o.significand, lo: b.const('i64', 0) });
const one = (b: IrBuilder): Value => b.const('i64', INTEGER_BIT);

function returnNan(b: IrBuilder, x: Operand, y: Operand, env: Value): void {
  b.return(...b.call(floatPropagateNan, x.se, x.bits, x.class, y.se, y.bits, y.class, env));
}
/** Both operands taken apart; a NaN among them ends the procedure. */
function takeApartBoth(
  b: IrBuilder,
  xSe: Value,
  xBits: Value,
  ySe: Value,
  yBits: Value,
  env: Value,
): { readonly x: Operand; readonly y: Operand; readonly flags: Value } {
  const x = takeApart(b, xSe, xBits);
  const y = takeApart(b, ySe, yBits);
  const either = b.or(x.class, y.class);
  b.if(has(b, either, CLASS_NAN), () => returnNan(b, x, y, env));
  return { x, y, flags: denormalFlag(b, either, env) };
}
function returnInfinity(b: IrBuilder, sign: Value, flags: Value): void {
  b.return(b.or(sign, EXPONENT_MAX), one(b), flags);
}
function returnZero(b: IrBuilder, sign: Value, flags: Value): void {
  b.return(sign, b.const('i64', 0), flags);
}

/** Precision control does not apply to these functions (SDM vol. 1 §8.1.5.2). */
const fullPrecision = (b: IrBuilder, env: Value): Value => b.or(env, ENV.precision64);

/** Rounds a result that is never exact. */
function rounded(b: IrBuilder, sign: Value, r: Real, env: Value): { se: Value; significand: Value; flags: Value } {
  const [se, significand, flags] = b.call(floatRound, sign, r.exponent, r.hi, b.or(r.lo, 1), fullPrecision(b, env));
  return { se, significand, flags };
}
function returnRounded(b: IrBuilder, sign: Value, r: Real, env: Value, flags: Value): void {
  const result = rounded(b, sign, r, env);
  b.return(result.se, result.significand, b.or(flags, result.flags));
}

/** F2XM1; outside of -1…1, where the result is undefined, the operand stays and counts as inexact. */
export const floatExponential = floatProcedure(
  'floatExponential',
  ['i32', 'i64', 'i32'],
  FLOAT_RESULTS,
  (b, se, bits, env) => {
    const x = takeApart(b, se, bits);
    b.if(is(b, x, CLASS_NAN), () => returnNan(b, x, x, env));
    const negative = b.ne(x.sign, 0);
    const flags = denormalFlag(b, x.class, env);
    b.if(is(b, x, CLASS.zero), () => b.return(se, bits, flags));
    const minus = (exponent: number, more: Value): void =>
      b.return(b.const('i32', 0x8000 | exponent), one(b), b.or(flags, more));
    b.if(is(b, x, CLASS.infinity), () => {
      b.if(negative, () => minus(EXPONENT_BIAS, b.const('i32', 0)));
      b.return(se, bits, flags);
    });
    b.if(b.leS(b.const('i32', EXPONENT_BIAS), x.exponent), () => {
      // Current processors call even the results for 1 and -1 inexact.
      const inexact = b.const('i32', FLOAT_FLAG.PE);
      const isOne = b.and(b.eq(x.exponent, EXPONENT_BIAS), b.eq(bits, INTEGER_BIT));
      b.if(b.and(negative, isOne), () => minus(EXPONENT_BIAS - 1, inexact));
      b.return(se, bits, b.or(flags, inexact));
    });
    const [exponent, hi, lo] = b.call(exponentialKernel, x.exponent, x.significand, b.zext(negative, 'i32'));
    returnRounded(b, x.sign, { exponent, hi, lo }, env, flags);
  },
);

/** y · log2 x where one of them is zero or infinite, or x negative. */
function logarithmSpecial(b: IrBuilder, x: Operand, y: Operand, belowOne: Value, flags: Value): void {
  const yZero = is(b, y, CLASS.zero);
  const yInfinite = is(b, y, CLASS.infinity);
  const flipped = b.xor(y.sign, 0x8000);
  b.if(is(b, x, CLASS.zero), () => {
    b.if(yZero, () => returnIndefinite(b));
    b.if(yInfinite, () => returnInfinity(b, flipped, flags));
    returnInfinity(b, flipped, b.const('i32', FLOAT_FLAG.ZE));
  });
  b.if(b.ne(x.sign, 0), () => returnIndefinite(b));
  b.if(is(b, x, CLASS.infinity), () => {
    b.if(yZero, () => returnIndefinite(b));
    returnInfinity(b, y.sign, flags);
  });
  const sign = b.select(belowOne, flipped, y.sign);
  b.if(yInfinite, () => {
    const isOne = b.and(b.eq(x.exponent, EXPONENT_BIAS), b.eq(x.significand, INTEGER_BIT));
    b.if(isOne, () => returnIndefinite(b));
    returnInfinity(b, sign, flags);
  });
  b.if(yZero, () => returnZero(b, sign, flags));
}

/** FYL2X: y · log2 x, with x first. */
export const floatLogarithm = floatProcedure(
  'floatLogarithm',
  BINARY_PARAMETERS,
  FLOAT_RESULTS,
  (b, xSe, xBits, ySe, yBits, env) => {
    const { x, y, flags } = takeApartBoth(b, xSe, xBits, ySe, yBits, env);
    const belowOne = b.ltS(x.exponent, EXPONENT_BIAS);
    logarithmSpecial(b, x, y, belowOne, flags);
    const power = b.sub(x.exponent, EXPONENT_BIAS);
    b.if(b.eq(x.significand, INTEGER_BIT), () => {
      // The logarithm is an integer; all but that of 1 counts as inexact, as on current processors.
      const [se, significand] = b.call(floatFromInteger, b.sext(power, 'i64'));
      const [resultSe, result, more] = b.call(floatMultiply, se, significand, ySe, yBits, fullPrecision(b, env));
      const inexact = b.select(b.eq(power, 0), b.const('i32', 0), FLOAT_FLAG.PE);
      b.return(resultSe, result, b.or(b.or(flags, inexact), more));
    });
    const [negative, exponent, hi, lo] = b.call(logarithmKernel, power, x.significand);
    const sign = b.xor(y.sign, b.shl(negative, 15));
    returnRounded(b, sign, realProduct(b, { exponent, hi, lo }, real(b, y)), env, flags);
  },
);

/** The range of FYL2XP1: |x| below 1 - √½, a little rounded up, as a significand at exponent -2. */
const NEAR_ONE = 0x95f619980c433f00n;

/** FYL2XP1: y · log2(1 + x), with x first. Where the manual leaves it undefined: the logarithm of the rounded sum, and x from -1 down. */
export const floatLogarithmNearOne = floatProcedure(
  'floatLogarithmNearOne',
  BINARY_PARAMETERS,
  FLOAT_RESULTS,
  (b, xSe, xBits, ySe, yBits, env) => {
    const { x, y, flags } = takeApartBoth(b, xSe, xBits, ySe, yBits, env);
    const sign = b.xor(x.sign, y.sign);
    b.if(is(b, x, CLASS.zero), () => {
      b.if(is(b, y, CLASS.infinity), () => returnIndefinite(b));
      returnZero(b, sign, flags);
    });
    const infinite = is(b, x, CLASS.infinity);
    b.if(not(b, infinite), () => {
      b.if(is(b, y, CLASS.infinity), () => returnInfinity(b, sign, flags));
      b.if(is(b, y, CLASS.zero), () => returnZero(b, sign, flags));
    });
    const inRange = b.or(
      b.ltS(x.exponent, EXPONENT_BIAS - 2),
      b.and(b.eq(x.exponent, EXPONENT_BIAS - 2), b.ltU(x.significand, NEAR_ONE)),
    );
    b.if(not(b, inRange), () => {
      const belowOne = b.and(b.leS(b.const('i32', EXPONENT_BIAS), x.exponent), b.ne(x.sign, 0));
      b.if(b.and(belowOne, not(b, infinite)), () => b.return(xSe, xBits, b.or(flags, FLOAT_FLAG.PE)));
      const [se, sum] = b.call(floatAdd, xSe, xBits, b.const('i32', EXPONENT_BIAS), one(b), fullPrecision(b, env));
      const inexact = b.select(infinite, b.const('i32', 0), FLOAT_FLAG.PE);
      const [resultSe, result, more] = b.call(floatLogarithm, se, sum, ySe, yBits, env);
      // An invalid operation goes before a denormal operand (SDM vol. 1 §4.9.2).
      const invalid = b.ne(b.and(more, FLOAT_FLAG.IE), 0);
      b.return(resultSe, result, b.select(invalid, more, b.or(b.or(flags, inexact), more)));
    });
    const negative = b.shrU(x.sign, 15);
    const [exponent, hi, lo] = b.call(logarithmNearOne, x.exponent, x.significand, negative);
    returnRounded(b, sign, realProduct(b, { exponent, hi, lo }, real(b, y)), env, flags);
  },
);

/** π with two bits before the point. */
const PI: readonly [bigint, bigint] = [0xc90fdaa22168c234n, 0xc4c6628b80dc1cd1n];
/** π · n/4 for n = 1 … 4 as a real: the first and the last three have each their exponent. */
function quartersOfPi(b: IrBuilder, n: 1 | 2 | 3 | 4): Real {
  const wide = ((PI[0] << 64n) | PI[1]) * (n === 3 ? 3n : 4n);
  const exponent = n === 1 ? EXPONENT_BIAS - 1 : n === 2 ? EXPONENT_BIAS : EXPONENT_BIAS + 1;
  // 3π/4 is 2.36: as wide as π.
  const significand = wide >> 2n;
  return { exponent: b.const('i32', exponent), ...split(b, significand) };
}
const split = (b: IrBuilder, v: bigint): { hi: Value; lo: Value } => ({
  hi: b.const('i64', v >> 64n),
  lo: b.const('i64', BigInt.asUintN(64, v)),
});

/** The angle of (x, y) where one of them is zero or infinite (SDM vol. 2, FPATAN, table 3-30). */
function angleSpecial(b: IrBuilder, y: Operand, x: Operand, env: Value, flags: Value): void {
  const negative = b.ne(x.sign, 0);
  const angle = (r: Real): void => returnRounded(b, y.sign, r, env, flags);
  const flat = b.or(is(b, y, CLASS.zero), b.and(is(b, x, CLASS.infinity), not(b, is(b, y, CLASS.infinity))));
  b.if(flat, () => {
    b.if(negative, () => angle(quartersOfPi(b, 4)));
    returnZero(b, y.sign, flags);
  });
  const diagonal = b.and(is(b, y, CLASS.infinity), is(b, x, CLASS.infinity));
  b.if(diagonal, () => angle(selectReal(b, negative, quartersOfPi(b, 3), quartersOfPi(b, 1))));
  b.if(b.or(is(b, x, CLASS.zero), is(b, y, CLASS.infinity)), () => angle(quartersOfPi(b, 2)));
}

/** FPATAN: the angle of (x, y), with y first. */
export const floatArcTangent = floatProcedure(
  'floatArcTangent',
  BINARY_PARAMETERS,
  FLOAT_RESULTS,
  (b, ySe, yBits, xSe, xBits, env) => {
    const y = takeApart(b, ySe, yBits);
    const x = takeApart(b, xSe, xBits);
    const either = b.or(x.class, y.class);
    b.if(has(b, either, CLASS_NAN), () => returnNan(b, x, y, env));
    const flags = denormalFlag(b, either, env);
    angleSpecial(b, y, x, env, flags);
    const negative = b.shrU(x.sign, 15);
    const [exponent, hi, lo] = b.call(angleKernel, y.exponent, y.significand, x.exponent, x.significand, negative);
    returnRounded(b, y.sign, { exponent, hi, lo }, env, flags);
  },
);

/** What the trigonometric functions do first: NaNs and infinities end the procedure, with `extra` results behind. */
function trigonometricSpecial(b: IrBuilder, x: Operand, env: Value, extra: readonly Value[]): void {
  b.if(is(b, x, CLASS_NAN), () => {
    const nan = b.call(floatPropagateNan, x.se, x.bits, x.class, x.se, x.bits, x.class, env);
    b.return(...nan.slice(0, 2), ...extra, nan[2]);
  });
  b.if(is(b, x, CLASS.infinity), () => {
    const indefinite = [b.const('i32', 0xffff), b.const('i64', 0xc000000000000000n)];
    b.return(...indefinite, ...extra, b.const('i32', FLOAT_FLAG.IE));
  });
}

interface Reduced {
  readonly quadrant: Value;
  /** Of the rest, at bit 15. */
  readonly sign: Value;
  readonly rest: Real;
}
function reduce(b: IrBuilder, x: Operand): Reduced {
  const [quadrant, negative, exponent, hi, lo] = b.call(reduceAngle, x.exponent, x.significand);
  return { quadrant, sign: b.shl(negative, 15), rest: { exponent, hi, lo } };
}
/** The sine of the rest (`odd` false) or its cosine. */
function kernel(b: IrBuilder, odd: Value, rest: Real): Real {
  const results = [b.variable(rest.exponent), b.variable(rest.hi), b.variable(rest.lo)];
  const from = (procedure: typeof sineKernel): void => {
    for (const [i, v] of b.call(procedure, ...realArgs(rest)).entries()) results[i].set(v);
  };
  b.if(
    odd,
    () => from(cosineKernel),
    () => from(sineKernel),
  );
  const [exponent, hi, lo] = results.map((r) => r.get());
  return { exponent, hi, lo };
}
const halfTurn = (b: IrBuilder, quadrant: Value): Value => b.shl(b.and(quadrant, 2), 14);

/** FSIN of |x| < 2^63; with a last argument of 1 FCOS. */
export const floatSine = floatProcedure(
  'floatSine',
  ['i32', 'i64', 'i32', 'i32'],
  FLOAT_RESULTS,
  (b, se, bits, env, isCosine) => {
    const x = takeApart(b, se, bits);
    trigonometricSpecial(b, x, env, []);
    const cosine = b.ne(isCosine, 0);
    const flags = denormalFlag(b, x.class, env);
    b.if(is(b, x, CLASS.zero), () => {
      b.if(cosine, () => b.return(b.const('i32', EXPONENT_BIAS), one(b), flags));
      b.return(se, bits, flags);
    });
    const { quadrant, sign, rest } = reduce(b, x);
    const turned = b.add(quadrant, isCosine);
    const odd = b.bit(turned, 0);
    const result = kernel(b, odd, rest);
    // The sine is odd in x and in the rest, the cosine in neither.
    const ofX = b.select(cosine, b.const('i32', 0), x.sign);
    const ofRest = b.select(odd, b.const('i32', 0), sign);
    returnRounded(b, b.xor(b.xor(ofX, ofRest), halfTurn(b, turned)), result, env, flags);
  },
);

/** FPTAN of |x| < 2^63. */
export const floatTangent = floatProcedure('floatTangent', ['i32', 'i64', 'i32'], FLOAT_RESULTS, (b, se, bits, env) => {
  const x = takeApart(b, se, bits);
  trigonometricSpecial(b, x, env, []);
  const flags = denormalFlag(b, x.class, env);
  b.if(is(b, x, CLASS.zero), () => b.return(se, bits, flags));
  const { quadrant, sign, rest } = reduce(b, x);
  const odd = b.bit(quadrant, 0);
  const numerator = kernel(b, odd, rest);
  const denominator = kernel(b, not(b, odd), rest);
  // -cos/sin in the odd quadrants.
  const turned = b.select(odd, b.const('i32', 0x8000), 0);
  const resultSign = b.xor(b.xor(x.sign, sign), turned);
  returnRounded(b, resultSign, realQuotient(b, numerator, denominator), env, flags);
});
