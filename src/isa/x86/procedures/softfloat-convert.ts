/** Comparisons, and conversions of extended numbers to and from integers and to other precisions. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { BINARY_PARAMETERS, denormalFlag, FLOAT_RESULTS } from './softfloat-arithmetic.ts';
import {
  CLASS,
  CLASS_NAN,
  ENV,
  EXPONENT_BIAS,
  FLOAT_FLAG,
  flagIf,
  floatClassify,
  floatProcedure,
  floatPropagateNan,
  has,
  hasNone,
  shiftRightJam,
  signOf,
} from './softfloat-format.ts';
import { floatRound, roundsUp } from './softfloat-round.ts';

/** How two numbers relate, as CF, PF and ZF at their places in RFLAGS; eight bits higher: C0, C2, C3 of the x87 status word. */
export const RELATION = { greater: 0, less: 1, equal: 0x40, unordered: 0x45 } as const;

/** The exponent, with zero below every other number. */
const rankOf = (b: IrBuilder, kind: Value, exponent: Value): Value =>
  b.select(has(b, kind, CLASS.zero), b.const('i32', -0x10000), exponent);

/** A `RELATION` and flags. A NaN is invalid where it is signaling, or `ENV.signalQuiet` asks for it. */
export const floatCompare = floatProcedure(
  'floatCompare',
  BINARY_PARAMETERS,
  ['i32', 'i32'],
  (b, aSe, aSignificand, bSe, bSignificand, env) => {
    const [aClass, aExponent, aNormal] = b.call(floatClassify, aSe, aSignificand);
    const [bClass, bExponent, bNormal] = b.call(floatClassify, bSe, bSignificand);
    const either = b.or(aClass, bClass);
    b.if(has(b, either, CLASS_NAN), () => {
      const quietOnly = hasNone(b, either, CLASS.signalingNan | CLASS.unsupported);
      const silent = b.and(quietOnly, hasNone(b, env, ENV.signalQuiet));
      b.return(b.const('i32', RELATION.unordered), flagIf(b, b.eq(silent, 0), FLOAT_FLAG.IE));
    });
    const flags = denormalFlag(b, either, env);
    const answer = (relation: number): void => b.return(b.const('i32', relation), flags);
    b.if(has(b, b.and(aClass, bClass), CLASS.zero), () => answer(RELATION.equal));
    const aNegative = b.ne(signOf(b, aSe), 0);
    const lessIf = (less: Value): void => b.return(flagIf(b, less, RELATION.less), flags);
    b.if(b.ne(signOf(b, aSe), signOf(b, bSe)), () => lessIf(aNegative));
    const [aRank, bRank] = [rankOf(b, aClass, aExponent), rankOf(b, bClass, bExponent)];
    b.if(b.ne(aRank, bRank), () => lessIf(b.xor(b.ltS(aRank, bRank), aNegative)));
    b.if(b.eq(aNormal, bNormal), () => answer(RELATION.equal));
    lessIf(b.xor(b.ltU(aNormal, bNormal), aNegative));
  },
);

/** An `i64`, signed, as an extended number: exact. */
export const floatFromInteger = floatProcedure('floatFromInteger', ['i64'], ['i32', 'i64'], (b, value) => {
  b.if(b.eq(value, 0), () => b.return(b.const('i32', 0), value));
  const negative = b.ltS(value, 0);
  const magnitude = b.select(negative, b.neg(value), value);
  const n = b.op('clz', [magnitude]);
  const exponent = b.sub(b.const('i32', EXPONENT_BIAS + 63), b.trunc(n, 'i32'));
  b.return(b.or(flagIf(b, negative, 0x8000), exponent), b.shl(magnitude, n));
});

/**
 * To a signed integer of 16, 32 or 64 bits, sign-extended to 64, and flags. What does not fit is invalid and becomes the smallest integer
 * of the width (SDM vol. 1 §4.8.3.7 "integer indefinite").
 */
export const floatToInteger = floatProcedure(
  'floatToInteger',
  ['i32', 'i64', 'i32', 'i32'],
  ['i64', 'i32'],
  (b, se, significand, env, width) => {
    const [kind, exponent, normal] = b.call(floatClassify, se, significand);
    b.if(has(b, kind, CLASS.zero), () => b.return(b.const('i64', 0), b.const('i32', 0)));
    const limit = b.shl(b.const('i64', 1), b.zext(b.sub(width, 1), 'i64'));
    const invalid = (): void => b.return(b.neg(limit), b.const('i32', FLOAT_FLAG.IE));
    b.if(has(b, kind, CLASS_NAN | CLASS.infinity), invalid);
    const shift = b.sub(b.const('i32', EXPONENT_BIAS + 63), exponent);
    b.if(b.ltS(shift, 0), invalid);
    const sign = signOf(b, se);
    const negative = b.ne(sign, 0);
    const [kept, rest] = b.call(shiftRightJam, normal, b.const('i64', 0), shift);
    const up = roundsUp(b, kept, rest, sign, env);
    const magnitude = b.add(kept, b.zext(up, 'i64'));
    b.if(b.ltU(b.sub(limit, b.zext(b.eq(sign, 0), 'i64')), magnitude), invalid);
    const flags = b.or(flagIf(b, b.ne(rest, 0), FLOAT_FLAG.PE), flagIf(b, up, FLOAT_FLAG.C1));
    b.return(b.select(negative, b.neg(magnitude), magnitude), flags);
  },
);

/** Class, exponent and normalized significand; a NaN ends the procedure. */
function classifyNumber(b: IrBuilder, se: Value, significand: Value, env: Value): readonly Value[] {
  const classified = b.call(floatClassify, se, significand);
  const [kind] = classified;
  b.if(has(b, kind, CLASS_NAN), () => {
    b.return(...b.call(floatPropagateNan, se, significand, kind, se, significand, kind, env));
  });
  return classified;
}

/** Rounds to an integer in floating-point form (FRNDINT, ROUNDSD). */
export const floatRoundToIntegral = floatProcedure(
  'floatRoundToIntegral',
  ['i32', 'i64', 'i32'],
  FLOAT_RESULTS,
  (b, se, significand, env) => {
    const [kind, exponent, normal] = classifyNumber(b, se, significand, env);
    const shift = b.sub(b.const('i32', EXPONENT_BIAS + 63), exponent);
    const isInteger = b.or(has(b, kind, CLASS.zero | CLASS.infinity), b.leS(shift, 0));
    b.if(isInteger, () => b.return(se, significand, b.const('i32', 0)));
    const sign = signOf(b, se);
    const [kept, rest] = b.call(shiftRightJam, normal, b.const('i64', 0), shift);
    const up = roundsUp(b, kept, rest, sign, env);
    const magnitude = b.add(kept, b.zext(up, 'i64'));
    const rounding = b.or(flagIf(b, b.ne(rest, 0), FLOAT_FLAG.PE), flagIf(b, up, FLOAT_FLAG.C1));
    const flags = b.or(rounding, denormalFlag(b, kind, env));
    b.if(b.eq(magnitude, 0), () => b.return(sign, magnitude, flags));
    const n = b.op('clz', [magnitude]);
    const result = b.sub(b.const('i32', EXPONENT_BIAS + 63), b.trunc(n, 'i32'));
    b.return(b.or(sign, result), b.shl(magnitude, n), flags);
  },
);

/** Rounds to the precision and range of the environment (FST, CVTSD2SS). DE is reported only where the environment has it. */
export const floatConvert = floatProcedure(
  'floatConvert',
  ['i32', 'i64', 'i32'],
  FLOAT_RESULTS,
  (b, se, significand, env) => {
    const [kind, exponent, normal] = classifyNumber(b, se, significand, env);
    b.if(has(b, kind, CLASS.zero | CLASS.infinity), () => b.return(se, significand, b.const('i32', 0)));
    const [resultSe, result, flags] = b.call(floatRound, signOf(b, se), exponent, normal, b.const('i64', 0), env);
    b.return(resultSe, result, b.or(flags, b.and(env, ENV.denormal)));
  },
);
