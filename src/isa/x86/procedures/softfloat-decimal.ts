/** Packed decimal of FBLD and FBSTP: 18 digits in 9 bytes and a byte with the sign (SDM vol. 1 §4.7). */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { floatFromInteger, floatToInteger } from './softfloat-convert.ts';
import { FLOAT_FLAG, floatProcedure, has, signOf } from './softfloat-format.ts';

const LIMIT = 10n ** 18n;
const LOW_DIGITS = 16;
/** The packed decimal indefinite. */
const INDEFINITE = { low: 0xc000000000000000n, high: 0xffff } as const;

/** Adds `count` digits of `value` from the top down to `total`. */
function addDigits(b: IrBuilder, total: Value, value: Value, count: number): Value {
  const sum = b.variable(total);
  const shift = b.variable(b.const('i64', 4 * (count - 1)));
  b.loop(() => {
    const digit = b.and(b.shrU(value, shift.get()), 0xf);
    sum.set(b.add(b.mul(sum.get(), 10), digit));
    b.breakIf(b.eq(shift.get(), 0));
    shift.set(b.sub(shift.get(), 4));
  });
  return sum.get();
}

/** The low 8 bytes and the high 2 to a number. */
export const floatFromDecimal = floatProcedure('floatFromDecimal', ['i64', 'i32'], ['i32', 'i64'], (b, low, high) => {
  const upper = addDigits(b, b.const('i64', 0), b.zext(high, 'i64'), 2);
  const [se, significand] = b.call(floatFromInteger, addDigits(b, upper, low, LOW_DIGITS));
  b.return(b.or(se, b.and(high, 0x8000)), significand);
});

/** `count` digits of `value`, lowest first; the rest of it. */
function digitsOf(b: IrBuilder, value: Value, count: number): { digits: Value; rest: Value } {
  const digits = b.variable(b.const('i64', 0));
  const rest = b.variable(value);
  const shift = b.variable(b.const('i64', 0));
  b.loop(() => {
    digits.set(b.or(digits.get(), b.shl(b.op('rem_u', [rest.get(), b.const('i64', 10)]), shift.get())));
    rest.set(b.op('div_u', [rest.get(), b.const('i64', 10)]));
    shift.set(b.add(shift.get(), 4));
    b.breakIf(b.eq(shift.get(), 4 * count));
  });
  return { digits: digits.get(), rest: rest.get() };
}

/** A number and an environment to the low 8 bytes, the high 2, and flags. */
export const floatToDecimal = floatProcedure(
  'floatToDecimal',
  ['i32', 'i64', 'i32'],
  ['i64', 'i32', 'i32'],
  (b, se, significand, env) => {
    const [value, flags] = b.call(floatToInteger, se, significand, env, b.const('i32', 64));
    const magnitude = b.select(b.ltS(value, 0), b.neg(value), value);
    const invalid = b.or(has(b, flags, FLOAT_FLAG.IE), b.leU(b.const('i64', LIMIT), magnitude));
    b.if(invalid, () => {
      b.return(b.const('i64', INDEFINITE.low), b.const('i32', INDEFINITE.high), b.const('i32', FLOAT_FLAG.IE));
    });
    const low = digitsOf(b, magnitude, LOW_DIGITS);
    const high = digitsOf(b, low.rest, 2);
    b.return(low.digits, b.or(b.trunc(high.digits, 'i32'), signOf(b, se)), flags);
  },
);
