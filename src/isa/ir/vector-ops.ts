/**
 * Pure operations on 128-bit vectors, named as in the WebAssembly SIMD specification; lane 0 is the least significant. Two names are
 * shorter: `extract` is `extract_lane` (`extract_lane_u` of 8 and 16 bits) and `replace` is `replace_lane`. Shift counts wrap at the
 * width of a lane.
 */
import type { OpMeaning } from './ops.ts';
import type { Type } from './types.ts';

type Width = 8 | 16 | 32 | 64;
type Lane = (a: bigint, b: bigint) => bigint;

const VECTOR_WIDTH = 128;
const SHAPES = [
  ['i8x16', 8, 'i8'],
  ['i16x8', 16, 'i16'],
  ['i32x4', 32, 'i32'],
  ['i64x2', 64, 'i64'],
] as const;

const lanesOf = (v: bigint, width: Width): bigint[] =>
  Array.from({ length: VECTOR_WIDTH / width }, (_, i) => BigInt.asUintN(width, v >> BigInt(i * width)));
const signedLanesOf = (v: bigint, width: Width): bigint[] =>
  lanesOf(v, width).map((lane) => BigInt.asIntN(width, lane));
const joinLanes = (lanes: readonly bigint[], width: Width): bigint =>
  lanes.reduce((v, lane, i) => v | (BigInt.asUintN(width, lane) << BigInt(i * width)), 0n);
/** Half of the lanes. */
const halfOf = (lanes: readonly bigint[], half: 'low' | 'high'): readonly bigint[] =>
  half === 'low' ? lanes.slice(0, lanes.length / 2) : lanes.slice(lanes.length / 2);

function minimum(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}
function maximum(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}
const clamp = (v: bigint, low: bigint, high: bigint): bigint => maximum(low, minimum(v, high));
const saturateSigned = (width: number, v: bigint): bigint =>
  clamp(v, -(1n << BigInt(width - 1)), (1n << BigInt(width - 1)) - 1n);
const saturateUnsigned = (width: number, v: bigint): bigint => clamp(v, 0n, (1n << BigInt(width)) - 1n);
const truth = (condition: boolean): bigint => (condition ? -1n : 0n);
const magnitude = (a: bigint): bigint => (a < 0n ? -a : a);

/** A vector from whole vectors. */
const vector = (f: (args: readonly bigint[], immediate: readonly number[]) => bigint): OpMeaning => ({
  result: () => 'i128',
  evaluate: (args, _type, immediate) => BigInt.asUintN(VECTOR_WIDTH, f(args, immediate)),
});
const scalar = (type: Type, f: (args: readonly bigint[], immediate: readonly number[]) => bigint): OpMeaning => ({
  result: () => type,
  evaluate: (args, _type, immediate) => f(args, immediate),
});

const lanewise = (width: Width, split: typeof lanesOf, f: Lane): OpMeaning =>
  vector(([a, b = 0n]) => {
    const right = split(b, width);
    return joinLanes(
      split(a, width).map((lane, i) => f(lane, right[i])),
      width,
    );
  });
const unsigned = (width: Width, f: Lane): OpMeaning => lanewise(width, lanesOf, f);
const signed = (width: Width, f: Lane): OpMeaning => lanewise(width, signedLanesOf, f);
const shift = (width: Width, split: typeof lanesOf, f: Lane): OpMeaning =>
  vector(([a, count]) => {
    const by = count & BigInt(width - 1);
    return joinLanes(
      split(a, width).map((lane) => f(lane, by)),
      width,
    );
  });

/** What every shape has. */
function shapeOps([shape, width, lane]: (typeof SHAPES)[number]): Record<string, OpMeaning> {
  return {
    [`${shape}.splat`]: vector(([a]) => joinLanes(Array(VECTOR_WIDTH / width).fill(a), width)),
    [`${shape}.extract`]: scalar(lane, ([a], [index]) => lanesOf(a, width)[index]),
    [`${shape}.replace`]: vector(([a, value], [index]) => joinLanes(lanesOf(a, width).with(index, value), width)),
    [`${shape}.add`]: unsigned(width, (a, b) => a + b),
    [`${shape}.sub`]: unsigned(width, (a, b) => a - b),
    [`${shape}.neg`]: unsigned(width, (a) => -a),
    [`${shape}.abs`]: signed(width, magnitude),
    [`${shape}.shl`]: shift(width, lanesOf, (a, by) => a << by),
    [`${shape}.shr_u`]: shift(width, lanesOf, (a, by) => a >> by),
    [`${shape}.shr_s`]: shift(width, signedLanesOf, (a, by) => a >> by),
    [`${shape}.eq`]: unsigned(width, (a, b) => truth(a === b)),
    [`${shape}.ne`]: unsigned(width, (a, b) => truth(a !== b)),
    [`${shape}.lt_s`]: signed(width, (a, b) => truth(a < b)),
    [`${shape}.gt_s`]: signed(width, (a, b) => truth(a > b)),
    [`${shape}.le_s`]: signed(width, (a, b) => truth(a <= b)),
    [`${shape}.ge_s`]: signed(width, (a, b) => truth(a >= b)),
    [`${shape}.all_true`]: scalar('i1', ([a]) => (lanesOf(a, width).every((v) => v !== 0n) ? 1n : 0n)),
    [`${shape}.bitmask`]: scalar('i32', ([a]) =>
      lanesOf(a, width).reduce((bits, v, i) => bits | ((v >> BigInt(width - 1)) << BigInt(i)), 0n),
    ),
  };
}

/** What lanes of up to 32 bits have besides. */
function narrowShapeOps(shape: string, width: Width): Record<string, OpMeaning> {
  return {
    [`${shape}.min_s`]: signed(width, minimum),
    [`${shape}.max_s`]: signed(width, maximum),
    [`${shape}.min_u`]: unsigned(width, minimum),
    [`${shape}.max_u`]: unsigned(width, maximum),
    [`${shape}.lt_u`]: unsigned(width, (a, b) => truth(a < b)),
    [`${shape}.gt_u`]: unsigned(width, (a, b) => truth(a > b)),
    [`${shape}.le_u`]: unsigned(width, (a, b) => truth(a <= b)),
    [`${shape}.ge_u`]: unsigned(width, (a, b) => truth(a >= b)),
  };
}

function saturatingOps(shape: string, width: Width): Record<string, OpMeaning> {
  return {
    [`${shape}.add_sat_s`]: signed(width, (a, b) => saturateSigned(width, a + b)),
    [`${shape}.add_sat_u`]: unsigned(width, (a, b) => saturateUnsigned(width, a + b)),
    [`${shape}.sub_sat_s`]: signed(width, (a, b) => saturateSigned(width, a - b)),
    [`${shape}.sub_sat_u`]: unsigned(width, (a, b) => saturateUnsigned(width, a - b)),
    [`${shape}.avgr_u`]: unsigned(width, (a, b) => (a + b + 1n) >> 1n),
  };
}

/** Operations that halve or double the width of lanes. */
function resizingOps(narrow: string, from: Width, wide: string, to: Width): Record<string, OpMeaning> {
  const ops: Record<string, OpMeaning> = {};
  for (const [sign, split] of [
    ['s', signedLanesOf],
    ['u', lanesOf],
  ] as const) {
    for (const half of ['low', 'high'] as const) {
      ops[`${wide}.extend_${half}_${narrow}_${sign}`] = vector(([a]) => joinLanes(halfOf(split(a, from), half), to));
      ops[`${wide}.extmul_${half}_${narrow}_${sign}`] = vector(([a, b]) => {
        const right = halfOf(split(b, from), half);
        return joinLanes(
          halfOf(split(a, from), half).map((lane, i) => lane * right[i]),
          to,
        );
      });
    }
    if (from === 32) continue;
    ops[`${wide}.extadd_pairwise_${narrow}_${sign}`] = vector(([a]) => {
      const all = split(a, from);
      return joinLanes(
        Array.from({ length: VECTOR_WIDTH / to }, (_, i) => all[2 * i] + all[2 * i + 1]),
        to,
      );
    });
    const saturate = sign === 's' ? saturateSigned : saturateUnsigned;
    ops[`${narrow}.narrow_${wide}_${sign}`] = vector(([a, b]) =>
      joinLanes(
        [...signedLanesOf(a, to), ...signedLanesOf(b, to)].map((lane) => saturate(from, lane)),
        from,
      ),
    );
  }
  return ops;
}

const BITWISE: Record<string, OpMeaning> = {
  'v128.and': vector(([a, b]) => a & b),
  'v128.or': vector(([a, b]) => a | b),
  'v128.xor': vector(([a, b]) => a ^ b),
  'v128.not': vector(([a]) => ~a),
  /** The first without the bits of the second. */
  'v128.andnot': vector(([a, b]) => a & ~b),
  /** The first where the third has ones, else the second. */
  'v128.bitselect': vector(([a, b, c]) => (a & c) | (b & ~c)),
  'v128.any_true': scalar('i1', ([a]) => (a !== 0n ? 1n : 0n)),
};

const PARTICULAR: Record<string, OpMeaning> = {
  /** The bytes of the first that the second numbers; zero for numbers of 16 and more. */
  'i8x16.swizzle': vector(([a, indices]) => {
    const bytes = lanesOf(a, 8);
    return joinLanes(
      lanesOf(indices, 8).map((i) => bytes[Number(i)] ?? 0n),
      8,
    );
  }),
  /** Bytes 0–15 are of the first, 16–31 of the second. */
  'i8x16.shuffle': vector(([a, b], indices) => {
    const bytes = [...lanesOf(a, 8), ...lanesOf(b, 8)];
    return joinLanes(
      indices.map((i) => bytes[i]),
      8,
    );
  }),
  'i16x8.mul': unsigned(16, (a, b) => a * b),
  'i32x4.mul': unsigned(32, (a, b) => a * b),
  'i64x2.mul': unsigned(64, (a, b) => a * b),
  'i16x8.q15mulr_sat_s': signed(16, (a, b) => saturateSigned(16, (a * b + 0x4000n) >> 15n)),
  'i32x4.dot_i16x8_s': vector(([a, b]) => {
    const right = signedLanesOf(b, 16);
    const products = signedLanesOf(a, 16).map((lane, i) => lane * right[i]);
    return joinLanes(
      Array.from({ length: 4 }, (_, i) => products[2 * i] + products[2 * i + 1]),
      32,
    );
  }),
};

export const VECTOR_OPS: Readonly<Record<string, OpMeaning>> = Object.assign(
  {},
  BITWISE,
  PARTICULAR,
  ...SHAPES.map(shapeOps),
  ...SHAPES.slice(0, 3).map(([shape, width]) => narrowShapeOps(shape, width)),
  ...SHAPES.slice(0, 2).map(([shape, width]) => saturatingOps(shape, width)),
  ...SHAPES.slice(0, 3).map(([narrow, from], i) => resizingOps(narrow, from, SHAPES[i + 1][0], SHAPES[i + 1][1])),
);
