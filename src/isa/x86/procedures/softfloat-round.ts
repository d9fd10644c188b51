/** Rounding to the precision and exponent range of the destination, with the masked and unmasked responses (SDM vol. 1 §4.9.1). */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import {
  BINARY32,
  BINARY64,
  ENV,
  EXPONENT_BIAS,
  EXPONENT_MAX,
  FLOAT_FLAG,
  flagIf,
  floatProcedure,
  has,
  hasNone,
  INTEGER_BIT,
  shiftRightJam,
} from './softfloat-format.ts';

/** What unmasked overflow and underflow add to the exponent (SDM vol. 1 §8.5.4). */
export const WRAP = 24576;

const isPrecision = (b: IrBuilder, env: Value, precision: number): Value => b.eq(b.and(env, ENV.precision), precision);

/** Bits of the 64-bit significand below the destination's precision, `i32`. */
function droppedBits(b: IrBuilder, env: Value): Value {
  const below53 = b.select(isPrecision(b, env, ENV.precision53), b.const('i32', 11), 0);
  return b.select(isPrecision(b, env, ENV.precision24), b.const('i32', 40), below53);
}

/** Smallest and largest exponent of a normal number. */
function exponentRange(b: IrBuilder, env: Value): { min: Value; max: Value } {
  const isNarrow = has(b, env, ENV.narrow);
  const is24 = isPrecision(b, env, ENV.precision24);
  const pick = (wide: number, at24: number, at53: number): Value =>
    b.select(isNarrow, b.select(is24, b.const('i32', at24), at53), wide);
  return {
    min: pick(1, BINARY32.minExponent, BINARY64.minExponent),
    max: pick(EXPONENT_MAX - 1, EXPONENT_BIAS + 127, EXPONENT_BIAS + 1023),
  };
}

/** Whether `kept` and the fraction `rest` below it round away from zero; `sign` as `signOf` gives it. */
export function roundsUp(b: IrBuilder, kept: Value, rest: Value, sign: Value, env: Value): Value {
  const rc = b.and(env, ENV.RC);
  const aboveHalf = b.or(b.ne(b.shl(rest, 1), 0), b.bit(kept, 0));
  const nearest = b.and(b.ltS(rest, 0), aboveHalf);
  const away = b.eq(rc, b.select(b.eq(sign, 0), b.const('i32', ENV.rcUp), ENV.rcDown));
  return b.select(b.eq(rc, ENV.rcNearest), nearest, b.and(away, b.ne(rest, 0)));
}

/** A result too large: sign, exponent and rounded significand, flags so far, environment. */
const floatOverflow = floatProcedure(
  'floatOverflow',
  ['i32', 'i32', 'i64', 'i32', 'i32'],
  ['i32', 'i64', 'i32'],
  (b, sign, exponent, significand, flags, env) => {
    const overflow = b.or(flags, FLOAT_FLAG.OE);
    b.if(hasNone(b, env, ENV.OM), () => b.return(b.or(sign, b.sub(exponent, WRAP)), significand, overflow));
    const rc = b.and(env, ENV.RC);
    const away = b.eq(rc, b.select(b.eq(sign, 0), b.const('i32', ENV.rcUp), ENV.rcDown));
    const masked = b.or(b.and(overflow, ~FLOAT_FLAG.C1), FLOAT_FLAG.PE);
    b.if(b.or(b.eq(rc, ENV.rcNearest), away), () => {
      b.return(b.or(sign, EXPONENT_MAX), b.const('i64', INTEGER_BIT), b.or(masked, FLOAT_FLAG.C1));
    });
    const largest = b.shl(b.const('i64', -1n), b.zext(droppedBits(b, env), 'i64'));
    b.return(b.or(sign, exponentRange(b, env).max), largest, masked);
  },
);

/** A tiny result with underflow masked: sign, exponent, significand and what follows it, environment. */
const floatDenormalise = floatProcedure(
  'floatDenormalise',
  ['i32', 'i32', 'i64', 'i64', 'i32'],
  ['i32', 'i64', 'i32'],
  (b, sign, exponent, hi, lo, env) => {
    b.if(has(b, env, ENV.FTZ), () => b.return(sign, b.const('i64', 0), b.const('i32', FLOAT_FLAG.UE | FLOAT_FLAG.PE)));
    const dropped = droppedBits(b, env);
    const { min } = exponentRange(b, env);
    const [kept, rest] = b.call(shiftRightJam, hi, lo, b.add(dropped, b.sub(min, exponent)));
    const up = roundsUp(b, kept, rest, sign, env);
    const significand = b.shl(b.add(kept, b.zext(up, 'i64')), b.zext(dropped, 'i64'));
    const isNormal = b.ltS(significand, 0);
    const inexact = flagIf(b, b.ne(rest, 0), FLOAT_FLAG.UE | FLOAT_FLAG.PE);
    const se = b.or(sign, b.select(isNormal, min, b.sub(min, 1)));
    b.return(se, significand, b.or(inexact, flagIf(b, up, FLOAT_FLAG.C1)));
  },
);

/** All 64 bits to nearest, far from the ends of the range: what x87 code does nearly always. */
function returnUsual(b: IrBuilder, sign: Value, exponent: Value, hi: Value, lo: Value, env: Value): void {
  const mode = b.and(env, ENV.precision | ENV.RC | ENV.narrow);
  const inside = b.ltU(b.sub(exponent, 1), b.const('i32', EXPONENT_MAX - 2));
  b.if(b.and(b.eq(mode, ENV.precision64 | ENV.rcNearest), inside), () => {
    const up = b.and(b.ltS(lo, 0), b.or(b.ne(b.shl(lo, 1), 0), b.bit(hi, 0)));
    const rounded = b.add(hi, b.zext(up, 'i64'));
    const flags = b.or(flagIf(b, b.ne(lo, 0), FLOAT_FLAG.PE), flagIf(b, up, FLOAT_FLAG.C1));
    b.if(b.ltS(rounded, 0), () => b.return(b.or(sign, exponent), rounded, flags));
  });
}

/**
 * Rounds hi:lo · 2^(exponent - bias - 63), where bit 63 of `hi` is set and `exponent` may be out of range. `sign` as `signOf` gives it.
 * Results: an extended number and flags. With underflow or overflow unmasked the exponent is wrapped by 24576.
 */
export const floatRound = floatProcedure(
  'floatRound',
  ['i32', 'i32', 'i64', 'i64', 'i32'],
  ['i32', 'i64', 'i32'],
  (b, sign, exponent, hi, lo, env) => {
    returnUsual(b, sign, exponent, hi, lo, env);
    const dropped = droppedBits(b, env);
    const count = b.zext(dropped, 'i64');
    const [kept, rest] = b.call(shiftRightJam, hi, lo, dropped);
    const up = roundsUp(b, kept, rest, sign, env);
    const rounded = b.shl(b.add(kept, b.zext(up, 'i64')), count);
    const carried = b.eq(rounded, 0);
    const significand = b.select(carried, b.const('i64', INTEGER_BIT), rounded);
    const result = b.add(exponent, b.zext(carried, 'i32'));
    const flags = b.or(flagIf(b, b.ne(rest, 0), FLOAT_FLAG.PE), flagIf(b, up, FLOAT_FLAG.C1));
    const { min, max } = exponentRange(b, env);
    // Tiny is what is below the smallest normal number after rounding with an unbounded exponent.
    b.if(b.ltS(result, min), () => {
      b.if(has(b, env, ENV.UM), () => b.return(...b.call(floatDenormalise, sign, exponent, hi, lo, env)));
      b.return(b.or(sign, b.add(result, WRAP)), significand, b.or(flags, FLOAT_FLAG.UE));
    });
    b.if(b.ltS(max, result), () => b.return(...b.call(floatOverflow, sign, result, significand, flags, env)));
    b.return(b.or(sign, result), significand, flags);
  },
);
