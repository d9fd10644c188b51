/** What far jumps, calls and returns have in common. */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { CPL, CS_AT, RIP, RSP, SS_AT, STACK_MASK } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { checkSegment } from './checks.ts';
import {
  is64Bit,
  isLongMode,
  isSet,
  modeChanged,
  RIGHTS,
  segmentPart,
  setRealSegment,
  setSegment,
  unpackDescriptor,
} from './segments.ts';

export type TransferSize = 16 | 32 | 64;
const SIZES: readonly TransferSize[] = [16, 32, 64];
type Word = 'i16' | 'i32' | 'i64';
export const wordOf = (size: TransferSize): Word => `i${size}` as const;
export const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

/** The linear address of `bytes` bytes of the present stack; in 64-bit mode SS has no base and no limit. */
export function stackLinear(x: X86Builder, offset: Value, bytes: number, write: boolean): Value {
  const wrapped = x.and(offset, x.get(STACK_MASK));
  const long = is64Bit(x);
  const end = segmentPart(x, SS_AT, write ? 'writeEnd' : 'readEnd');
  x.if(x.and(not(x, long), x.ltU(end, x.add(wrapped, bytes))), () => {
    x.call(checkSegment, x.const('i32', SS_AT), wrapped, x.const('i32', bytes), x.const('i32', write ? 1 : 0));
  });
  return x.select(long, wrapped, x.and(x.add(segmentPart(x, SS_AT, 'base'), wrapped), 0xffffffffn));
}
/** Word `n` above the stack pointer, zero-extended. */
export function peek(x: X86Builder, size: TransferSize, n: number, plus: Value | number = 0): Value {
  const offset = x.add(x.add(x.get(RSP), (n * size) / 8), plus);
  return x.zext(x.load(wordOf(size), stackLinear(x, offset, size / 8, false), 'stack'), 'i64');
}
export function moveStack(x: X86Builder, by: Value | number): void {
  const mask = x.get(STACK_MASK);
  x.set(RSP, x.or(x.and(x.get(RSP), x.not(mask)), x.and(x.add(x.get(RSP), by), mask)));
}
/** Writes words below the stack pointer without moving it. */
export function pokeBelow(x: X86Builder, size: TransferSize, words: readonly Value[]): void {
  for (const [i, word] of words.entries()) {
    const address = stackLinear(x, x.sub(x.get(RSP), ((i + 1) * size) / 8), size / 8, true);
    x.store(address, x.trunc(word, wordOf(size)), 'stack');
  }
}

/** The target lies in the code segment: canonical in 64-bit mode, else below the limit. */
export function checkTarget(x: X86Builder, access: Value, limit: Value, offset: Value): void {
  const long = x.and(isLongMode(x), isSet(x, access, RIGHTS.L));
  const fails = x.select(long, not(x, x.isCanonical(offset)), x.ltU(x.zext(limit, 'i64'), offset));
  x.raiseIf(fails, VECTOR.GP, 0);
}

/** Makes `d`, marked as accessed, the code segment at privilege `level` and `offset` the instruction pointer. */
export function enterCode(x: X86Builder, d: Value, selector: Value, level: Value, offset: Value): void {
  const { base, limit, access } = unpackDescriptor(x, d);
  const named = x.or(x.and(selector, 0xfffc), x.trunc(level, 'i16'));
  x.call(setSegment, x.const('i32', CS_AT), named, base, limit, x.or(access, RIGHTS.accessed));
  x.set(CPL, level);
  x.set(RIP, offset);
  x.call(modeChanged);
}

export function enterReal(x: X86Builder, selector: Value, offset: Value): void {
  x.raiseIf(x.ltU(x.zext(segmentPart(x, CS_AT, 'limit'), 'i64'), offset), VECTOR.GP, 0);
  x.call(setRealSegment, x.const('i32', CS_AT), selector);
  x.set(RIP, offset);
  x.call(modeChanged);
}

export const bySize = (make: (size: TransferSize) => Procedure): Readonly<Record<TransferSize, Procedure>> => {
  const [p16, p32, p64] = SIZES.map(make);
  return { 16: p16, 32: p32, 64: p64 };
};
