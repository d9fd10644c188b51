/**
 * RCPPS and RSQRTPS of one lane: no exceptions, denormals are zeros (SDM vol. 2, RCPPS, RSQRTPS). The manual bounds the relative error
 * by 1.5 · 2^-12 and processors differ inside that bound; here the results are correctly rounded.
 */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { floatProcedure } from './softfloat-format.ts';

const EXPONENT = 0x7f800000;
const SIGN = 0x80000000;
const QUIET = 0x00400000;
const DEFAULT_NAN = 0xffc00000;
const ONE = 0x3f800000;

const asFloat = (b: IrBuilder, bits: Value): Value => b.op('float.f32', [bits]);

/** NaNs quieted, infinities for zeros and denormals: what both estimates do first. */
function returnSpecial(b: IrBuilder, bits: Value): void {
  const magnitude = b.and(bits, ~SIGN);
  b.if(b.ltU(b.const('i32', EXPONENT), magnitude), () => b.return(b.or(bits, QUIET)));
  b.if(b.eq(b.and(bits, EXPONENT), 0), () => b.return(b.or(b.and(bits, SIGN), EXPONENT)));
}

export const laneReciprocal = floatProcedure('sse.reciprocal', ['i32'], ['i32'], (b, bits) => {
  returnSpecial(b, bits);
  const quotient = b.op('bits.i32', [b.op('fdiv', [asFloat(b, b.const('i32', ONE)), asFloat(b, bits)])]);
  const tiny = b.eq(b.and(quotient, EXPONENT), 0);
  b.return(b.select(tiny, b.and(bits, SIGN), quotient));
});

export const laneReciprocalRoot = floatProcedure('sse.reciprocalRoot', ['i32'], ['i32'], (b, bits) => {
  returnSpecial(b, bits);
  b.if(b.ltS(bits, 0), () => b.return(b.const('i32', DEFAULT_NAN)));
  // In binary64, so that one rounding is left.
  const root = b.op('fsqrt', [b.op('promote.f64', [asFloat(b, bits)])]);
  const one = b.op('float.f64', [b.const('i64', 0x3ff0000000000000n)]);
  b.return(b.op('bits.i32', [b.op('demote.f32', [b.op('fdiv', [one, root])])]));
});
