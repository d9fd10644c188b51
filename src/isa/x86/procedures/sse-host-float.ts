/**
 * SSE arithmetic on whole registers by the host's vector operations, where it is certain that no exception flag can change: rounding to
 * nearest, exceptions masked, PE set already, operands and results normal and away from the edges of their range. Comparisons ask less.
 * What is not certain goes through `softfloat-sse.ts`, lane by lane.
 */
import type { Cell, IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Value } from '../../ir/types.ts';
import { RFLAGS } from '../flags.ts';
import { type Inlinable, inlinable, type X86Builder, x86Procedure } from '../x86-builder.ts';
import { commitSseFlags, LANE, laneCompare, laneTest } from './softfloat-sse.ts';
import {
  CHOICE,
  computeInRange,
  FLOAT_SHAPE,
  type FloatFormat,
  hostMode,
  INTEGER_SHAPE,
  LANES,
  type Lanes,
  PRODUCT,
  pick,
  QUOTIENT,
  type RangeRule,
  ROOT,
  SUM,
  unlessKnown,
} from './sse-ranges.ts';

const FIRST_NORMAL = { f32: 0x00800000, f64: 0x00100000 } as const;
const MAGNITUDE = 0x7fffffff;
/** What `weights` gives of numbers that are far enough from zero for every operation, in both formats. */
const SAFE_WEIGHT = 0x017fffff;
const ALL_LANES = 0xf;

const dwords = (b: IrBuilder, value: number): Value => {
  const lane = BigInt(value);
  return b.const('i128', lane | (lane << 32n) | (lane << 64n) | (lane << 96n));
};
const allTrue = (b: IrBuilder, mask: Value): Value => b.eq(b.op('i32x4.bitmask', [mask]), ALL_LANES);

/** 32-bit lanes that hold the exponents of the lowest lanes of both. */
const lowTops = (b: IrBuilder, format: FloatFormat, a: Value, c: Value): Value =>
  format === 'f32' ? pick(b, a, c, [0, 0, 4, 4]) : pick(b, a, c, [1, 1, 5, 5]);

/** Negative for infinities and NaNs, small for denormal numbers and zero, else growing with the exponent. */
const weights = (b: IrBuilder, format: FloatFormat, tops: Value): Value =>
  b.op('i32x4.add', [magnitudes(b, tops), dwords(b, FIRST_NORMAL[format])]);
/** Without the sign: for operands, whose infinities and NaNs show in the result. */
const magnitudes = (b: IrBuilder, tops: Value): Value => b.op('v128.and', [tops, dwords(b, MAGNITUDE)]);
const least = (b: IrBuilder, a: Value, c: Value): Value => b.op('i32x4.min_s', [a, c]);

/** Whether weights tell that numbers are safe, where MXCSR lets the host compute. */
const allSafe = (x: X86Builder, weight: Value): Value =>
  x.and(hostMode(x), allTrue(x, x.op('i32x4.gt_s', [weight, dwords(x, SAFE_WEIGHT)])));

/** The host's result is certain to be right, by vectors whose 32-bit lanes hold exponents of their format. */
export const areSafe = (x: X86Builder, tops: readonly (readonly [FloatFormat, Value])[]): Value =>
  allSafe(
    x,
    tops.map(([format, v]) => weights(x, format, v)).reduce((a, c) => least(x, a, c)),
  );
/** The lowest lane in every lane (of 64 bits). */
export const lowestTwice = (b: IrBuilder, format: FloatFormat, v: Value): Value =>
  pick(b, v, v, format === 'f32' ? [0, 0, 0, 0] : [0, 1, 0, 1]);

const zeroLanes = (b: IrBuilder, format: FloatFormat, v: Value): Value =>
  b.op(`${INTEGER_SHAPE[format]}.eq`, [b.op(`${INTEGER_SHAPE[format]}.add`, [v, v]), b.const('i128', 0)]);
/** The exponent of each lane in all its 32-bit lanes. */
const spreadTops = (b: IrBuilder, format: FloatFormat, v: Value): Value =>
  format === 'f32' ? v : pick(b, v, v, [1, 1, 3, 3]);

/** Each lane of `v` is a normal number, or zero: comparing raises nothing. */
export function isOrdinary(b: IrBuilder, format: FloatFormat, v: Value): Value {
  const normal = b.op('i32x4.gt_s', [
    weights(b, format, spreadTops(b, format, v)),
    dwords(b, 2 * FIRST_NORMAL[format] - 1),
  ]);
  return allTrue(b, b.op('v128.or', [normal, zeroLanes(b, format, v)]));
}
/** Each lane of both, or the lowest of both, is a normal number or zero. */
function areOrdinary(x: X86Builder, { format, scalar }: Lanes, left: Value, right: Value): Value {
  if (scalar) return isOrdinary(x, format, pick(x, left, right, format === 'f32' ? [0, 0, 4, 4] : [0, 1, 4, 5]));
  return x.and(isOrdinary(x, format, left), isOrdinary(x, format, right));
}

/** `value` where `certain`, else what `exact` computes. */
export function unless(x: X86Builder, certain: Value, value: Value, exact: () => Value): Value {
  const result = x.variable(value);
  x.ifRarely(x.xor(certain, x.const('i1', 1)), () => result.set(exact()));
  return result.get();
}

/** Lanes of a vector as integers, the lowest first. */
export const lanesOf = (b: IrBuilder, format: FloatFormat, v: Value, count = format === 'f32' ? 4 : 2): Value[] =>
  Array.from({ length: count }, (_, i) => b.op(`${INTEGER_SHAPE[format]}.extract`, [v], [i]));
/** `v` with its lowest lanes replaced. */
export const withLanes = (b: IrBuilder, format: FloatFormat, v: Value, lanes: readonly Value[]): Value =>
  lanes.reduce((all, lane, i) => b.op(`${INTEGER_SHAPE[format]}.replace`, [all, lane], [i]), v);

/** Applies a procedure of lanes, whose last result are exception flags, to each pair, and commits the flags of all. */
export function commitLanes(x: X86Builder, results: readonly (readonly Value[])[]): readonly Value[] {
  const flags = results.map(([, f]) => f).reduce((a, c) => x.or(a, c));
  x.if(x.ne(flags, 0), () => {
    x.call(commitSseFlags, flags);
  });
  return results.map(([value]) => value);
}

export interface HostOperation {
  readonly name: string;
  /** What follows the shape in the name of the operation on vectors. */
  readonly vectorOp: string;
  readonly scalarOp: string;
  readonly operands: 1 | 2;
  /** Operands of which one must be zero for a result of zero to be exact; none: it always is. */
  readonly zeroFrom: 'none' | 'first' | 'either';
  readonly range: RangeRule;
  /** Two lanes (one for a unary operation) to a lane and flags. */
  readonly lane: Readonly<Record<FloatFormat, Procedure>>;
}

/** `high` with the lowest lane of `low`. */
export const lowFrom = (b: IrBuilder, format: FloatFormat, high: Value, low: Value): Value =>
  pick(b, low, high, format === 'f32' ? [0, 5, 6, 7] : [0, 1, 6, 7]);

const VECTORS = { parameters: ['i128', 'i128'], results: ['i128'], mayFault: true } as const;

/** The operation on the first `count` lanes of the operands, exactly; the rest is of the first. */
const exactly = (
  name: string,
  { operands, lane }: Pick<HostOperation, 'operands' | 'lane'>,
  format: FloatFormat,
  count: number,
): Procedure =>
  x86Procedure({ name: `${name}.exact`, ...VECTORS }, (x, left, right) => {
    const [a, c] = [left, right].map((v) => lanesOf(x, format, v, count));
    const results = c.map((v, i) => x.call(lane[format], ...(operands === 1 ? [v] : [a[i], v])));
    x.return(withLanes(x, format, left, commitLanes(x, results)));
  });

/** Two vectors to the first with the result in its lowest lane. */
export function scalarOperation(operation: HostOperation, format: FloatFormat): Inlinable {
  const { scalarOp, operands } = operation;
  const shape = FLOAT_SHAPE[format];
  const name = `sse.${operation.name}.${format}.scalar`;
  const exact = exactly(name, operation, format, 1);
  const lanes = { format, scalar: true };
  const sourcesOf = (left: Value, right: Value): Value[] => (operands === 1 ? [right] : [left, right]);
  const lowest = (x: X86Builder, v: Value): Value => x.op(`${shape}.extract`, [v], [0]);
  const compute = (x: X86Builder, sources: readonly Value[]): Value =>
    x.op(
      scalarOp,
      sources.map((v) => lowest(x, v)),
    );
  const made: Inlinable = inlinable(
    { name, ...VECTORS },
    (x, left, right) => {
      const sources = sourcesOf(left, right);
      const result = x.op(`${shape}.replace`, [left, compute(x, sources)], [0]);
      return [unless(x, isSafe(x, lanes, sources, result), result, () => x.call(exact, left, right)[0])];
    },
    (x, left, right) => {
      const sources = sourcesOf(left, right);
      const otherwise = (): Value => lowest(x, x.call(made.procedure, left, right)[0]);
      const result = computeInRange(x, lanes, operation.range, sources, compute(x, sources), otherwise);
      return [x.op(`${shape}.replace`, [left, result], [0])];
    },
  );
  return made;
}
/** The exponents that `lowTops` gives of operands, and that of the result. */
const WITH_RESULT = { f32: [0, 2, 4, 4], f64: [0, 2, 5, 5] } as const;

/** The result and the operands are normal numbers. */
function isSafe(x: X86Builder, { format, scalar }: Lanes, sources: readonly Value[], result: Value): Value {
  const [a, c = a] = sources;
  if (scalar) {
    const tops =
      a === c ? lowTops(x, format, a, result) : pick(x, lowTops(x, format, a, c), result, WITH_RESULT[format]);
    return allSafe(x, weights(x, format, tops));
  }
  if (format === 'f64') {
    if (a === c) return allSafe(x, weights(x, format, pick(x, a, result, [1, 3, 5, 7])));
    return allSafe(
      x,
      least(x, magnitudes(x, pick(x, a, c, [1, 3, 5, 7])), weights(x, format, spreadTops(x, format, result))),
    );
  }
  const operands = a === c ? magnitudes(x, a) : least(x, magnitudes(x, a), magnitudes(x, c));
  return allSafe(x, least(x, operands, weights(x, format, result)));
}

/** As `isSafe` of all lanes, but operands may be zero, and results too where that is exact. */
function isSafeWithZeros(
  x: X86Builder,
  format: FloatFormat,
  zeroFrom: HostOperation['zeroFrom'],
  sources: readonly Value[],
  result: Value,
): Value {
  const or = (a: Value, c: Value): Value => x.op('v128.or', [a, c]);
  const safe = (v: Value): Value =>
    x.op('i32x4.gt_s', [weights(x, format, spreadTops(x, format, v)), dwords(x, SAFE_WEIGHT)]);
  const zeros = sources.map((v) => zeroLanes(x, format, v));
  const zero = zeroLanes(x, format, result);
  const exactZero =
    zeroFrom === 'none' ? zero : x.op('v128.and', [zero, zeroFrom === 'first' ? zeros[0] : zeros.reduce(or)]);
  const operands = sources.map((v, i) => or(safe(v), zeros[i]));
  return allTrue(
    x,
    [...operands, or(safe(result), exactZero)].reduce((a, c) => x.op('v128.and', [a, c])),
  );
}

/** Two vectors to a vector. */
function makePacked(operation: HostOperation, format: FloatFormat): Inlinable {
  const name = `sse.${operation.name}.${format}.packed`;
  const exact = exactly(name, operation, format, LANES[format]);
  const lanes = { format, scalar: false };
  const compute = (x: X86Builder, left: Value, right: Value): { sources: readonly Value[]; result: Value } => {
    const sources = operation.operands === 1 ? [right] : [left, right];
    return { sources, result: x.op(`${FLOAT_SHAPE[format]}.${operation.vectorOp}`, sources) };
  };
  const withZeros = x86Procedure({ name: `${name}.zeros`, ...VECTORS }, (x, left, right) => {
    const { sources, result } = compute(x, left, right);
    // The sign of a zero depends on the rounding, so the mode is asked even where every lane is zero.
    const certain = isSafeWithZeros(x, format, operation.zeroFrom, sources, result);
    x.if(x.and(hostMode(x), certain), () => x.return(result));
    x.return(...x.call(exact, left, right));
  });
  const made: Inlinable = inlinable(
    { name, ...VECTORS },
    (x, left, right) => {
      const { sources, result } = compute(x, left, right);
      return [unless(x, isSafe(x, lanes, sources, result), result, () => x.call(withZeros, left, right)[0])];
    },
    (x, left, right) => {
      const { sources, result } = compute(x, left, right);
      const otherwise = (): Value => x.call(made.procedure, left, right)[0];
      return [computeInRange(x, lanes, operation.range, sources, result, otherwise)];
    },
  );
  return made;
}
const packedOperations = new Map<HostOperation, Readonly<Record<FloatFormat, Inlinable>>>();
export function packedOperation(operation: HostOperation, format: FloatFormat): Inlinable {
  const known = packedOperations.get(operation);
  if (known !== undefined) return known[format];
  const made = { f32: makePacked(operation, 'f32'), f64: makePacked(operation, 'f64') };
  packedOperations.set(operation, made);
  return made[format];
}

/** ADDSUBPS, ADDSUBPD: differences in even lanes, sums in odd ones. */
export function alternatingOperation(format: FloatFormat): Inlinable {
  const name = `sse.alternating.${format}`;
  const lanes = { format, scalar: false };
  const signs = format === 'f32' ? 0x00000000800000000000000080000000n : 0x8000000000000000n;
  const exact = x86Procedure({ name: `${name}.exact`, ...VECTORS }, (x, left, right) => {
    const [a, c] = [left, right].map((v) => lanesOf(x, format, v, LANES[format]));
    const results = c.map((v, i) => x.call((i % 2 === 0 ? LANE.subtract : LANE.add)[format], a[i], v));
    x.return(withLanes(x, format, left, commitLanes(x, results)));
  });
  const compute = (x: X86Builder, left: Value, right: Value): Value =>
    x.op(`${FLOAT_SHAPE[format]}.add`, [left, x.op('v128.xor', [right, x.const('i128', signs)])]);
  const made: Inlinable = inlinable(
    { name, ...VECTORS },
    (x, left, right) => {
      const result = compute(x, left, right);
      return [unless(x, isSafe(x, lanes, [left, right], result), result, () => x.call(exact, left, right)[0])];
    },
    (x, left, right) => {
      const otherwise = (): Value => x.call(made.procedure, left, right)[0];
      return [computeInRange(x, lanes, SUM, [left, right], compute(x, left, right), otherwise)];
    },
  );
  return made;
}

/** MINPS, MAXPS and the like. */
export function extremeOperation(
  name: 'minimum' | 'maximum',
  lane: HostOperation['lane'],
  format: FloatFormat,
  scalar: boolean,
): Inlinable {
  const own = `sse.${name}.${format}.${scalar ? 'scalar' : 'packed'}`;
  const exact = exactly(own, { operands: 2, lane }, format, scalar ? 1 : LANES[format]);
  const op = `${FLOAT_SHAPE[format]}.${name === 'minimum' ? 'pmin' : 'pmax'}`;
  const lanes = { format, scalar };
  const compute = (x: X86Builder, left: Value, right: Value): Value => {
    // The second operand wins unless the first is strictly less (greater).
    const chosen = x.op(op, [right, left]);
    return scalar ? lowFrom(x, format, left, chosen) : chosen;
  };
  const made: Inlinable = inlinable(
    { name: own, ...VECTORS },
    (x, left, right) => {
      const result = compute(x, left, right);
      return [unless(x, areOrdinary(x, lanes, left, right), result, () => x.call(exact, left, right)[0])];
    },
    (x, left, right) => {
      const otherwise = (): Value => x.call(made.procedure, left, right)[0];
      return [computeInRange(x, lanes, CHOICE, [left, right], compute(x, left, right), otherwise)];
    },
  );
  return made;
}

/** Comparison by a predicate of CMPPS, an `i32`; the other bits of that do not count. */
export function testOperation(format: FloatFormat, scalar: boolean): Inlinable {
  const name = `sse.test.${format}.${scalar ? 'scalar' : 'packed'}`;
  const shape = FLOAT_SHAPE[format];
  const signature = { ...VECTORS, parameters: ['i128', 'i128', 'i32'] } as const;
  const exact = x86Procedure({ name: `${name}.exact`, ...signature }, (x, left, right, predicate) => {
    const count = scalar ? 1 : LANES[format];
    const [a, c] = [left, right].map((v) => lanesOf(x, format, v, count));
    const results = c.map((v, i) => x.call(laneTest[format], a[i], v, predicate));
    x.return(withLanes(x, format, left, commitLanes(x, results)));
  });
  const lanes = { format, scalar };
  const compute = (x: X86Builder, left: Value, right: Value, predicate: Value): Value => {
    const is = (kind: number): Value => x.eq(x.and(predicate, 3), kind);
    const compare = (op: string): Value => x.op(`${shape}.${op}`, [left, right]);
    const none = x.const('i128', 0);
    // Nothing is unordered here.
    const ordered = x.select(is(1), compare('lt'), x.select(is(2), compare('le'), none));
    const holds = x.select(is(0), compare('eq'), ordered);
    const negated = x.select(x.bit(predicate, 2), x.op('v128.not', [holds]), holds);
    return scalar ? lowFrom(x, format, left, negated) : negated;
  };
  const made: Inlinable = inlinable(
    { name, ...signature },
    (x, left, right, predicate) => {
      const result = compute(x, left, right, predicate);
      return [unless(x, areOrdinary(x, lanes, left, right), result, () => x.call(exact, left, right, predicate)[0])];
    },
    (x, left, right, predicate) => {
      const result = x.variable(compute(x, left, right, predicate));
      unlessKnown(x, lanes, [left, right], () => result.set(x.call(made.procedure, left, right, predicate)[0]));
      return [result.get()];
    },
  );
  return made;
}

/** UCOMISS and the like: CF, PF and ZF as `i1`. `extra`: 0 or `ENV.signalQuiet`. */
export function compareOperation(format: FloatFormat, extra: number): Inlinable {
  const name = `sse.compare.${format}.${extra === 0 ? 'quiet' : 'signaling'}`;
  const signature = { parameters: ['i128', 'i128'], mayFault: true } as const;
  const exact = x86Procedure({ name: `${name}.exact`, ...signature, results: ['i32'] }, (x, left, right) => {
    const [a, c] = [left, right].map((v) => lanesOf(x, format, v, 1)[0]);
    x.return(...commitLanes(x, [x.call(laneCompare[format], a, c, x.const('i32', extra))]));
  });
  const lanes = { format, scalar: true };
  /** Of numbers that are ordered. */
  const compute = (x: X86Builder, left: Value, right: Value): Cell[] => {
    const numbers = [left, right].map((v) => x.op(`${FLOAT_SHAPE[format]}.extract`, [v], [0]));
    return [x.op('flt', numbers), x.const('i1', 0), x.op('feq', numbers)].map((v) => x.variable(v));
  };
  const made: Inlinable = inlinable(
    { name, ...signature, results: ['i1', 'i1', 'i1'] },
    (x, left, right) => {
      const flags = compute(x, left, right);
      x.ifRarely(x.xor(areOrdinary(x, lanes, left, right), x.const('i1', 1)), () => {
        const [relation] = x.call(exact, left, right);
        for (const [i, bit] of [RFLAGS.CF, RFLAGS.PF, RFLAGS.ZF].entries()) {
          flags[i].set(x.ne(x.and(relation, bit), 0));
        }
      });
      return flags.map((flag) => flag.get());
    },
    (x, left, right) => {
      const flags = compute(x, left, right);
      unlessKnown(x, lanes, [left, right], () => {
        for (const [i, flag] of x.call(made.procedure, left, right).entries()) flags[i].set(flag);
      });
      return flags.map((flag) => flag.get());
    },
  );
  return made;
}

const operation = (
  name: string,
  vectorOp: string,
  zeroFrom: HostOperation['zeroFrom'],
  range: RangeRule,
  lane: HostOperation['lane'],
  operands: 1 | 2 = 2,
): HostOperation => ({ name, vectorOp, scalarOp: `f${vectorOp}`, operands, zeroFrom, range, lane });
export const ADD = operation('add', 'add', 'none', SUM, LANE.add);
export const SUBTRACT = operation('subtract', 'sub', 'none', SUM, LANE.subtract);
export const MULTIPLY = operation('multiply', 'mul', 'either', PRODUCT, LANE.multiply);
export const DIVIDE = operation('divide', 'div', 'first', QUOTIENT, LANE.divide);
export const SQUARE_ROOT = operation('squareRoot', 'sqrt', 'first', ROOT, LANE.squareRoot, 1);
