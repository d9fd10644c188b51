/**
 * What a block knows of floating-point numbers by the operations that made them. Those that come from elsewhere are looked at once, whether
 * they are zero or not too far from 1; of what is computed from them the range then follows, so that operations that can neither overflow
 * nor lose bits below the smallest normal number need no look at their results.
 */
import type { Cell, IrBuilder } from '../../ir/builder.ts';
import type { Value } from '../../ir/types.ts';
import { MXCSR, XMM } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { isFastMode } from './softfloat-sse.ts';

export type FloatFormat = 'f32' | 'f64';
export const FLOAT_SHAPE = { f32: 'f32x4', f64: 'f64x2' } as const;
export const INTEGER_SHAPE = { f32: 'i32x4', f64: 'i64x2' } as const;
export const LANES = { f32: 4, f64: 2 } as const;
export interface Lanes {
  readonly format: FloatFormat;
  /** The lowest lane alone. */
  readonly scalar: boolean;
}

/** A vector register that is looked at, by its place in the file. */
export interface Look extends Lanes {
  readonly place: number;
}
/** What a block looks at of what registers held before it. */
export interface Looks {
  /** To be looked at together, by the first that looks at all. */
  readonly wanted: readonly Look[];
  /** What each look of arithmetic was at. */
  readonly found: Look[][];
}

/** Numbers are zero, or multiples of 2 to the minus `grain`, from 2 to the minus `least` to 2 to the `most` in magnitude. */
export interface Range {
  readonly least: number;
  readonly grain: number;
  readonly most: number;
}
/** Bits behind the first one of a number. */
const FRACTION = { f32: 23, f64: 52 } as const;
/** The range of those that were looked at; binary64 has room for all normal binary32 numbers but the smallest. */
const SEEN: Readonly<Record<FloatFormat, Range>> = {
  f32: { least: 40, grain: 40 + FRACTION.f32, most: 40 },
  f64: { least: 127, grain: 127 + FRACTION.f64, most: 127 },
};
const WIDEST = { f32: 126, f64: 1022 } as const;
const fits = (format: FloatFormat, { least, most }: Range): boolean => Math.max(least, most) <= WIDEST[format];
const union = (a: Range, c: Range): Range => ({
  least: Math.max(a.least, c.least),
  grain: Math.max(a.grain, c.grain),
  most: Math.max(a.most, c.most),
});

/** What is known of the range of an operation's results, by those of its operands. */
export interface RangeRule {
  /** Of what needs no look. */
  of(format: FloatFormat, a: Range, c: Range): Range;
  /** Results are looked at: numbers that are in range do not tell all. */
  readonly looks: boolean;
}
/** Sums are rounded to multiples of the same grain. */
export const SUM: RangeRule = {
  of: (_, a, c) => {
    const grain = Math.max(a.grain, c.grain);
    return { least: grain, grain, most: Math.max(a.most, c.most) + 1 };
  },
  looks: false,
};
const rounded = (format: FloatFormat, least: number, grain: number, most: number): Range => ({
  least,
  grain: Math.min(grain, least + FRACTION[format]),
  most,
});
export const PRODUCT: RangeRule = {
  of: (format, a, c) => rounded(format, a.least + c.least, a.grain + c.grain, a.most + c.most),
  looks: false,
};
/** A divisor may be zero. */
export const QUOTIENT: RangeRule = {
  of: (format, a, c) => rounded(format, a.least + c.most, Infinity, a.most + c.least),
  looks: true,
};
/** A negative number has none. */
export const ROOT: RangeRule = { of: (_, a) => a, looks: true };
export const CHOICE: RangeRule = { of: (_, a, c) => union(a, c), looks: false };

const MODE = {};
/** MXCSR lets the host compute. */
export const hostMode = (x: X86Builder): Value => x.remembered(MXCSR, MODE, () => isFastMode(x));

const ALL = 0xf;
interface Knowledge {
  /** ALL while MXCSR lets the host compute and all that was looked at is in range. */
  readonly holds: Cell;
  /** Of vectors, or of single numbers. */
  readonly ranges: WeakMap<Value, Lanes & { readonly range: Range }>;
  /** To be looked at with what is looked at next. */
  readonly pending: Source[];
}
/** What is looked at: a vector, or a number. */
interface Source extends Lanes {
  readonly value: Value;
}
const KNOWLEDGE = {};
const knowledge = (x: X86Builder): Knowledge =>
  x.remembered(MXCSR, KNOWLEDGE, () => {
    const k: Knowledge = {
      holds: x.variable(x.select(hostMode(x), x.const('i32', ALL), 0)),
      ranges: new WeakMap(),
      pending: [],
    };
    for (const { place, format, scalar } of x.nested ? [] : x.looks.wanted) {
      const value = x.getAt(XMM, x.const('i32', place), 'i128');
      k.pending.push({ value, format, scalar });
      note(x, k, { format, scalar }, [value], SEEN[format]);
    }
    return k;
  });

// --- what is known ----------------------------------------------------------------------------------------------------------------

/** Vectors that a lane is followed through. */
const MOST_STEPS = 8;
const BITS = { f32: 32, f64: 64 } as const;
const BYTES = 16;

function rangeOf(k: Knowledge, v: Value, { format, scalar }: Lanes): Range | undefined {
  if (v.type !== 'i128') return rangeOfNumber(k, v, format);
  let all = rangeOfLane(k, v, format, 0);
  for (let lane = 1; !scalar && all !== undefined && lane < LANES[format]; lane++) {
    const range = rangeOfLane(k, v, format, lane);
    all = range && union(all, range);
  }
  return all;
}
function rangeOfNumber({ ranges }: Knowledge, v: Value, format: FloatFormat): Range | undefined {
  const known = ranges.get(v);
  if (known?.format === format) return known.range;
  // Of an integer.
  return v.kind === 'op' && v.op === `convert.${format}` ? { least: 0, grain: 0, most: 63 } : undefined;
}
function rangeOfLane(k: Knowledge, v: Value, format: FloatFormat, lane: number, steps = 0): Range | undefined {
  const known = k.ranges.get(v);
  if (known?.format === format && (lane === 0 || !known.scalar)) return known.range;
  if (v.kind === 'const') return rangeOfBits(laneOf(v.value, format, lane), format);
  if (v.kind !== 'op' || steps === MOST_STEPS) return undefined;
  const [a, c] = v.args;
  switch (v.op) {
    case 'i8x16.shuffle': {
      const place = laneIn(v.immediate, format, lane);
      const from = place < LANES[format] ? a : c;
      return place < 0 ? undefined : rangeOfLane(k, from, format, place % LANES[format], steps + 1);
    }
    case `${FLOAT_SHAPE[format]}.replace`:
      return v.immediate[0] === lane ? rangeOfNumber(k, c, format) : rangeOfLane(k, a, format, lane, steps + 1);
    case 'v128.xor':
    case 'v128.and': {
      // Of signs.
      const mask = c.kind === 'const' ? laneOf(c.value, format, lane) : undefined;
      const sign = 1n << BigInt(BITS[format] - 1);
      const alone = v.op === 'v128.xor' ? mask === 0n || mask === sign : mask === sign - 1n;
      return alone ? rangeOfLane(k, a, format, lane, steps + 1) : undefined;
    }
    default:
      return undefined;
  }
}
const laneOf = (bits: bigint, format: FloatFormat, lane: number): bigint =>
  BigInt.asUintN(BITS[format], bits >> BigInt(lane * BITS[format]));
/** Which lane of its two sources a shuffle puts there; negative: none. */
function laneIn(bytes: readonly number[], format: FloatFormat, lane: number): number {
  const size = BYTES / LANES[format];
  const first = bytes[lane * size];
  for (let i = 0; i < size; i++) if (bytes[lane * size + i] !== first + i) return -1;
  return first % size === 0 ? first / size : -1;
}
function rangeOfBits(bits: bigint, format: FloatFormat): Range | undefined {
  const magnitude = BigInt.asUintN(BITS[format] - 1, bits);
  const exponent = Number(magnitude >> BigInt(FRACTION[format])) - WIDEST[format] - 1;
  const isNear = magnitude === 0n || Math.abs(exponent) < SEEN[format].most;
  return isNear ? SEEN[format] : undefined;
}

// --- looks ------------------------------------------------------------------------------------------------------------------------

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

const MAGNITUDE = 0x7fffffff;
/** 2 to the `exponent`, its highest 32 bits. */
const power = (format: FloatFormat, exponent: number): number =>
  (exponent + WIDEST[format] + 1) * 2 ** (FRACTION[format] - (BITS[format] - 32));

/** Less than `floorOf` for numbers out of range, by 32-bit lanes with their exponents: what is too large becomes negative. */
const weights = (b: IrBuilder, format: FloatFormat, tops: Value): Value =>
  b.op('i32x4.add', [
    b.op('v128.and', [tops, dwords(b, MAGNITUDE)]),
    dwords(b, 2 ** 31 - power(format, SEEN[format].most)),
  ]);
const floorOf = (format: FloatFormat): number =>
  power(format, -SEEN[format].least) + 2 ** 31 - power(format, SEEN[format].most);

/** Where the exponents of two vectors' lanes are. */
const TOPS = { f32: { scalar: [0, 0, 4, 4] }, f64: { scalar: [1, 1, 5, 5], packed: [1, 3, 5, 7] } } as const;
/** Vectors whose 32-bit lanes hold the exponents of all. */
function topsOf(x: X86Builder, { format, scalar }: Lanes, values: readonly Value[]): readonly Value[] {
  const vectors = values.map((v) => (v.type === 'i128' ? v : x.op(`${FLOAT_SHAPE[format]}.splat`, [v])));
  if (format === 'f32' && !scalar) return vectors;
  return inPairs(x, vectors, scalar ? TOPS[format].scalar : TOPS.f64.packed);
}
/** Of each two vectors some lanes. */
function inPairs(x: X86Builder, vectors: readonly Value[], lanes: readonly number[]): readonly Value[] {
  const pairs: Value[] = [];
  for (let i = 0; i < vectors.length; i += 2) pairs.push(pick(x, vectors[i], vectors[i + 1] ?? vectors[i], lanes));
  return pairs;
}
/** The values of those whose lanes are the same, by these. */
function alike(sources: readonly Source[]): readonly (readonly [Lanes, readonly Value[]])[] {
  const groups: [Lanes, Value[]][] = [];
  for (const { value, format, scalar } of sources) {
    const group = groups.find(([lanes]) => lanes.format === format && lanes.scalar === scalar);
    if (group === undefined) groups.push([{ format, scalar }, [value]]);
    else if (!group[1].includes(value)) group[1].push(value);
  }
  return groups;
}
/** ALL where they are in range and none is zero. */
function areSeen(x: X86Builder, sources: readonly Source[]): Value {
  const seen = alike(sources).map(([lanes, values]) => {
    const { format } = lanes;
    const least = topsOf(x, lanes, values)
      .map((v) => weights(x, format, v))
      .reduce((a, c) => x.op('i32x4.min_s', [a, c]));
    return x.op('i32x4.gt_s', [least, dwords(x, floorOf(format) - 1)]);
  });
  return x.op('i32x4.bitmask', [seen.reduce((a, c) => x.op('v128.and', [a, c]))]);
}

/** All ones in lanes that are in range or zero. */
function seenOrZero(x: X86Builder, format: FloatFormat, v: Value): Value {
  const tops = format === 'f32' ? v : pick(x, v, v, [1, 1, 3, 3]);
  const near = x.op('i32x4.gt_s', [weights(x, format, tops), dwords(x, floorOf(format) - 1)]);
  const twice = x.op(`${INTEGER_SHAPE[format]}.add`, [v, v]);
  return x.op('v128.or', [near, x.op(`${INTEGER_SHAPE[format]}.eq`, [twice, x.const('i128', 0)])]);
}
/** The lowest lanes of two vectors. */
const LOWEST = { f32: [0, 0, 4, 4], f64: [0, 1, 4, 5] } as const;
/** Vectors of nothing but the lanes that count. */
function countingLanes(x: X86Builder, { format, scalar }: Lanes, values: readonly Value[]): readonly Value[] {
  const vectors = values.map((v) => (v.type === 'i128' ? v : x.op(`${FLOAT_SHAPE[format]}.splat`, [v])));
  return scalar ? inPairs(x, vectors, LOWEST[format]) : vectors;
}

// --- use --------------------------------------------------------------------------------------------------------------------------

/** Does `otherwise` where the host may not compute, or not all that was looked at, `values` included, is in range. */
function unlessHolds(x: X86Builder, k: Knowledge, lanes: Lanes, values: readonly Value[], otherwise: () => void): void {
  const { holds, pending } = k;
  const before = holds.get();
  const sources = [...pending.splice(0), ...values.map((value) => ({ ...lanes, value }))];
  if (sources.length === 0) {
    x.ifRarely(x.ne(before, ALL), otherwise);
    return;
  }
  const now = x.and(before, areSeen(x, sources));
  holds.set(now);
  x.ifRarely(x.ne(now, ALL), () => {
    const seen = alike(sources)
      .flatMap(([group, all]) => countingLanes(x, group, all).map((v) => seenOrZero(x, group.format, v)))
      .reduce((a, c) => x.op('v128.and', [a, c]));
    const still = x.and(before, x.op('i32x4.bitmask', [seen]));
    holds.set(still);
    x.if(x.ne(still, ALL), otherwise);
  });
}

/** Sees to it that the ranges of `sources` are known, and does `otherwise` where they are not; those of the same lanes. */
export function unlessKnown(x: X86Builder, lanes: Lanes, sources: readonly Value[], otherwise: () => void): void {
  const k = knowledge(x);
  const open = [...new Set(sources)].filter((v) => rangeOf(k, v, lanes) === undefined);
  unlessHolds(x, k, lanes, open, otherwise);
  note(x, k, lanes, open, SEEN[lanes.format]);
}

function note(x: X86Builder, { ranges }: Knowledge, lanes: Lanes, values: readonly Value[], range: Range): void {
  if (!x.nested) for (const v of values) ranges.set(v, { ...lanes, range });
}

/** Tells which registers are looked at. Comparisons do not: these are with infinities and the like more often, and may stay alone. */
function tell(x: X86Builder, { format, scalar }: Lanes, values: readonly Value[]): void {
  if (x.nested || values.length === 0) return;
  const places = values.flatMap((v) => (v.kind === 'getAt' && v.file === XMM ? [v.at] : []));
  x.looks.found.push(
    places.flatMap((at) => (at.kind === 'const' ? [{ place: Number(at.value), format, scalar }] : [])),
  );
}

/** What the host computes of `sources`, where that is certain to be right and to raise nothing, else what `exact` does. */
export function computeInRange(
  x: X86Builder,
  lanes: Lanes,
  rule: RangeRule,
  sources: readonly Value[],
  result: Value,
  exact: () => Value,
): Value {
  const k = knowledge(x);
  const { format } = lanes;
  const known = sources.map((v) => rangeOf(k, v, lanes));
  const range = (of: readonly Range[]): Range => rule.of(format, of[0], of[of.length - 1]);
  let open = sources.filter((_, i) => known[i] === undefined);
  let found = range(known.map((r) => r ?? SEEN[format]));
  if (!fits(format, found)) {
    open = [...sources];
    found = range(sources.map(() => SEEN[format]));
  }
  open = [...new Set(open)];
  const value = x.variable(result);
  tell(x, lanes, open);
  unlessHolds(x, k, lanes, rule.looks ? [...open, result] : open, () => value.set(exact()));
  note(x, k, lanes, open, SEEN[format]);
  const made = value.get();
  note(x, k, lanes, [made], rule.looks ? SEEN[format] : found);
  return made;
}
