/** Vector operations that only move bytes, as one shuffle of at most two vectors. */
import type { Value } from './types.ts';

export interface Shuffle {
  /** One or two vectors. */
  readonly sources: readonly Value[];
  /** For each byte of the result a byte of the sources: 0–15 of the first, 16–31 of the second. */
  readonly bytes: readonly number[];
}

const BYTES = 16;
const INDICES = Array.from({ length: BYTES }, (_, i) => i);
/** A byte of a vector. */
type Place = { readonly source: Value; readonly byte: number };

/** Where byte `byte` of a vector comes from, through the shuffles that made it. */
function origin(v: Value, byte: number): Place {
  if (v.kind !== 'op' || v.op !== 'i8x16.shuffle') return { source: v, byte };
  const index = v.immediate[byte];
  return index < BYTES ? origin(v.args[0], index) : origin(v.args[1], index - BYTES);
}

const byteOf = (vector: bigint, i: number): number => Number((vector >> BigInt(8 * i)) & 0xffn);

/** Where the bytes of the result come from; undefined for an operation that does more, or by what is not known. */
function placesOf(op: string, [a, b, c]: readonly Value[], immediate: readonly number[]): readonly Place[] | undefined {
  switch (op) {
    case 'i8x16.shuffle':
      return immediate.map((i) => (i < BYTES ? origin(a, i) : origin(b, i - BYTES)));
    case 'i8x16.swizzle': {
      if (b.kind !== 'const') return undefined;
      const chosen = INDICES.map((i) => byteOf(b.value, i));
      return chosen.every((i) => i < BYTES) ? chosen.map((i) => origin(a, i)) : undefined;
    }
    case 'v128.bitselect': {
      if (c.kind !== 'const') return undefined;
      const masks = INDICES.map((i) => byteOf(c.value, i));
      if (!masks.every((m) => m === 0 || m === 0xff)) return undefined;
      return masks.map((m, i) => origin(m === 0 ? b : a, i));
    }
    default:
      return undefined;
  }
}

/** The operation as a shuffle, if it is one of at most two vectors and not of constants alone. */
export function asShuffle(op: string, args: readonly Value[], immediate: readonly number[]): Shuffle | undefined {
  const places = placesOf(op, args, immediate);
  if (places === undefined) return undefined;
  const sources = [...new Set(places.map((place) => place.source))];
  if (sources.length > 2) return undefined;
  return { sources, bytes: places.map(({ source, byte }) => byte + BYTES * sources.indexOf(source)) };
}
