/**
 * SSE arithmetic on one lane: bit patterns in, a bit pattern and exception flags out; MXCSR is read and not written.
 *
 * The common case runs on the host's own floating point: rounding to nearest, exceptions masked, operands and result normal numbers, and
 * PE already set or the result exact, so that no flag can change. Everything else goes through the exact procedures.
 */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Type, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { CR4, MXCSR } from '../state.ts';
import { x86Procedure } from '../x86-builder.ts';
import { floatAdd, floatDivide, floatMultiply, floatSquareRoot } from './softfloat-arithmetic.ts';
import { floatCompare, RELATION } from './softfloat-convert.ts';
import {
  BINARY32,
  BINARY64,
  ENV,
  ENV_FROM_MXCSR,
  FLOAT_FLAG,
  type Format,
  floatProcedure,
  PRE_COMPUTATION,
  packNarrow,
  unpackerOf,
} from './softfloat-format.ts';

const EXCEPTIONS = 0x3f;
/** Masks, RC and the sticky PE of MXCSR: all masked, to nearest, PE set. DAZ and FTZ are free: the fast path meets no denormals. */
const FAST_BITS = 0x7fa0;
const FAST_VALUE = 0x1fa0;

/** A number for each format. */
export type PerFormat<T> = Readonly<Record<Format['name'], T>>;
export const perFormat = <T>(make: (f: Format) => T): PerFormat<T> => ({ f32: make(BINARY32), f64: make(BINARY64) });

/** MXCSR as an environment for results of format `f`. */
export function sseEnvironment(b: IrBuilder, f: Format, extra = 0): Value {
  return b.or(b.and(b.get(MXCSR), ENV_FROM_MXCSR), f.env | ENV.firstNan | extra);
}

export const isFastMode = (b: IrBuilder): Value => b.eq(b.and(b.get(MXCSR), FAST_BITS), FAST_VALUE);

const fractionBits = (f: Format): bigint => BigInt(f.precision);
const exponentMax = (f: Format): bigint => (f.name === 'f32' ? 0xffn : 0x7ffn);
const asFloat = (b: IrBuilder, f: Format, bits: Value): Value => b.op(`float.${f.name}`, [bits]);
const asBits = (b: IrBuilder, f: Format, v: Value): Value => b.op(`bits.${f.type}`, [v]);

/** Zero, normal, infinite or NaN: not denormal. */
const notDenormal = (b: IrBuilder, f: Format, bits: Value): Value =>
  b.leU(b.const(f.type, (1n << fractionBits(f)) - 1n), b.sub(b.shl(bits, 1), 1));

/** Normal, and above the smallest normal number, which a tiny result may round to. */
const surelyNormal = (b: IrBuilder, f: Format, bits: Value): Value => {
  const smallest = (1n << fractionBits(f)) + 1n;
  const span = ((exponentMax(f) - 1n) << fractionBits(f)) - 1n;
  return b.ltU(b.sub(b.shl(bits, 1), smallest), b.const(f.type, span));
};

/** Neither a NaN nor denormal: comparisons then have no exceptions. */
export const isOrdinary = (b: IrBuilder, f: Format, bits: Value): Value => {
  const doubled = b.shl(bits, 1);
  const inRange = b.leU(
    b.sub(doubled, 1n << fractionBits(f)),
    b.const(f.type, (exponentMax(f) - 1n) << fractionBits(f)),
  );
  return b.or(inRange, b.eq(doubled, 0));
};

/** Unpacks the operands in order, so that each notes denormals in the environment. */
export function unpackAll(
  b: IrBuilder,
  f: Format,
  bits: readonly Value[],
  env: Value,
): { numbers: Value[]; env: Value } {
  let current = env;
  const numbers: Value[] = [];
  for (const v of bits) {
    const [se, significand, next] = b.call(unpackerOf(f), v, current);
    numbers.push(se, significand);
    current = next;
  }
  return { numbers, env: current };
}

function exactProcedure(f: Format, name: string, core: Procedure, operands: number, extra = 0): Procedure {
  const types: Type[] = Array(operands).fill(f.type);
  return floatProcedure(`sse.${name}.${f.name}.exact`, types, [f.type, 'i32'], (b, ...bits) => {
    const { numbers, env } = unpackAll(b, f, bits, sseEnvironment(b, f, extra));
    const [se, significand, flags] = b.call(core, ...numbers, env);
    b.return(packNarrow(b, f, { se, significand }), b.and(flags, EXCEPTIONS));
  });
}

/** A product of the host is exact: both significands together are short, or one is a power of two. */
function productIsExact(b: IrBuilder, f: Format, left: Value, right: Value): Value {
  const last = f.precision - 1;
  const trailing = (bits: Value): Value => b.op('ctz', [b.or(bits, 1n << BigInt(last))]);
  const [l, r] = [trailing(left), trailing(right)];
  const isPower = b.or(b.eq(l, last), b.eq(r, last));
  return b.or(isPower, b.leU(b.const(f.type, f.precision), b.add(l, r)));
}

type Exactness = (b: IrBuilder, f: Format, result: Value, operands: readonly Value[]) => Value;

/** Knuth's TwoSum: the error of a sum is itself a number, and here 0. */
const sumIsExact =
  (inverse: 'fadd' | 'fsub', other: 'fadd' | 'fsub'): Exactness =>
  (b, f, result, operands) => {
    const [x, y] = operands.map((v) => asFloat(b, f, v));
    const sum = asFloat(b, f, result);
    const yUsed = b.op('fsub', [sum, x]);
    const xUsed = b.op('fsub', [sum, yUsed]);
    const xError = b.op('fsub', [x, xUsed]);
    const error = b.op(other, [xError, b.op(inverse, [y, yUsed])]);
    return b.op('feq', [error, asFloat(b, f, b.const(f.type, 0))]);
  };
const multiplyIsExact: Exactness = (b, f, _result, [left, right]) => productIsExact(b, f, left, right);
/** The result times `factor` is exactly the operand. */
const returnsTo = (b: IrBuilder, f: Format, result: Value, factor: Value, operand: Value): Value => {
  const back = b.op('fmul', [asFloat(b, f, result), asFloat(b, f, factor)]);
  return b.and(productIsExact(b, f, result, factor), b.op('feq', [back, asFloat(b, f, operand)]));
};
const divideIsExact: Exactness = (b, f, result, [left, right]) => returnsTo(b, f, result, right, left);
const squareRootIsExact: Exactness = (b, f, result, [operand]) => returnsTo(b, f, result, result, operand);

const isZero = (b: IrBuilder, bits: Value): Value => b.eq(b.shl(bits, 1), 0);
/** Sums do not underflow to zero; a product or quotient that is zero may have, unless an operand is. */
const zeroIsExact = (b: IrBuilder, name: string, result: Value, operands: readonly Value[]): Value => {
  if (name === 'add' || name === 'subtract') return isZero(b, result);
  const hasZero = operands.map((v) => isZero(b, v)).reduce((a, c) => b.or(a, c));
  return b.and(isZero(b, result), hasZero);
};

interface Arithmetic {
  readonly hostOp: string;
  readonly core: Procedure;
  readonly operands: 1 | 2;
  readonly extra?: number;
  /** Whether the host's result is exact, where PE is not set yet; may err on the side of no. */
  readonly isExact: Exactness;
}

/** The operation of the host where no flag can change, else `core`. */
function arithmetic(name: string, { hostOp, core, operands, extra, isExact }: Arithmetic): PerFormat<Procedure> {
  return perFormat((f) => {
    const exact = exactProcedure(f, name, core, operands, extra);
    const types: Type[] = Array(operands).fill(f.type);
    return floatProcedure(`sse.${name}.${f.name}`, types, [f.type, 'i32'], (b, ...bits) => {
      const mode = b.and(b.get(MXCSR), FAST_BITS);
      b.if(b.eq(b.or(mode, FLOAT_FLAG.PE), FAST_VALUE), () => {
        const args = bits.map((v) => asFloat(b, f, v));
        const result = asBits(b, f, b.op(hostOp, args));
        const done = (): void => b.return(result, b.const('i32', 0));
        b.if(
          bits.map((v) => notDenormal(b, f, v)).reduce((a, c) => b.and(a, c)),
          () => {
            b.if(surelyNormal(b, f, result), () => {
              b.if(b.eq(mode, FAST_VALUE), done);
              b.if(isExact(b, f, result, bits), done);
            });
            b.if(zeroIsExact(b, name, result, bits), done);
          },
        );
      });
      b.return(...b.call(exact, ...bits));
    });
  });
}

/** Two lanes (one for the square root) to one. */
export const LANE = {
  add: arithmetic('add', { hostOp: 'fadd', core: floatAdd, operands: 2, isExact: sumIsExact('fsub', 'fadd') }),
  subtract: arithmetic('subtract', {
    hostOp: 'fsub',
    core: floatAdd,
    operands: 2,
    extra: ENV.subtract,
    isExact: sumIsExact('fadd', 'fsub'),
  }),
  multiply: arithmetic('multiply', { hostOp: 'fmul', core: floatMultiply, operands: 2, isExact: multiplyIsExact }),
  divide: arithmetic('divide', { hostOp: 'fdiv', core: floatDivide, operands: 2, isExact: divideIsExact }),
  squareRoot: arithmetic('squareRoot', {
    hostOp: 'fsqrt',
    core: floatSquareRoot,
    operands: 1,
    isExact: squareRootIsExact,
  }),
} as const;

const compareExact = perFormat((f) =>
  floatProcedure(`sse.compare.${f.name}.exact`, [f.type, f.type, 'i32'], ['i32', 'i32'], (b, left, right, extra) => {
    const { numbers, env } = unpackAll(b, f, [left, right], b.or(sseEnvironment(b, f), extra));
    b.return(...b.call(floatCompare, ...numbers, env));
  }),
);

/** Two lanes and 0 or `ENV.signalQuiet`; results: a `RELATION` and flags. */
export const laneCompare = perFormat((f) =>
  floatProcedure(`sse.compare.${f.name}`, [f.type, f.type, 'i32'], ['i32', 'i32'], (b, left, right, extra) => {
    b.if(b.and(isOrdinary(b, f, left), isOrdinary(b, f, right)), () => {
      const [l, r] = [asFloat(b, f, left), asFloat(b, f, right)];
      const equal = b.select(b.op('feq', [l, r]), b.const('i32', RELATION.equal), RELATION.greater);
      b.return(b.select(b.op('flt', [l, r]), b.const('i32', RELATION.less), equal), b.const('i32', 0));
    });
    b.return(...b.call(compareExact[f.name], left, right, extra));
  }),
);

/** Two lanes and the predicate of CMPPS (0–7; SDM vol. 2, CMPPD); results: all ones or zero, and flags. */
export const laneTest = perFormat((f) =>
  floatProcedure(`sse.test.${f.name}`, [f.type, f.type, 'i32'], [f.type, 'i32'], (b, left, right, predicate) => {
    const kind = b.and(predicate, 3);
    // LT, LE and their negations are invalid with any NaN.
    const ordering = b.leU(b.sub(kind, 1), 1);
    const extra = b.select(ordering, b.const('i32', ENV.signalQuiet), 0);
    const [relation, flags] = b.call(laneCompare[f.name], left, right, extra);
    const less = b.eq(relation, RELATION.less);
    const equal = b.eq(relation, RELATION.equal);
    const orderingHolds = b.or(less, b.and(equal, b.eq(kind, 2)));
    const otherHolds = b.select(b.eq(kind, 0), equal, b.eq(relation, RELATION.unordered));
    const holds = b.xor(b.select(ordering, orderingHolds, otherHolds), b.bit(predicate, 2));
    b.return(b.neg(b.zext(holds, f.type)), flags);
  }),
);

/** A lane as an operation with DAZ sees it. */
const zeroedDenormal = (b: IrBuilder, f: Format, bits: Value): Value => {
  const daz = b.ne(b.and(b.get(MXCSR), ENV.DAZ), 0);
  const zero = b.and(bits, 1n << BigInt(f.type === 'i32' ? 31 : 63));
  return b.select(b.or(b.eq(daz, 0), notDenormal(b, f, bits)), bits, zero);
};

/** MINPS, MAXPS: the second operand wherever the first is not strictly less (greater), so with NaNs and zeros of both signs. */
const extreme = (name: string, wanted: number): PerFormat<Procedure> =>
  perFormat((f) =>
    floatProcedure(`sse.${name}.${f.name}`, [f.type, f.type], [f.type, 'i32'], (b, left, right) => {
      const [relation, flags] = b.call(laneCompare[f.name], left, right, b.const('i32', ENV.signalQuiet));
      const chosen = b.select(b.eq(relation, wanted), left, right);
      b.return(zeroedDenormal(b, f, chosen), flags);
    }),
  );
export const laneMinimum = extreme('minimum', RELATION.less);
/** `greater` is 0, as no other relation is. */
export const laneMaximum = extreme('maximum', RELATION.greater);

const CR4_OSXMMEXCPT = 1n << 10n;

/** Adds flags of all lanes to MXCSR; unmasked ones raise #XM, or #UD where the system does not expect it (SDM vol. 1 §11.5.2). */
export const commitSseFlags = x86Procedure(
  { name: 'commitSseFlags', parameters: ['i32'], results: [], mayFault: true },
  (x, flags) => {
    const mxcsr = x.get(MXCSR);
    const masks = x.shrU(mxcsr, ENV.maskShift);
    const unmaskedOf = (v: Value): Value => x.and(v, x.not(masks));
    const before = x.ne(x.and(unmaskedOf(flags), PRE_COMPUTATION), 0);
    // An exception before the computation: nothing was computed that could overflow or be inexact.
    const seen = x.and(flags, x.select(before, x.const('i32', PRE_COMPUTATION), EXCEPTIONS));
    x.set(MXCSR, x.or(mxcsr, seen));
    x.if(x.ne(x.and(unmaskedOf(seen), EXCEPTIONS), 0), () => {
      const expected = x.ne(x.and(x.get(CR4), CR4_OSXMMEXCPT), 0);
      x.raise(x.select(expected, x.const('i32', VECTOR.XM), VECTOR.UD));
    });
    x.return();
  },
);
