/**
 * SSE arithmetic on whole registers by the host's vector operations, where it is certain that no exception flag can change: rounding to
 * nearest, exceptions masked, PE set already, operands and results normal and away from the edges of their range. Comparisons ask less.
 * What is not certain goes through `softfloat-sse.ts`, lane by lane.
 */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Value } from '../../ir/types.ts';
import { MXCSR } from '../state.ts';
import { type Inlinable, inlinable, type X86Builder, x86Procedure } from '../x86-builder.ts';
import { commitSseFlags, isFastMode, LANE } from './softfloat-sse.ts';

export type FloatFormat = 'f32' | 'f64';
export const FLOAT_SHAPE = { f32: 'f32x4', f64: 'f64x2' } as const;
export const INTEGER_SHAPE = { f32: 'i32x4', f64: 'i64x2' } as const;
const FIRST_NORMAL = { f32: 0x00800000, f64: 0x00100000 } as const;
const MAGNITUDE = 0x7fffffff;
/** What `weights` gives of numbers that are far enough from zero for every operation, in both formats. */
const SAFE_WEIGHT = 0x017fffff;
const ALL_LANES = 0xf;

const dwords = (b: IrBuilder, value: number): Value => {
  const lane = BigInt(value);
  return b.const('i128', lane | (lane << 32n) | (lane << 64n) | (lane << 96n));
};
const LANE_BYTES = [0, 1, 2, 3];
/** 32-bit lanes of `a` (0–3) and of `c` (4–7). */
export const pick = (b: IrBuilder, a: Value, c: Value, lanes: readonly number[]): Value =>
  b.op(
    'i8x16.shuffle',
    [a, c],
    lanes.flatMap((lane) => LANE_BYTES.map((i) => 4 * lane + i)),
  );
const allTrue = (b: IrBuilder, mask: Value): Value => b.eq(b.op('i32x4.bitmask', [mask]), ALL_LANES);

/** 32-bit lanes that hold the exponents of both vectors, or of what they have in common: the least. */
function topsOf(b: IrBuilder, format: FloatFormat, a: Value, c: Value): readonly Value[] {
  if (format === 'f32') return a === c ? [a] : [a, c];
  return [pick(b, a, c, [1, 3, 5, 7])];
}
/** The same of the lowest lanes. */
const lowTops = (b: IrBuilder, format: FloatFormat, a: Value, c: Value): Value =>
  format === 'f32' ? pick(b, a, c, [0, 0, 4, 4]) : pick(b, a, c, [1, 1, 5, 5]);

/** Negative for infinities and NaNs, small for denormal numbers and zero, else growing with the exponent. */
const weights = (b: IrBuilder, format: FloatFormat, tops: Value): Value =>
  b.op('i32x4.add', [b.op('v128.and', [tops, dwords(b, MAGNITUDE)]), dwords(b, FIRST_NORMAL[format])]);
const leastWeights = (b: IrBuilder, format: FloatFormat, tops: readonly Value[]): Value =>
  tops.map((v) => weights(b, format, v)).reduce((a, c) => b.op('i32x4.min_s', [a, c]));

const MODE = {};
const LIMIT = {};
/** MXCSR lets the host compute. */
export const hostMode = (x: X86Builder): Value => x.remembered(MXCSR, MODE, () => isFastMode(x));
/** What weights must exceed: nothing does where MXCSR does not let the host compute. */
const weightLimit = (x: X86Builder): Value =>
  x.remembered(MXCSR, LIMIT, () =>
    x.op('i32x4.splat', [x.select(hostMode(x), x.const('i32', SAFE_WEIGHT), MAGNITUDE)]),
  );
const allSafe = (x: X86Builder, least: Value): Value => allTrue(x, x.op('i32x4.gt_s', [least, weightLimit(x)]));

/** Each lane of `v` is a normal number, or zero. */
export function isOrdinary(b: IrBuilder, format: FloatFormat, v: Value): Value {
  const shape = INTEGER_SHAPE[format];
  const magnitude = b.op(`${shape}.add`, [v, v]);
  const zero = b.op(`${shape}.eq`, [magnitude, b.const('i128', 0)]);
  const weight = weights(b, format, format === 'f32' ? v : pick(b, v, v, [1, 1, 3, 3]));
  const normal = b.op('i32x4.gt_s', [weight, dwords(b, 2 * FIRST_NORMAL[format] - 1)]);
  return allTrue(b, b.op('v128.or', [normal, zero]));
}
/** The lowest lanes of both in one vector. */
export const lowLanes = (b: IrBuilder, format: FloatFormat, a: Value, c: Value): Value =>
  format === 'f32' ? pick(b, a, c, [0, 0, 4, 4]) : pick(b, a, c, [0, 1, 4, 5]);

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
  /** Two lanes (one for a unary operation) to a lane and flags. */
  readonly lane: Readonly<Record<FloatFormat, Procedure>>;
}

const VECTORS = { parameters: ['i128', 'i128'], results: ['i128'], mayFault: true } as const;

/** The operation on the first `count` lanes of the operands, exactly; the rest is of the first. */
const exactly = (name: string, { operands, lane }: HostOperation, format: FloatFormat, count: number): Procedure =>
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
  return inlinable({ name, ...VECTORS }, (x, left, right) => {
    const sources = operands === 1 ? [right] : [left, right];
    const numbers = sources.map((v) => x.op(`${shape}.extract`, [v], [0]));
    const result = x.op(`${shape}.replace`, [left, x.op(scalarOp, numbers)], [0]);
    const operandTops = lowTops(x, format, sources[0], sources[operands - 1]);
    const certain = allSafe(x, weights(x, format, pick(x, operandTops, result, WITH_RESULT[format])));
    return [unless(x, certain, result, () => x.call(exact, left, right)[0])];
  });
}
/** The tops that `lowTops` gives of operands, and that of the result. */
const WITH_RESULT = { f32: [0, 2, 4, 4], f64: [0, 2, 5, 5] } as const;

/** Two vectors to a vector. */
export function packedOperation(operation: HostOperation, format: FloatFormat): Inlinable {
  const { vectorOp, operands } = operation;
  const name = `sse.${operation.name}.${format}.packed`;
  const exact = exactly(name, operation, format, format === 'f32' ? 4 : 2);
  return inlinable({ name, ...VECTORS }, (x, left, right) => {
    const sources = operands === 1 ? [right] : [left, right];
    const result = x.op(`${FLOAT_SHAPE[format]}.${vectorOp}`, sources);
    const tops = [...topsOf(x, format, sources[0], sources[operands - 1]), ...topsOf(x, format, result, result)];
    const certain = allSafe(x, leastWeights(x, format, tops));
    return [unless(x, certain, result, () => x.call(exact, left, right)[0])];
  });
}

const operation = (name: string, vectorOp: string, operands: 1 | 2, lane: HostOperation['lane']): HostOperation => ({
  name,
  vectorOp,
  scalarOp: `f${vectorOp}`,
  operands,
  lane,
});
export const ADD = operation('add', 'add', 2, LANE.add);
export const SUBTRACT = operation('subtract', 'sub', 2, LANE.subtract);
export const MULTIPLY = operation('multiply', 'mul', 2, LANE.multiply);
export const DIVIDE = operation('divide', 'div', 2, LANE.divide);
export const SQUARE_ROOT = operation('squareRoot', 'sqrt', 1, LANE.squareRoot);
