/** 128-bit products and quotients, of which no tier has an operation. */
import { IrBuilder } from '../../ir/builder.ts';
import { procedure } from '../../ir/procedure.ts';
import type { Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';

const make = (): IrBuilder => new IrBuilder();

/** The upper 64 bits of an unsigned product, from four products of 32 bits. */
function highUnsigned(b: IrBuilder, x: Value, y: Value): Value {
  const low = (v: Value): Value => b.and(v, 0xffffffffn);
  const high = (v: Value): Value => b.shrU(v, 32);
  const middle = b.add(b.mul(high(x), low(y)), high(b.mul(low(x), low(y))));
  const other = b.add(b.mul(low(x), high(y)), low(middle));
  return b.add(b.add(b.mul(high(x), high(y)), high(middle)), high(other));
}

export const mulHighUnsigned = procedure(
  make,
  { name: 'mulHighUnsigned', parameters: ['i64', 'i64'], results: ['i64'] },
  (b, x, y) => b.return(highUnsigned(b, x, y)),
);

export const mulHighSigned = procedure(
  make,
  { name: 'mulHighSigned', parameters: ['i64', 'i64'], results: ['i64'] },
  (b, x, y) => {
    const correction = b.add(b.and(b.shrS(x, 63), y), b.and(b.shrS(y, 63), x));
    b.return(b.sub(highUnsigned(b, x, y), correction));
  },
);

/** Quotient and remainder of high:low by a divisor that is larger than high. */
const divideUnsigned128 = procedure(
  make,
  { name: 'divideUnsigned128', parameters: ['i64', 'i64', 'i64'], results: ['i64', 'i64'] },
  (b, high, low, divisor) => {
    b.if(b.eq(high, 0), () => b.return(b.op('div_u', [low, divisor]), b.op('rem_u', [low, divisor])));
    const remainder = b.variable(high);
    const quotient = b.variable(low);
    const count = b.variable(b.const('i32', 64));
    b.loop(() => {
      const carry = b.shrU(remainder.get(), 63);
      const shifted = b.or(b.shl(remainder.get(), 1), b.shrU(quotient.get(), 63));
      const fits = b.or(b.bool(carry), b.leU(divisor, shifted));
      remainder.set(b.select(fits, b.sub(shifted, divisor), shifted));
      quotient.set(b.or(b.shl(quotient.get(), 1), b.zext(fits, 'i64')));
      count.set(b.sub(count.get(), 1));
      b.breakIf(b.eq(count.get(), 0));
    });
    b.return(quotient.get(), remainder.get());
  },
);

/** DIV and IDIV of 128 by 64 bits: high, low, divisor (not 0), 1 for signed; #DE where the quotient does not fit. */
export const divide128 = procedure(
  make,
  { name: 'divide128', parameters: ['i64', 'i64', 'i64', 'i32'], results: ['i64', 'i64'], mayFault: true },
  (b, high, low, divisor, signed) => {
    const isSigned = b.ne(signed, 0);
    const dividendNegative = b.and(isSigned, b.ltS(high, 0));
    const divisorNegative = b.and(isSigned, b.ltS(divisor, 0));
    const negatedHigh = b.sub(b.neg(high), b.zext(b.ne(low, 0), 'i64'));
    const magnitudeHigh = b.select(dividendNegative, negatedHigh, high);
    const magnitudeLow = b.select(dividendNegative, b.neg(low), low);
    const magnitude = b.select(divisorNegative, b.neg(divisor), divisor);
    b.if(b.leU(magnitude, magnitudeHigh), () => b.raise(VECTOR.DE));
    const [quotient, remainder] = b.call(divideUnsigned128, magnitudeHigh, magnitudeLow, magnitude);
    const negative = b.xor(dividendNegative, divisorNegative);
    const limit = b.select(negative, b.const('i64', 1n << 63n), (1n << 63n) - 1n);
    b.if(b.and(isSigned, b.ltU(limit, quotient)), () => b.raise(VECTOR.DE));
    b.return(b.select(negative, b.neg(quotient), quotient), b.select(dividendNegative, b.neg(remainder), remainder));
  },
);
