/** Abstract values: which bits are known, and which depend on state that is not the program's own. */
import type { StateClass } from '../ir/types.ts';

/** A piece of state, or something outside the processor, that values can depend on. One object each. */
export interface Source {
  readonly name: string;
  readonly class: StateClass;
  /** What to call it in a sentence, where the name will not do. */
  readonly text?: string | undefined;
}

/** For each source the bits of a value that depend on it. */
export type Taint = ReadonlyMap<Source, bigint>;
export const UNTAINTED: Taint = new Map();

/** All that is known of a value of `width` bits. */
export interface Abstract {
  readonly width: number;
  /** Bits known to be 0. */
  readonly zeros: bigint;
  /** Bits known to be 1. */
  readonly ones: bigint;
  readonly taint: Taint;
  /** Bits that are what the state at byte `sameAt` held, at the same position, before the instruction. */
  readonly sameAt: number;
  readonly sameMask: bigint;
}

export const maskOf = (width: number): bigint => (1n << BigInt(width)) - 1n;
/** No state lies there: the value is nobody's copy. */
export const NOWHERE = -1;

export function unknown(width: number, taint: Taint = UNTAINTED): Abstract {
  return { width, zeros: 0n, ones: 0n, taint, sameAt: NOWHERE, sameMask: 0n };
}
export function known(width: number, value: bigint): Abstract {
  const ones = BigInt.asUintN(width, value);
  return { width, zeros: maskOf(width) & ~ones, ones, taint: UNTAINTED, sameAt: NOWHERE, sameMask: 0n };
}
/** The value when every bit is known. */
export function constantOf(v: Abstract): bigint | undefined {
  return (v.zeros | v.ones) === maskOf(v.width) ? v.ones : undefined;
}

/** Every bit depends on what any bit of `values` depends on. */
export function spread(width: number, values: readonly Abstract[]): Taint {
  if (values.every((v) => v.taint.size === 0)) return UNTAINTED;
  const all = new Map<Source, bigint>();
  for (const v of values) for (const source of v.taint.keys()) all.set(source, maskOf(width));
  return all;
}

/** Taint transformed bit mask by bit mask; sources without bits vanish. */
export function mapTaint(taint: Taint, f: (bits: bigint) => bigint): Taint {
  if (taint.size === 0) return taint;
  const result = new Map<Source, bigint>();
  for (const [source, bits] of taint) {
    const mapped = f(bits);
    if (mapped !== 0n) result.set(source, mapped);
  }
  return result;
}

export function unite(a: Taint, b: Taint): Taint {
  if (a.size === 0) return b;
  if (b.size === 0) return a;
  const result = new Map(a);
  for (const [source, bits] of b) result.set(source, (result.get(source) ?? 0n) | bits);
  return result;
}

/** Known bits depend on nothing. */
export function clean(v: Abstract): Abstract {
  if (v.taint.size === 0) return v;
  const decided = v.zeros | v.ones;
  return decided === 0n ? v : { ...v, taint: mapTaint(v.taint, (bits) => bits & ~decided) };
}

/** Either value, depending on what `condition` depends on. */
export function join(a: Abstract, b: Abstract, condition: Taint = UNTAINTED): Abstract {
  if (a === b) return a;
  const zeros = a.zeros & b.zeros;
  const ones = a.ones & b.ones;
  const isSame = a.sameAt === b.sameAt && a.sameAt !== NOWHERE;
  const sameMask = isSame ? a.sameMask & b.sameMask : 0n;
  const open = maskOf(a.width) & ~(zeros | ones | sameMask);
  const chosen = mapTaint(condition, () => open);
  return {
    width: a.width,
    zeros,
    ones,
    taint: unite(unite(a.taint, b.taint), chosen),
    sameAt: isSame ? a.sameAt : NOWHERE,
    sameMask,
  };
}

/** The same knowledge and the same dependencies. */
export function equal(a: Abstract, b: Abstract): boolean {
  if (a === b) return true;
  if (a.zeros !== b.zeros || a.ones !== b.ones || a.sameAt !== b.sameAt || a.sameMask !== b.sameMask) return false;
  if (a.taint.size !== b.taint.size) return false;
  for (const [source, bits] of a.taint) if (b.taint.get(source) !== bits) return false;
  return true;
}
