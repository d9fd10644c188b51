/** x87 operations on the register stack: the exact procedures, with empty registers, exceptions and results as the stack has them. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Value } from '../../ir/types.ts';
import { floatAdd, floatDivide, floatMultiply, floatSquareRoot } from './softfloat-arithmetic.ts';
import { floatCompare, floatRoundToIntegral, RELATION } from './softfloat-convert.ts';
import {
  CLASS,
  ENV,
  type Extended,
  FLOAT_FLAG,
  flagIf,
  floatClassify,
  has,
  PRE_COMPUTATION,
} from './softfloat-format.ts';
import {
  CONDITION_CODES,
  changeStatus,
  FSW_BITS,
  indefinite,
  isEmpty,
  readStack,
  STACK_UNDERFLOW,
  writeStack,
  x87Environment,
  x87Finish,
  x87Procedure,
  x87Report,
} from './x87-stack.ts';

/** What an operand brings besides its value: `STACK_UNDERFLOW` where its register is empty, `FLOAT_FLAG.DE` where it was denormal. */
export const emptyStatus = (b: IrBuilder, ...registers: readonly (Value | number)[]): Value =>
  flagIf(
    b,
    registers.map((i) => isEmpty(b, i)).reduce((a, c) => b.or(a, c)),
    STACK_UNDERFLOW,
  );

/** Ends a procedure whose operand registers are empty: the indefinite to ST(i). */
function finishUnderflow(b: IrBuilder, i: Value): void {
  const none = indefinite(b);
  b.return(...b.call(x87Finish, i, none.se, none.significand, b.const('i32', STACK_UNDERFLOW)));
}

/** Destination i of ST(i), two operands, their status. Result: 1 where the instruction may pop. */
const binary = (name: string, core: Procedure, extra: number): Procedure =>
  x87Procedure(`x87.${name}`, ['i32', 'i32', 'i64', 'i32', 'i64', 'i32'], ['i32'], (b, i, aSe, a, cSe, c, status) => {
    b.if(has(b, status, FLOAT_FLAG.SF), () => finishUnderflow(b, i));
    const env = b.or(b.or(x87Environment(b), status), extra);
    const [se, significand, flags] = b.call(core, aSe, a, cSe, c, env);
    b.return(...b.call(x87Finish, i, se, significand, flags));
  });
export const X87_BINARY = {
  add: binary('add', floatAdd, 0),
  subtract: binary('subtract', floatAdd, ENV.subtract),
  multiply: binary('multiply', floatMultiply, 0),
  divide: binary('divide', floatDivide, 0),
} as const;
export type X87Operation = keyof typeof X87_BINARY;

/** An operation on ST(0) alone: sign and exponent, significand and environment to a number and flags. */
export const x87Unary = (name: string, core: Procedure): Procedure =>
  x87Procedure(`x87.${name}`, [], [], (b) => {
    b.if(isEmpty(b, 0), () => finishUnderflowOfTop(b));
    const top = readStack(b, 0);
    const [se, significand, flags] = b.call(core, top.se, top.significand, x87Environment(b));
    b.call(x87Finish, b.const('i32', 0), se, significand, flags);
    b.return();
  });
function finishUnderflowOfTop(b: IrBuilder): void {
  const none = indefinite(b);
  b.call(x87Finish, b.const('i32', 0), none.se, none.significand, b.const('i32', STACK_UNDERFLOW));
  b.return();
}
export const x87SquareRoot = x87Unary('squareRoot', floatSquareRoot);
export const x87RoundToIntegral = x87Unary('roundToIntegral', floatRoundToIntegral);

/**
 * Two operands, their status and 0 or `ENV.signalQuiet`. Results: the `RELATION`, and 1 where the instruction may pop. C1 is clear; the
 * other condition codes are left alone.
 */
export const x87Compare = x87Procedure(
  'x87.compare',
  ['i32', 'i64', 'i32', 'i64', 'i32', 'i32'],
  ['i32', 'i32'],
  (b, aSe, a, cSe, c, status, extra) => {
    const mayGoOn = (flags: Value): Value => {
      const [unmasked] = b.call(x87Report, flags);
      return b.zext(b.eq(b.and(unmasked, PRE_COMPUTATION), 0), 'i32');
    };
    b.if(has(b, status, FLOAT_FLAG.SF), () => {
      b.return(b.const('i32', RELATION.unordered), mayGoOn(b.const('i32', STACK_UNDERFLOW)));
    });
    const [relation, flags] = b.call(floatCompare, aSe, a, cSe, c, b.or(b.or(x87Environment(b), status), extra));
    b.return(relation, mayGoOn(flags));
  },
);

/** Condition codes from a relation. */
export function setConditionCodes(b: IrBuilder, relation: Value): void {
  changeStatus(b, FSW_BITS.C0 | FSW_BITS.C2 | FSW_BITS.C3, b.shl(relation, 8));
}

/** FXAM: sign in C1, class in C3, C2, C0 (SDM vol. 2, FXAM). */
export const x87Examine = x87Procedure('x87.examine', [], [], (b) => {
  const top = readStack(b, 0);
  const [kind] = b.call(floatClassify, top.se, top.significand);
  const codes = b.variable(b.const('i32', FSW_BITS.C2));
  for (const [bits, value] of [
    [CLASS.unsupported, 0],
    [CLASS.quietNan | CLASS.signalingNan, FSW_BITS.C0],
    [CLASS.infinity, FSW_BITS.C2 | FSW_BITS.C0],
    [CLASS.zero, FSW_BITS.C3],
    [CLASS.denormal, FSW_BITS.C3 | FSW_BITS.C2],
  ] as const) {
    b.if(has(b, kind, bits), () => codes.set(b.const('i32', value)));
  }
  b.if(isEmpty(b, 0), () => codes.set(b.const('i32', FSW_BITS.C3 | FSW_BITS.C0)));
  changeStatus(b, CONDITION_CODES, b.or(codes.get(), b.shrU(b.and(top.se, 0x8000), 6)));
  b.return();
});

/** FXCH: an empty register counts as the indefinite. */
export const x87Exchange = x87Procedure('x87.exchange', ['i32'], [], (b, i) => {
  const status = emptyStatus(b, 0, i);
  const [unmasked] = b.call(x87Report, status);
  b.if(has(b, unmasked, PRE_COMPUTATION), () => b.return());
  const none = indefinite(b);
  const contentOf = (n: Value | number): Extended => {
    const empty = isEmpty(b, n);
    const { se, significand } = readStack(b, n);
    return { se: b.select(empty, none.se, se), significand: b.select(empty, none.significand, significand) };
  };
  const [top, other] = [contentOf(0), contentOf(i)];
  writeStack(b, 0, other);
  writeStack(b, i, top);
  b.return();
});

/** FCMOVcc: ST(i) to ST(0) where the condition (`i32`) is not 0; empty registers are invalid either way. */
export const x87ConditionalMove = x87Procedure('x87.conditionalMove', ['i32', 'i32'], [], (b, i, condition) => {
  b.if(b.or(isEmpty(b, 0), isEmpty(b, i)), () => finishUnderflowOfTop(b));
  b.if(b.ne(condition, 0), () => writeStack(b, 0, readStack(b, i)));
  b.return();
});
