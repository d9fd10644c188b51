/** x87 numbers to and from memory: conversions of FLD, FST, FIST and FBSTP with the responses of the x87. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { IntegerType, Procedure, Value } from '../../ir/types.ts';
import { x86Procedure } from '../x86-builder.ts';
import { floatConvert, floatToInteger } from './softfloat-convert.ts';
import { floatFromDecimal, floatToDecimal } from './softfloat-decimal.ts';
import {
  BINARY32,
  BINARY64,
  ENV,
  EXPONENT_BIAS,
  EXPONENT_MAX,
  type Extended,
  exponentOf,
  FLOAT_FLAG,
  type Format,
  flagIf,
  has,
  hasNone,
  packNarrow,
} from './softfloat-format.ts';
import {
  indefinite,
  isEmpty,
  readStack,
  STACK_UNDERFLOW,
  unmaskedOf,
  x87Environment,
  x87Procedure,
  x87Push,
  x87Report,
} from './x87-stack.ts';

/** A number that a load has unpacked, and `FLOAT_FLAG.DE` where it was denormal: quieted and pushed. */
export const x87LoadNumber = x87Procedure('x87.loadNumber', ['i32', 'i64', 'i32'], [], (b, se, significand, status) => {
  // Neither a NaN nor denormal: it stays what it is.
  b.if(b.and(b.eq(status, 0), b.ne(exponentOf(b, se), EXPONENT_MAX)), () => {
    b.call(x87Push, se, significand, status);
    b.return();
  });
  const env = b.or(x87Environment(b, ENV.precision64), status);
  b.call(x87Push, ...b.call(floatConvert, se, significand, env));
  b.return();
});

/** FLD ST(i). */
export const x87LoadRegister = x87Procedure('x87.loadRegister', ['i32'], [], (b, i) => {
  const none = indefinite(b);
  b.if(isEmpty(b, i), () => {
    b.call(x87Push, none.se, none.significand, b.const('i32', STACK_UNDERFLOW));
    b.return();
  });
  const { se, significand } = readStack(b, i);
  b.call(x87Push, se, significand, b.const('i32', 0));
  b.return();
});

/** FBLD of the low 8 and the high 2 bytes. */
export const x87LoadDecimal = x87Procedure('x87.loadDecimal', ['i64', 'i32'], [], (b, low, high) => {
  const [se, significand] = b.call(floatFromDecimal, low, high);
  b.call(x87Push, se, significand, b.const('i32', 0));
  b.return();
});

/** The exceptions that keep a store from memory: all but PE. */
const blocksStore = (b: IrBuilder, flags: Value): Value => has(b, unmaskedOf(b, flags), ~FLOAT_FLAG.PE);

/** Stores unless an unmasked exception forbids it; returns the flags, which the instruction passes to `x87FinishStore`. */
function storeAndReturn(b: IrBuilder, flags: Value, store: () => void): void {
  b.if(blocksStore(b, flags), () => {}, store);
  b.return(flags);
}

/** A normal number, to nearest, far from the ends of the narrow range: rounding then may carry into the exponent of the result. */
function roundUsual(
  b: IrBuilder,
  f: Format,
  { se, significand }: Extended,
  env: Value,
): { holds: Value; bits: Value; flags: Value } {
  const dropped = 64 - f.precision;
  const exponent = b.sub(exponentOf(b, se), f.minExponent);
  const range = 2 * (EXPONENT_BIAS - f.minExponent);
  const inside = b.ltU(exponent, b.const('i32', range));
  const nearest = b.eq(b.and(env, ENV.RC), ENV.rcNearest);
  const kept = b.shrU(significand, dropped);
  const rest = b.shl(significand, f.precision);
  const up = b.and(b.ltS(rest, 0), b.or(b.ne(b.shl(rest, 1), 0), b.bit(kept, 0)));
  const flags = b.or(flagIf(b, b.ne(rest, 0), FLOAT_FLAG.PE), flagIf(b, up, FLOAT_FLAG.C1));
  // The implied bit of `kept` adds one to an exponent that is one too small.
  const magnitude = b.add(b.add(b.shl(b.zext(exponent, 'i64'), f.precision - 1), kept), b.zext(up, 'i64'));
  const sign = b.shl(b.zext(b.shrU(se, 15), 'i64'), f.name === 'f32' ? 31 : 63);
  return {
    holds: b.and(b.and(inside, nearest), b.ltS(significand, 0)),
    bits: b.trunc(b.or(magnitude, sign), f.type),
    flags,
  };
}

/** ST(0) to a narrow number at a linear address. Result: flags. */
const storeNarrow = (f: Format): Procedure =>
  x86Procedure({ name: `x87.store.${f.name}`, parameters: ['i64'], results: ['i32'], mayFault: true }, (x, address) => {
    const store = (n: ReturnType<typeof indefinite>, flags: Value): void =>
      storeAndReturn(x, flags, () => x.store(address, packNarrow(x, f, n)));
    x.if(isEmpty(x, 0), () => store(indefinite(x), x.const('i32', STACK_UNDERFLOW)));
    const top = readStack(x, 0);
    const env = x87Environment(x, f.env);
    const usual = roundUsual(x, f, top, env);
    x.if(usual.holds, () => storeAndReturn(x, usual.flags, () => x.store(address, usual.bits)));
    const [se, significand, flags] = x.call(floatConvert, top.se, top.significand, env);
    store({ se, significand }, flags);
  });
export const x87StoreFloat = { i32: storeNarrow(BINARY32), i64: storeNarrow(BINARY64) } as const;

/** ST(0) to an integer at a linear address; 0, or `ENV.rcZero` to truncate. Result: flags. */
const storeInteger = (type: IntegerType, width: number): Procedure =>
  x86Procedure(
    { name: `x87.storeInteger.${type}`, parameters: ['i64', 'i32'], results: ['i32'], mayFault: true },
    (x, address, rounding) => {
      const store = (value: Value, flags: Value): void =>
        storeAndReturn(x, flags, () => x.store(address, x.trunc(value, type)));
      x.if(isEmpty(x, 0), () => store(x.const('i64', 1n << BigInt(width - 1)), x.const('i32', STACK_UNDERFLOW)));
      const top = readStack(x, 0);
      const env = x.or(x87Environment(x), rounding);
      const [value, flags] = x.call(floatToInteger, top.se, top.significand, env, x.const('i32', width));
      store(value, flags);
    },
  );
export const x87StoreInteger = {
  i16: storeInteger('i16', 16),
  i32: storeInteger('i32', 32),
  i64: storeInteger('i64', 64),
} as const;

/** The packed decimal indefinite, its low 8 bytes and its high 2. */
const DECIMAL_INDEFINITE = { low: 0xc000000000000000n, high: 0xffff } as const;

/** FBSTP to a linear address. Result: flags. */
export const x87StoreDecimal = x86Procedure(
  { name: 'x87.storeDecimal', parameters: ['i64'], results: ['i32'], mayFault: true },
  (x, address) => {
    const store = (low: Value, high: Value, flags: Value): void =>
      storeAndReturn(x, flags, () => {
        x.store(address, low);
        x.store(x.add(address, 8), x.trunc(high, 'i16'));
      });
    x.if(isEmpty(x, 0), () => {
      const { low, high } = DECIMAL_INDEFINITE;
      store(x.const('i64', low), x.const('i32', high), x.const('i32', STACK_UNDERFLOW));
    });
    const top = readStack(x, 0);
    const [low, high, flags] = x.call(floatToDecimal, top.se, top.significand, x87Environment(x));
    store(low, high, flags);
  },
);

/** Reports the flags of a store. Result: 1 where the instruction may pop. */
export const x87FinishStore = x87Procedure('x87.finishStore', ['i32'], ['i32'], (b, flags) => {
  // What overflows or underflows unmasked is not rounded.
  const unrounded = has(b, unmaskedOf(b, flags), FLOAT_FLAG.OE | FLOAT_FLAG.UE);
  const seen = b.select(unrounded, b.and(flags, ~(FLOAT_FLAG.PE | FLOAT_FLAG.C1)), flags);
  const [unmasked] = b.call(x87Report, seen);
  b.return(b.zext(hasNone(b, unmasked, ~FLOAT_FLAG.PE), 'i32'));
});
