/** The transcendental instructions on the register stack. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Value } from '../../ir/types.ts';
import { EXPONENT_BIAS, EXPONENT_MAX, type Extended, exponentOf, INTEGER_BIT } from './softfloat-format.ts';
import {
  floatArcTangent,
  floatExponential,
  floatLogarithm,
  floatLogarithmNearOne,
  floatSine,
  floatTangent,
} from './softfloat-transcendental.ts';
import { x87Unary } from './x87-arithmetic.ts';
import { finishPair, pushFault } from './x87-remainder.ts';
import {
  changeStatus,
  FSW_BITS,
  indefinite,
  isEmpty,
  popStack,
  readStack,
  STACK_UNDERFLOW,
  x87Environment,
  x87Finish,
  x87Procedure,
} from './x87-stack.ts';

export const x87Exponential = x87Unary('exponential', floatExponential);

/** An operation on ST(0) and ST(1) whose result replaces both; `topFirst`: the order of the arguments. */
const popping = (name: string, core: Procedure, topFirst: boolean): Procedure =>
  x87Procedure(`x87.${name}`, [], [], (b) => {
    const finish = (se: Value, significand: Value, flags: Value): void => {
      const [done] = b.call(x87Finish, b.const('i32', 1), se, significand, flags);
      b.if(b.ne(done, 0), () => popStack(b));
      b.return();
    };
    const none = indefinite(b);
    b.if(b.or(isEmpty(b, 0), isEmpty(b, 1)), () => finish(none.se, none.significand, b.const('i32', STACK_UNDERFLOW)));
    const [top, below] = [readStack(b, 0), readStack(b, 1)];
    const [first, second] = topFirst ? [top, below] : [below, top];
    const [se, significand, flags] = b.call(
      core,
      first.se,
      first.significand,
      second.se,
      second.significand,
      x87Environment(b),
    );
    finish(se, significand, flags);
  });
export const x87Logarithm = popping('logarithm', floatLogarithm, true);
export const x87LogarithmNearOne = popping('logarithmNearOne', floatLogarithmNearOne, true);
export const x87ArcTangent = popping('arcTangent', floatArcTangent, false);

/** C2 and the end of the procedure where ST(0) is 2^63 or more, but not infinite or a NaN (SDM vol. 1 §8.3.8). */
function requireReducible(b: IrBuilder): Extended {
  const top = readStack(b, 0);
  const exponent = exponentOf(b, top.se);
  const isLarge = b.and(b.leS(b.const('i32', EXPONENT_BIAS + 63), exponent), b.ltS(exponent, EXPONENT_MAX));
  const isNumber = b.ltS(top.significand, 0);
  changeStatus(b, FSW_BITS.C2, b.const('i32', 0));
  b.if(b.and(isLarge, isNumber), () => {
    changeStatus(b, FSW_BITS.C1, b.const('i32', FSW_BITS.C2));
    b.return();
  });
  return top;
}

/** 0 FSIN, 1 FCOS. */
export const x87Sine = x87Procedure('x87.sine', ['i32'], [], (b, isCosine) => {
  const zero = b.const('i32', 0);
  b.if(isEmpty(b, 0), () => {
    const none = indefinite(b);
    changeStatus(b, FSW_BITS.C2, zero);
    b.call(x87Finish, zero, none.se, none.significand, b.const('i32', STACK_UNDERFLOW));
    b.return();
  });
  const top = requireReducible(b);
  const [se, significand, flags] = b.call(floatSine, top.se, top.significand, x87Environment(b), isCosine);
  b.call(x87Finish, zero, se, significand, flags);
  b.return();
});

/** Ends a procedure that replaces ST(0) and pushes, where the stack does not allow it. */
function requireRoom(b: IrBuilder): void {
  const fault = pushFault(b);
  b.if(b.ne(fault, 0), () => {
    changeStatus(b, FSW_BITS.C2, b.const('i32', 0));
    finishPair(b, indefinite(b), indefinite(b), fault);
  });
}

export const x87SineAndCosine = x87Procedure('x87.sineAndCosine', [], [], (b) => {
  requireRoom(b);
  const top = requireReducible(b);
  const of = (isCosine: 0 | 1): readonly Value[] =>
    b.call(floatSine, top.se, top.significand, x87Environment(b), b.const('i32', isCosine));
  const [sineSe, sine, sineFlags] = of(0);
  const [cosineSe, cosine, cosineFlags] = of(1);
  const flags = b.or(sineFlags, b.and(cosineFlags, ~FSW_BITS.C1));
  finishPair(b, { se: sineSe, significand: sine }, { se: cosineSe, significand: cosine }, flags);
});

/** FPTAN: pushes 1 behind the tangent; a NaN twice. */
export const x87Tangent = x87Procedure('x87.tangent', [], [], (b) => {
  requireRoom(b);
  const top = requireReducible(b);
  const [se, significand, flags] = b.call(floatTangent, top.se, top.significand, x87Environment(b));
  const isNan = b.eq(exponentOf(b, se), EXPONENT_MAX);
  const one: Extended = {
    se: b.select(isNan, se, EXPONENT_BIAS),
    significand: b.select(isNan, significand, INTEGER_BIT),
  };
  finishPair(b, { se, significand }, one, flags);
});
