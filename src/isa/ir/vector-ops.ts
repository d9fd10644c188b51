/**
 * Pure operations on 128-bit vectors, named as in the WebAssembly SIMD specification; lane 0 is the least significant.
 */
import type { OpMeaning } from './ops.ts';
import type { Type } from './types.ts';

const lanesOf = (v: bigint, width: number): bigint[] =>
  Array.from({ length: 128 / width }, (_, i) => BigInt.asUintN(width, v >> BigInt(i * width)));
const joinLanes = (lanes: readonly bigint[], width: number): bigint =>
  lanes.reduce((v, lane, i) => v | (BigInt.asUintN(width, lane) << BigInt(i * width)), 0n);

const whole = (f: (a: bigint, b: bigint, c: bigint) => bigint): OpMeaning => ({
  result: () => 'i128',
  evaluate: ([a, b, c]) => BigInt.asUintN(128, f(a, b, c)),
});
const perLane = (width: number, f: (a: bigint, b: bigint) => bigint): OpMeaning => ({
  result: () => 'i128',
  evaluate: ([a, b = 0n]) => {
    const right = lanesOf(b, width);
    return joinLanes(
      lanesOf(a, width).map((lane, i) => f(lane, right[i])),
      width,
    );
  },
});

const SHAPES = [
  ['i8x16', 8, 'i8'],
  ['i16x8', 16, 'i16'],
  ['i32x4', 32, 'i32'],
  ['i64x2', 64, 'i64'],
] as const;

export const VECTOR_OPS: Record<string, OpMeaning> = {
  'v128.and': whole((a, b) => a & b),
  'v128.or': whole((a, b) => a | b),
  'v128.xor': whole((a, b) => a ^ b),
  'v128.not': whole((a) => ~a),
  'v128.andnot': whole((a, b) => a & ~b),
  'v128.bitselect': whole((a, b, c) => (a & c) | (b & ~c)),
};
for (const [shape, width, lane] of SHAPES) {
  VECTOR_OPS[`${shape}.add`] = perLane(width, (a, b) => a + b);
  VECTOR_OPS[`${shape}.sub`] = perLane(width, (a, b) => a - b);
  VECTOR_OPS[`${shape}.eq`] = perLane(width, (a, b) => (a === b ? -1n : 0n));
  VECTOR_OPS[`${shape}.splat`] = {
    result: () => 'i128',
    evaluate: ([a]) => joinLanes(Array(128 / width).fill(a), width),
  };
  VECTOR_OPS[`${shape}.extract`] = {
    result: () => lane as Type,
    evaluate: ([a], _type, [index]) => lanesOf(a, width)[index],
  };
  VECTOR_OPS[`${shape}.replace`] = {
    result: () => 'i128',
    evaluate: ([a, value], _type, [index]) =>
      joinLanes(
        lanesOf(a, width).map((old, i) => (i === index ? value : old)),
        width,
      ),
  };
}
