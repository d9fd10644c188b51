/**
 * Pure operations on 128-bit vectors of floating-point lanes, named as in the WebAssembly SIMD specification (`extract` and `replace` as in
 * `vector-ops.ts`). Which NaN a result is, where it is one, WebAssembly leaves open: no meaning may depend on that.
 */
import { bitsOf, floatOf, roundToEven } from './float-bits.ts';
import type { OpMeaning } from './ops.ts';

type Format = 'f32' | 'f64';

const WIDTH = { f32: 32, f64: 64 } as const;
const SHAPES = [
  ['f32x4', 'f32'],
  ['f64x2', 'f64'],
] as const;

const lanesOf = (v: bigint, width: number): bigint[] =>
  Array.from({ length: 128 / width }, (_, i) => BigInt.asUintN(width, v >> BigInt(i * width)));
const joinLanes = (lanes: readonly bigint[], width: number): bigint =>
  lanes.reduce((v, lane, i) => v | (BigInt.asUintN(width, lane) << BigInt(i * width)), 0n);

const vector = (f: (args: readonly bigint[], immediate: readonly number[]) => bigint): OpMeaning => ({
  result: () => 'i128',
  evaluate: (args, _type, immediate) => f(args, immediate),
});

/** From the bits of each pair of lanes to bits. */
const onBits = (format: Format, f: (a: bigint, b: bigint) => bigint): OpMeaning =>
  vector(([a, b = 0n]) => {
    const right = lanesOf(b, WIDTH[format]);
    return joinLanes(
      lanesOf(a, WIDTH[format]).map((lane, i) => f(lane, right[i])),
      WIDTH[format],
    );
  });
const arithmetic = (format: Format, f: (a: number, b: number) => number): OpMeaning =>
  onBits(format, (a, b) => bitsOf(format, f(floatOf(format, a), floatOf(format, b))));
const test = (format: Format, f: (a: number, b: number) => boolean): OpMeaning =>
  onBits(format, (a, b) => (f(floatOf(format, a), floatOf(format, b)) ? -1n : 0n));

function shapeOps([shape, format]: (typeof SHAPES)[number]): Record<string, OpMeaning> {
  const width = WIDTH[format];
  return {
    [`${shape}.splat`]: vector(([a]) => joinLanes(Array(128 / width).fill(a), width)),
    [`${shape}.extract`]: { result: () => format, evaluate: ([a], _type, [index]) => lanesOf(a, width)[index] },
    [`${shape}.replace`]: vector(([a, value], [index]) => joinLanes(lanesOf(a, width).with(index, value), width)),
    [`${shape}.add`]: arithmetic(format, (a, b) => a + b),
    [`${shape}.sub`]: arithmetic(format, (a, b) => a - b),
    [`${shape}.mul`]: arithmetic(format, (a, b) => a * b),
    [`${shape}.div`]: arithmetic(format, (a, b) => a / b),
    [`${shape}.sqrt`]: arithmetic(format, (a) => Math.sqrt(a)),
    [`${shape}.nearest`]: arithmetic(format, roundToEven),
    [`${shape}.eq`]: test(format, (a, b) => a === b),
    [`${shape}.lt`]: test(format, (a, b) => a < b),
    [`${shape}.le`]: test(format, (a, b) => a <= b),
    /** The second where it is less, else the first. */
    [`${shape}.pmin`]: onBits(format, (a, b) => (floatOf(format, b) < floatOf(format, a) ? b : a)),
    /** The second where it is greater, else the first. */
    [`${shape}.pmax`]: onBits(format, (a, b) => (floatOf(format, a) < floatOf(format, b) ? b : a)),
  };
}

function truncate(x: number): bigint {
  if (Number.isNaN(x)) return 0n;
  return BigInt(Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(x))));
}
const signed32 = (lane: bigint): number => Number(BigInt.asIntN(32, lane));

const CONVERSIONS: Record<string, OpMeaning> = {
  'f32x4.convert_i32x4_s': vector(([a]) =>
    joinLanes(
      lanesOf(a, 32).map((lane) => bitsOf('f32', signed32(lane))),
      32,
    ),
  ),
  'f64x2.convert_low_i32x4_s': vector(([a]) =>
    joinLanes(
      lanesOf(a, 32)
        .slice(0, 2)
        .map((lane) => bitsOf('f64', signed32(lane))),
      64,
    ),
  ),
  'f64x2.promote_low_f32x4': vector(([a]) =>
    joinLanes(
      lanesOf(a, 32)
        .slice(0, 2)
        .map((lane) => bitsOf('f64', floatOf('f32', lane))),
      64,
    ),
  ),
  'f32x4.demote_f64x2_zero': vector(([a]) =>
    joinLanes(
      lanesOf(a, 64).map((lane) => bitsOf('f32', floatOf('f64', lane))),
      32,
    ),
  ),
  /** Towards zero, saturating, NaN to zero. */
  'i32x4.trunc_sat_f32x4_s': onBits('f32', (a) => truncate(floatOf('f32', a))),
  'i32x4.trunc_sat_f64x2_s_zero': vector(([a]) =>
    joinLanes(
      lanesOf(a, 64).map((lane) => truncate(floatOf('f64', lane))),
      32,
    ),
  ),
};

export const VECTOR_FLOAT_OPS: Readonly<Record<string, OpMeaning>> = Object.assign(
  {},
  CONVERSIONS,
  ...SHAPES.map(shapeOps),
);
