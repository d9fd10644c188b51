/** FPREM, FPREM1, FSCALE and FXTRACT on the register stack. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { FLOAT_FLAG, flagIf, has, hasNone, PRE_COMPUTATION } from './softfloat-format.ts';
import { floatExtract, floatRemainder, floatScale, QUOTIENT } from './softfloat-remainder.ts';
import {
  CONDITION_CODES,
  changeStatus,
  FSW_BITS,
  indefinite,
  isEmpty,
  readStack,
  rotateStack,
  STACK_OVERFLOW,
  STACK_UNDERFLOW,
  writeStack,
  x87Environment,
  x87Finish,
  x87Procedure,
  x87Report,
} from './x87-stack.ts';

/** Ends a procedure on ST(0) and ST(1) of which one is empty. */
function requireBoth(b: IrBuilder): void {
  b.if(b.or(isEmpty(b, 0), isEmpty(b, 1)), () => finishEmpty(b));
}
function finishEmpty(b: IrBuilder): void {
  const none = indefinite(b);
  b.call(x87Finish, b.const('i32', 0), none.se, none.significand, b.const('i32', STACK_UNDERFLOW));
  b.return();
}

/** Quotient bits 2, 1, 0 to C0, C3, C1; C2 where the reduction is not complete (SDM vol. 2, FPREM). */
function quotientCodes(b: IrBuilder, quotient: Value): Value {
  const pairs = [
    [4, FSW_BITS.C0],
    [2, FSW_BITS.C3],
    [1, FSW_BITS.C1],
    [QUOTIENT.partial, FSW_BITS.C2],
  ] as const;
  return pairs.map(([bit, code]) => flagIf(b, has(b, quotient, bit), code)).reduce((a, c) => b.or(a, c));
}

/** 0 FPREM, 1 FPREM1. */
export const x87Remainder = x87Procedure('x87.remainder', ['i32'], [], (b, toNearest) => {
  changeStatus(b, FSW_BITS.C2, b.const('i32', 0));
  requireBoth(b);
  const [top, below] = [readStack(b, 0), readStack(b, 1)];
  const [se, significand, flags, quotient] = b.call(
    floatRemainder,
    top.se,
    top.significand,
    below.se,
    below.significand,
    x87Environment(b),
    toNearest,
  );
  const [done] = b.call(x87Finish, b.const('i32', 0), se, significand, b.and(flags, ~FLOAT_FLAG.C1));
  const isKnown = b.and(b.ne(done, 0), hasNone(b, quotient, QUOTIENT.none));
  b.if(isKnown, () => changeStatus(b, CONDITION_CODES, quotientCodes(b, quotient)));
  b.return();
});

export const x87Scale = x87Procedure('x87.scale', [], [], (b) => {
  requireBoth(b);
  const [top, below] = [readStack(b, 0), readStack(b, 1)];
  const [se, significand, flags] = b.call(
    floatScale,
    top.se,
    top.significand,
    below.se,
    below.significand,
    x87Environment(b),
  );
  b.call(x87Finish, b.const('i32', 0), se, significand, flags);
  b.return();
});

/** Two results in place of ST(0), or none: what FXTRACT, FSINCOS and FPTAN have in common. */
export function finishPair(
  b: IrBuilder,
  below: { se: Value; significand: Value },
  top: { se: Value; significand: Value },
  flags: Value,
): void {
  const [unmasked] = b.call(x87Report, flags);
  b.if(has(b, unmasked, PRE_COMPUTATION), () => b.return());
  writeStack(b, 0, below);
  rotateStack(b, -1);
  writeStack(b, 0, top);
  b.return();
}

/** The flags of an instruction that replaces ST(0) and pushes, where the stack does not allow it; 0 where it does. */
export function pushFault(b: IrBuilder): Value {
  const overflow = b.select(isEmpty(b, 7), b.const('i32', 0), STACK_OVERFLOW);
  return b.select(isEmpty(b, 0), b.const('i32', STACK_UNDERFLOW), overflow);
}

export const x87Extract = x87Procedure('x87.extract', [], [], (b) => {
  const fault = pushFault(b);
  b.if(b.ne(fault, 0), () => finishPair(b, indefinite(b), indefinite(b), fault));
  const top = readStack(b, 0);
  const [exponentSe, exponent, se, significand, flags] = b.call(
    floatExtract,
    top.se,
    top.significand,
    x87Environment(b),
  );
  finishPair(b, { se: exponentSe, significand: exponent }, { se, significand }, flags);
});
