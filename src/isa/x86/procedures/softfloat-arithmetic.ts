/**
 * Addition, multiplication, division and square root of extended numbers, rounded as the environment says.
 *
 * Each takes the operands (sign and exponent `i32`, significand `i64`) and an environment (`ENV`), and returns a number and flags.
 */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Type, Value } from '../../ir/types.ts';
import {
  CLASS,
  CLASS_NAN,
  ENV,
  EXPONENT_BIAS,
  EXPONENT_MAX,
  exponentOf,
  FLOAT_FLAG,
  flagIf,
  floatClassify,
  floatProcedure,
  floatPropagateNan,
  has,
  INTEGER_BIT,
  returnIndefinite,
  shiftRightJam,
  signOf,
} from './softfloat-format.ts';
import { floatRound } from './softfloat-round.ts';
import { mulHighUnsigned } from './wide-arithmetic.ts';

export const BINARY_PARAMETERS: readonly Type[] = ['i32', 'i64', 'i32', 'i64', 'i32'];
export const FLOAT_RESULTS: readonly Type[] = ['i32', 'i64', 'i32'];
const HALF = INTEGER_BIT;

/** An operand taken apart. */
interface Operand {
  readonly class: Value;
  readonly sign: Value;
  readonly exponent: Value;
  readonly significand: Value;
}

function takeApart(b: IrBuilder, se: Value, significand: Value): Operand {
  const [kind, exponent, normalised] = b.call(floatClassify, se, significand);
  return { class: kind, sign: signOf(b, se), exponent, significand: normalised };
}

/** DE for a denormal operand, as the classes or the environment tell. */
export function denormalFlag(b: IrBuilder, classes: Value, env: Value): Value {
  return b.or(flagIf(b, has(b, classes, CLASS.denormal), FLOAT_FLAG.DE), b.and(env, ENV.denormal));
}

/** An operand that is a normal number. */
const normal = (b: IrBuilder, se: Value, significand: Value): Operand => ({
  class: b.const('i32', 0),
  sign: signOf(b, se),
  exponent: exponentOf(b, se),
  significand,
});
const isNormal = (b: IrBuilder, se: Value, significand: Value): Value =>
  b.and(b.ltU(b.sub(exponentOf(b, se), 1), b.const('i32', EXPONENT_MAX - 1)), b.ltS(significand, 0));
/** Where both operands are normal numbers, as they nearly always are, `compute` needs no look at classes. */
function ifNormal(
  b: IrBuilder,
  [aSe, aSignificand, bSe, bSignificand, env]: readonly Value[],
  compute: (left: Operand, right: Operand, flags: Value) => void,
): void {
  b.if(b.and(isNormal(b, aSe, aSignificand), isNormal(b, bSe, bSignificand)), () => {
    compute(normal(b, aSe, aSignificand), normal(b, bSe, bSignificand), b.and(env, ENV.denormal));
  });
}

/** Both operands taken apart; a NaN among them ends the procedure. */
function takeApartBoth(
  b: IrBuilder,
  [aSe, aSignificand, bSe, bSignificand, env]: readonly Value[],
): { left: Operand; right: Operand; flags: Value; either: Value } {
  const left = takeApart(b, aSe, aSignificand);
  const right = takeApart(b, bSe, bSignificand);
  const either = b.or(left.class, right.class);
  b.if(has(b, either, CLASS_NAN), () => {
    b.return(...b.call(floatPropagateNan, aSe, aSignificand, left.class, bSe, bSignificand, right.class, env));
  });
  return { left, right, flags: denormalFlag(b, either, env), either };
}

function returnInfinity(b: IrBuilder, sign: Value, flags: Value): void {
  b.return(b.or(sign, EXPONENT_MAX), b.const('i64', INTEGER_BIT), flags);
}
function returnZero(b: IrBuilder, sign: Value, flags: Value): void {
  b.return(sign, b.const('i64', 0), flags);
}
/** Rounds a result and adds its flags to those of the operands. */
export function returnRounded(b: IrBuilder, n: readonly [Value, Value, Value, Value], env: Value, flags: Value): void {
  const [se, significand, more] = b.call(floatRound, ...n, env);
  b.return(se, significand, b.or(flags, more));
}

/** The sign of an exact zero sum. */
const zeroSumSign = (b: IrBuilder, env: Value): Value =>
  b.select(b.eq(b.and(env, ENV.RC), ENV.rcDown), b.const('i32', 0x8000), 0);

/** Rounds hi:lo that need not be normalised; zero gets the sign of an exact zero sum. */
const floatNormaliseRound = floatProcedure(
  'floatNormaliseRound',
  ['i32', 'i32', 'i64', 'i64', 'i32'],
  FLOAT_RESULTS,
  (b, sign, exponent, hi, lo, env) => {
    b.if(b.eq(b.or(hi, lo), 0), () => returnZero(b, zeroSumSign(b, env), b.const('i32', 0)));
    const n = b.op('clz', [hi]);
    b.if(b.eq(hi, 0), () => {
      const m = b.op('clz', [lo]);
      const lowered = b.sub(exponent, b.add(b.trunc(m, 'i32'), 64));
      b.return(...b.call(floatRound, sign, lowered, b.shl(lo, m), b.const('i64', 0), env));
    });
    b.if(b.eq(n, 0), () => b.return(...b.call(floatRound, sign, exponent, hi, lo, env)));
    const shifted = b.or(b.shl(hi, n), b.shrU(lo, b.sub(b.const('i64', 64), n)));
    b.return(...b.call(floatRound, sign, b.sub(exponent, b.trunc(n, 'i32')), shifted, b.shl(lo, n), env));
  },
);

function addInfinities(b: IrBuilder, left: Operand, right: Operand, rightSign: Value, flags: Value): void {
  const leftInfinite = has(b, left.class, CLASS.infinity);
  const bothInfinite = b.and(leftInfinite, has(b, right.class, CLASS.infinity));
  b.if(b.and(bothInfinite, b.ne(left.sign, rightSign)), () => returnIndefinite(b));
  returnInfinity(b, b.select(leftInfinite, left.sign, rightSign), flags);
}

/** `v` shifted right by `n`, and the bits that fall off with a one for what does not fit. */
function aligned(b: IrBuilder, v: Value, n: Value): [hi: Value, lo: Value] {
  const count = b.zext(n, 'i64');
  const [hi, lo] = [b.variable(v), b.variable(b.const('i64', 0))];
  b.if(b.ltU(b.sub(n, 1), 63), () => {
    hi.set(b.shrU(v, count));
    lo.set(b.shl(v, b.sub(b.const('i64', 64), count)));
  });
  b.if(b.ltU(b.const('i32', 63), n), () => {
    const [farHi, farLo] = b.call(shiftRightJam, v, b.const('i64', 0), n);
    hi.set(farHi);
    lo.set(farLo);
  });
  return [hi.get(), lo.get()];
}

/** The sum of two finite numbers, not both zero. */
function addFinite(b: IrBuilder, left: Operand, right: Operand, rightSign: Value, env: Value, flags: Value): void {
  const rank = (o: Operand): Value => b.select(has(b, o.class, CLASS.zero), b.const('i32', -0x10000), o.exponent);
  const [leftRank, rightRank] = [rank(left), rank(right)];
  const swap = b.or(
    b.ltS(leftRank, rightRank),
    b.and(b.eq(leftRank, rightRank), b.ltU(left.significand, right.significand)),
  );
  const large = b.select(swap, right.significand, left.significand);
  const small = b.select(swap, left.significand, right.significand);
  const sign = b.select(swap, rightSign, left.sign);
  const exponent = b.select(swap, rightRank, leftRank);
  const distance = b.select(swap, b.sub(rightRank, leftRank), b.sub(leftRank, rightRank));
  const [hi, lo] = aligned(b, small, distance);
  b.if(b.eq(left.sign, rightSign), () => {
    const sum = b.add(large, hi);
    b.if(b.leU(large, sum), () => returnRounded(b, [sign, exponent, sum, lo], env, flags));
    const below = b.or(b.shl(sum, 63), b.or(b.shrU(lo, 1), b.and(lo, 1)));
    returnRounded(b, [sign, b.add(exponent, 1), b.or(b.shrU(sum, 1), INTEGER_BIT), below], env, flags);
  });
  const difference = b.sub(b.sub(large, hi), b.zext(b.ne(lo, 0), 'i64'));
  const [se, significand, more] = b.call(floatNormaliseRound, sign, exponent, difference, b.neg(lo), env);
  b.return(se, significand, b.or(flags, more));
}

/** a + b, or a - b with `ENV.subtract`. */
export const floatAdd = floatProcedure('floatAdd', BINARY_PARAMETERS, FLOAT_RESULTS, (b, ...parameters) => {
  const env = parameters[4];
  const signOfRight = (right: Operand): Value => b.xor(right.sign, flagIf(b, has(b, env, ENV.subtract), 0x8000));
  ifNormal(b, parameters, (left, right, flags) => addFinite(b, left, right, signOfRight(right), env, flags));
  const { left, right, flags, either } = takeApartBoth(b, parameters);
  const rightSign = signOfRight(right);
  b.if(has(b, either, CLASS.infinity), () => addInfinities(b, left, right, rightSign, flags));
  b.if(has(b, b.and(left.class, right.class), CLASS.zero), () => {
    const same = b.eq(left.sign, rightSign);
    returnZero(b, b.select(same, rightSign, zeroSumSign(b, env)), flags);
  });
  addFinite(b, left, right, rightSign, env, flags);
});

function multiplyFinite(b: IrBuilder, left: Operand, right: Operand, env: Value, flags: Value): void {
  const sign = b.xor(left.sign, right.sign);
  const [hi] = b.call(mulHighUnsigned, left.significand, right.significand);
  const lo = b.mul(left.significand, right.significand);
  const exponent = b.sub(b.add(left.exponent, right.exponent), EXPONENT_BIAS - 1);
  b.if(b.ltS(hi, 0), () => returnRounded(b, [sign, exponent, hi, lo], env, flags));
  const doubled = b.or(b.shl(hi, 1), b.shrU(lo, 63));
  returnRounded(b, [sign, b.sub(exponent, 1), doubled, b.shl(lo, 1)], env, flags);
}

export const floatMultiply = floatProcedure('floatMultiply', BINARY_PARAMETERS, FLOAT_RESULTS, (b, ...parameters) => {
  const env = parameters[4];
  ifNormal(b, parameters, (left, right, flags) => multiplyFinite(b, left, right, env, flags));
  const { left, right, flags, either } = takeApartBoth(b, parameters);
  const sign = b.xor(left.sign, right.sign);
  b.if(has(b, either, CLASS.infinity), () => {
    b.if(has(b, either, CLASS.zero), () => returnIndefinite(b));
    returnInfinity(b, sign, flags);
  });
  b.if(has(b, either, CLASS.zero), () => returnZero(b, sign, flags));
  multiplyFinite(b, left, right, env, flags);
});

/** One digit of 32 bits of a quotient: the remainder (64 bits, smaller than the divisor) and the next 32 bits of the dividend. */
function quotientDigit(
  b: IrBuilder,
  remainder: Value,
  next: Value,
  divisor: Value,
): { digit: Value; remainder: Value } {
  const top = b.shrU(divisor, 32);
  const low = b.and(divisor, 0xffffffffn);
  const estimate = b.op('div_u', [remainder, top]);
  const clamped = b.variable(b.select(b.ltU(estimate, 1n << 32n), estimate, 0xffffffffn));
  // At most two too large, as bit 63 of the divisor is set (Knuth, The Art of Computer Programming, vol. 2, 4.3.1, theorem B).
  b.loop(() => {
    const rest = b.sub(remainder, b.mul(clamped.get(), top));
    const fits = b.leU(b.mul(clamped.get(), low), b.or(b.shl(rest, 32), next));
    b.breakIf(b.or(b.leU(b.const('i64', 1n << 32n), rest), fits));
    clamped.set(b.sub(clamped.get(), 1));
  });
  const digit = clamped.get();
  return { digit, remainder: b.sub(b.or(b.shl(remainder, 32), next), b.mul(digit, divisor)) };
}

/** hi:lo divided by a divisor whose bit 63 is set and that is larger than hi: quotient and remainder. */
export const divideNormalised = floatProcedure(
  'divideNormalised',
  ['i64', 'i64', 'i64'],
  ['i64', 'i64'],
  (b, hi, lo, divisor) => {
    const first = quotientDigit(b, hi, b.shrU(lo, 32), divisor);
    const second = quotientDigit(b, first.remainder, b.and(lo, 0xffffffffn), divisor);
    b.return(b.or(b.shl(first.digit, 32), second.digit), second.remainder);
  },
);

/** What follows a quotient: half an ulp and whether there is more. */
function fractionOfRemainder(b: IrBuilder, remainder: Value, divisor: Value): Value {
  const complement = b.sub(divisor, remainder);
  const half = b.select(b.leU(complement, remainder), b.const('i64', HALF), 0);
  const more = b.and(b.ne(remainder, 0), b.ne(remainder, complement));
  return b.or(half, b.zext(more, 'i64'));
}

function divideFinite(b: IrBuilder, left: Operand, right: Operand, env: Value, flags: Value): void {
  const sign = b.xor(left.sign, right.sign);
  const less = b.ltU(left.significand, right.significand);
  const hi = b.select(less, left.significand, b.shrU(left.significand, 1));
  const lo = b.select(less, b.const('i64', 0), b.shl(left.significand, 63));
  const [quotient, remainder] = b.call(divideNormalised, hi, lo, right.significand);
  const exponent = b.add(b.sub(left.exponent, right.exponent), EXPONENT_BIAS);
  const fraction = fractionOfRemainder(b, remainder, right.significand);
  returnRounded(b, [sign, b.sub(exponent, b.zext(less, 'i32')), quotient, fraction], env, flags);
}

export const floatDivide = floatProcedure('floatDivide', BINARY_PARAMETERS, FLOAT_RESULTS, (b, ...parameters) => {
  const env = parameters[4];
  ifNormal(b, parameters, (left, right, flags) => divideFinite(b, left, right, env, flags));
  const { left, right, flags } = takeApartBoth(b, parameters);
  const sign = b.xor(left.sign, right.sign);
  const invalid = has(b, b.and(left.class, right.class), CLASS.zero | CLASS.infinity);
  b.if(invalid, () => returnIndefinite(b));
  b.if(has(b, left.class, CLASS.infinity), () => returnInfinity(b, sign, flags));
  b.if(has(b, right.class, CLASS.zero), () => returnInfinity(b, sign, b.const('i32', FLOAT_FLAG.ZE)));
  b.if(b.or(has(b, left.class, CLASS.zero), has(b, right.class, CLASS.infinity)), () => returnZero(b, sign, flags));
  divideFinite(b, left, right, env, flags);
});

/**
 * The integer square root of hi:lo, bit 127 or 126 of which is set, and the fraction that follows: half an ulp and whether there is
 * more. One Newton step on an estimate from above ends at most one above the root.
 */
const squareRoot128 = floatProcedure('squareRoot128', ['i64', 'i64'], ['i64', 'i64'], (b, hi, lo) => {
  const top = b.op('convert.f64', [b.shrU(hi, 2)]);
  const scaled = b.op('fmul', [b.op('fsqrt', [top]), b.op('float.f64', [b.const('i64', 0x41f0000000000000n)])]);
  const estimate = b.shl(b.op('truncate_sat.i64', [scaled]), 1);
  const above = b.add(estimate, 0x2000);
  const start = b.select(b.ltU(above, estimate), b.const('i64', -1n), above);
  const root = b.variable(start);
  b.if(b.ne(hi, -1n), () => {
    const [quotient] = b.call(divideNormalised, hi, lo, start);
    root.set(b.add(b.add(b.shrU(start, 1), b.shrU(quotient, 1)), b.and(b.and(start, quotient), 1)));
  });
  const square = (): { hi: Value; lo: Value } => {
    const r = root.get();
    return { hi: b.call(mulHighUnsigned, r, r)[0], lo: b.mul(r, r) };
  };
  const first = square();
  b.if(b.or(b.ltU(hi, first.hi), b.and(b.eq(hi, first.hi), b.ltU(lo, first.lo))), () => root.set(b.sub(root.get(), 1)));
  const final = square();
  const remainderLow = b.sub(lo, final.lo);
  const remainderHigh = b.sub(b.sub(hi, final.hi), b.zext(b.ltU(lo, final.lo), 'i64'));
  // (r + 1/2)² = r² + r + 1/4: the fraction is more than a half where the remainder is more than r.
  const half = b.or(b.ne(remainderHigh, 0), b.ltU(root.get(), remainderLow));
  const inexact = b.ne(b.or(remainderHigh, remainderLow), 0);
  b.return(root.get(), b.or(b.select(half, b.const('i64', HALF), 0), b.zext(inexact, 'i64')));
});

/** One operand and an environment. */
export const floatSquareRoot = floatProcedure(
  'floatSquareRoot',
  ['i32', 'i64', 'i32'],
  FLOAT_RESULTS,
  (b, se, significand, env) => {
    const operand = takeApart(b, se, significand);
    const kind = operand.class;
    b.if(has(b, kind, CLASS_NAN), () => {
      b.return(...b.call(floatPropagateNan, se, significand, kind, se, significand, kind, env));
    });
    b.if(has(b, kind, CLASS.zero), () => b.return(se, significand, b.const('i32', 0)));
    b.if(b.ne(operand.sign, 0), () => returnIndefinite(b));
    b.if(has(b, kind, CLASS.infinity), () => b.return(se, significand, b.const('i32', 0)));
    const unbiased = b.sub(operand.exponent, EXPONENT_BIAS);
    const odd = b.bit(unbiased, 0);
    const hi = b.select(odd, operand.significand, b.shrU(operand.significand, 1));
    const lo = b.select(odd, b.const('i64', 0), b.shl(operand.significand, 63));
    const [root, fraction] = b.call(squareRoot128, hi, lo);
    const exponent = b.add(b.shrS(unbiased, 1), EXPONENT_BIAS);
    returnRounded(b, [operand.sign, exponent, root, fraction], env, denormalFlag(b, kind, env));
  },
);
