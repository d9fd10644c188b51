/** FPREM, FPREM1, FSCALE and FXTRACT on extended numbers. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { BINARY_PARAMETERS, denormalFlag, divideNormalised, FLOAT_RESULTS } from './softfloat-arithmetic.ts';
import { floatFromInteger } from './softfloat-convert.ts';
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
  hasNone,
  INTEGER_BIT,
  returnIndefinite,
  signOf,
} from './softfloat-format.ts';
import { floatRound, WRAP } from './softfloat-round.ts';

/** Beyond the three bits of a quotient: the reduction is not complete; there is none. */
export const QUOTIENT = { partial: 8, none: 16 } as const;

/** a - q·b for two finite numbers that are not zero, as exponents and normalised significands. */
interface Division {
  readonly aExponent: Value;
  readonly a: Value;
  readonly bExponent: Value;
  readonly b: Value;
}

/** At most this much of the difference of exponents is worked off at once (SDM vol. 2, FPREM: between 32 and 63). */
const MAX_REDUCTION = 63;

/** hi:lo shifted left by n < 64. */
function shiftedLeft(b: IrBuilder, value: Value, n: Value): { hi: Value; lo: Value } {
  const count = b.zext(n, 'i64');
  const carried = b.shrU(b.shrU(value, 1), b.sub(b.const('i64', 63), count));
  return { hi: carried, lo: b.shl(value, count) };
}

/**
 * Quotient (its low 64 bits) and remainder of a·2^n by b for n < 64: the remainder has the exponent of b. Both significands are
 * normalised.
 */
function divideShifted(b: IrBuilder, division: Division, n: Value): { quotient: Value; remainder: Value } {
  // One subtraction first, so that the division cannot overflow.
  const fits = b.leU(division.b, division.a);
  const reduced = b.select(fits, b.sub(division.a, division.b), division.a);
  const { hi, lo } = shiftedLeft(b, reduced, n);
  const [quotient, remainder] = b.call(divideNormalised, hi, lo, division.b);
  const first = b.shl(b.zext(fits, 'i64'), b.zext(n, 'i64'));
  return { quotient: b.add(quotient, first), remainder };
}

/** sign, exponent and significand (not normalised) of a remainder, exactly; zero keeps the sign. */
const floatOfRemainder = floatProcedure(
  'floatOfRemainder',
  ['i32', 'i32', 'i64', 'i32'],
  FLOAT_RESULTS,
  (b, sign, exponent, significand, env) => {
    b.if(b.eq(significand, 0), () => b.return(sign, significand, b.const('i32', 0)));
    const n = b.op('clz', [significand]);
    const lowered = b.sub(exponent, b.trunc(n, 'i32'));
    b.return(...b.call(floatRound, sign, lowered, b.shl(significand, n), b.const('i64', 0), env));
  },
);

/** The remainder to nearest (FPREM1) where the truncated one is more than half of b, or half with an odd quotient. */
function nearest(
  b: IrBuilder,
  division: Division,
  truncated: { quotient: Value; remainder: Value },
): { quotient: Value; remainder: Value; flipped: Value } {
  const { quotient, remainder } = truncated;
  const complement = b.sub(division.b, remainder);
  const more = b.ltU(complement, remainder);
  const tie = b.and(b.eq(complement, remainder), b.bit(quotient, 0));
  const flipped = b.or(more, tie);
  return {
    quotient: b.add(quotient, b.zext(flipped, 'i64')),
    remainder: b.select(flipped, complement, remainder),
    flipped,
  };
}

/**
 * FPREM, or FPREM1 with a last argument of 1. Results: a number, flags, and the low three bits of the quotient or a `QUOTIENT`.
 */
export const floatRemainder = floatProcedure(
  'floatRemainder',
  [...BINARY_PARAMETERS, 'i32'],
  [...FLOAT_RESULTS, 'i32'],
  (b, aSe, aSignificand, bSe, bSignificand, rounding, toNearest) => {
    const env = b.or(b.and(rounding, ~ENV.precision), ENV.precision64);
    const [aClass, aExponent, a] = b.call(floatClassify, aSe, aSignificand);
    const [bClass, bExponent, c] = b.call(floatClassify, bSe, bSignificand);
    const either = b.or(aClass, bClass);
    const none = b.const('i32', 0);
    const noQuotient = b.const('i32', QUOTIENT.none);
    b.if(has(b, either, CLASS_NAN), () => {
      b.return(...b.call(floatPropagateNan, aSe, aSignificand, aClass, bSe, bSignificand, bClass, env), noQuotient);
    });
    const flags = denormalFlag(b, either, env);
    b.if(b.or(has(b, aClass, CLASS.infinity), has(b, bClass, CLASS.zero)), () => {
      const [se, significand, invalid] = indefiniteResult(b);
      b.return(se, significand, invalid, noQuotient);
    });
    b.if(has(b, aClass, CLASS.zero), () => b.return(aSe, aSignificand, flags, none));
    const sign = signOf(b, aSe);
    const finish = (exponent: Value, significand: Value, resultSign: Value, quotient: Value): void => {
      const [se, result, more] = b.call(floatOfRemainder, resultSign, exponent, significand, env);
      b.return(se, result, b.or(flags, more), quotient);
    };
    const asIs = (): void => finish(aExponent, a, sign, none);
    b.if(has(b, bClass, CLASS.infinity), asIs);
    const division: Division = { aExponent, a, bExponent, b: c };
    const difference = b.sub(aExponent, bExponent);
    b.if(b.ltS(difference, -1), asIs);
    b.if(b.leS(b.const('i32', MAX_REDUCTION + 1), difference), () => {
      // A multiple of 32 is left, so that the last reduction is complete.
      const n = b.or(b.and(difference, 31), 32);
      const { remainder } = divideShifted(b, division, n);
      finish(b.sub(aExponent, n), remainder, sign, b.const('i32', QUOTIENT.partial));
    });
    returnComplete(b, division, difference, b.ne(toNearest, 0), sign, finish);
  },
);

function indefiniteResult(b: IrBuilder): [Value, Value, Value] {
  return [b.const('i32', 0xffff), b.const('i64', 0xc000000000000000n), b.const('i32', FLOAT_FLAG.IE)];
}

function returnComplete(
  b: IrBuilder,
  division: Division,
  difference: Value,
  toNearest: Value,
  sign: Value,
  finish: (exponent: Value, significand: Value, sign: Value, quotient: Value) => void,
): void {
  const low = (quotient: Value): Value => b.and(b.trunc(quotient, 'i32'), 7);
  b.if(b.ltS(difference, 0), () => {
    // a is between a quarter of b and b: the truncated quotient is 0, the nearest one 1 where a is more than half of b.
    const over = b.and(toNearest, b.ltU(division.b, division.a));
    b.if(b.eq(over, 0), () => finish(division.aExponent, division.a, sign, b.const('i32', 0)));
    // b - a in units of a's exponent: 2b - a fits, as a is more than b there.
    const rest = b.sub(b.shl(division.b, 1), division.a);
    finish(division.aExponent, rest, b.xor(sign, 0x8000), b.const('i32', 1));
  });
  const truncated = divideShifted(b, division, difference);
  b.if(b.eq(toNearest, 0), () => finish(division.bExponent, truncated.remainder, sign, low(truncated.quotient)));
  const { quotient, remainder, flipped } = nearest(b, division, truncated);
  finish(division.bExponent, remainder, b.select(flipped, b.xor(sign, 0x8000), sign), low(quotient));
}

/** FSCALE: a · 2^trunc(b). */
export const floatScale = floatProcedure(
  'floatScale',
  BINARY_PARAMETERS,
  FLOAT_RESULTS,
  (b, aSe, aSignificand, bSe, bSignificand, rounding) => {
    const env = b.or(b.and(rounding, ~ENV.precision), ENV.precision64);
    const [aClass, aExponent, a] = b.call(floatClassify, aSe, aSignificand);
    const [bClass, bExponent, c] = b.call(floatClassify, bSe, bSignificand);
    const either = b.or(aClass, bClass);
    b.if(has(b, either, CLASS_NAN), () => {
      b.return(...b.call(floatPropagateNan, aSe, aSignificand, aClass, bSe, bSignificand, bClass, env));
    });
    const flags = denormalFlag(b, either, env);
    const bNegative = b.ne(signOf(b, bSe), 0);
    b.if(has(b, bClass, CLASS.infinity), () => scaleByInfinity(b, aSe, aClass, bNegative, flags));
    b.if(has(b, aClass, CLASS.zero | CLASS.infinity), () => b.return(aSe, aSignificand, flags));
    // More than the range of exponents and the wrapping of unmasked responses is the same as that.
    const unbiased = b.sub(bExponent, EXPONENT_BIAS);
    const isLarge = b.leS(b.const('i32', 16), unbiased);
    const shift = b.zext(b.sub(b.const('i32', 63), unbiased), 'i64');
    const integer = b.select(isLarge, b.const('i64', 0x10000), b.shrU(c, shift));
    const isSmall = b.or(b.ltS(unbiased, 0), has(b, bClass, CLASS.zero));
    const by = b.select(isSmall, b.const('i32', 0), b.trunc(integer, 'i32'));
    const exponent = b.select(bNegative, b.sub(aExponent, by), b.add(aExponent, by));
    scaleBeyondWrapping(b, signOf(b, aSe), exponent, env, flags);
    const [se, significand, more] = b.call(floatRound, signOf(b, aSe), exponent, a, b.const('i64', 0), env);
    b.return(se, significand, b.or(flags, more));
  },
);

/** What even a wrapped exponent does not reach becomes infinity or zero, with overflow or underflow unmasked, however it is rounded. */
function scaleBeyondWrapping(b: IrBuilder, sign: Value, exponent: Value, env: Value, flags: Value): void {
  const isLarge = b.ltS(b.const('i32', EXPONENT_MAX - 1 + WRAP), exponent);
  b.if(b.and(isLarge, hasNone(b, env, ENV.OM)), () => {
    const overflow = b.or(flags, FLOAT_FLAG.OE | FLOAT_FLAG.PE | FLOAT_FLAG.C1);
    b.return(b.or(sign, EXPONENT_MAX), b.const('i64', INTEGER_BIT), overflow);
  });
  const isSmall = b.ltS(exponent, b.const('i32', 1 - WRAP));
  b.if(b.and(isSmall, hasNone(b, env, ENV.UM)), () => {
    b.return(sign, b.const('i64', 0), b.or(flags, FLOAT_FLAG.UE | FLOAT_FLAG.PE));
  });
}

function scaleByInfinity(b: IrBuilder, aSe: Value, aClass: Value, bNegative: Value, flags: Value): void {
  const sign = signOf(b, aSe);
  b.if(bNegative, () => {
    b.if(has(b, aClass, CLASS.infinity), () => returnIndefinite(b));
    b.return(sign, b.const('i64', 0), flags);
  });
  b.if(has(b, aClass, CLASS.zero), () => returnIndefinite(b));
  b.return(b.or(sign, EXPONENT_MAX), b.const('i64', INTEGER_BIT), flags);
}

/** FXTRACT. Results: the exponent as a number, the significand as a number between 1 and 2, and flags. */
export const floatExtract = floatProcedure(
  'floatExtract',
  ['i32', 'i64', 'i32'],
  ['i32', 'i64', 'i32', 'i64', 'i32'],
  (b, se, significand, env) => {
    const [kind, exponent, normal] = b.call(floatClassify, se, significand);
    b.if(has(b, kind, CLASS_NAN), () => {
      const [nanSe, nan, flags] = b.call(floatPropagateNan, se, significand, kind, se, significand, kind, env);
      b.return(nanSe, nan, nanSe, nan, flags);
    });
    const infinity = b.const('i64', INTEGER_BIT);
    b.if(has(b, kind, CLASS.infinity), () => {
      b.return(b.const('i32', EXPONENT_MAX), infinity, se, significand, b.const('i32', 0));
    });
    b.if(has(b, kind, CLASS.zero), () => {
      b.return(b.const('i32', 0x8000 | EXPONENT_MAX), infinity, se, significand, b.const('i32', FLOAT_FLAG.ZE));
    });
    const [exponentSe, asNumber] = b.call(floatFromInteger, b.sext(b.sub(exponent, EXPONENT_BIAS), 'i64'));
    b.return(exponentSe, asNumber, b.or(signOf(b, se), EXPONENT_BIAS), normal, denormalFlag(b, kind, env));
  },
);
