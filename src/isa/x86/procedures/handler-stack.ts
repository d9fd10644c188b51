/** The stacks of handlers and of call gates: found in the TSS, checked, and written before they are in use. */
import type { IntegerType, Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { CPL, RSP, SS_AT, TR_AT } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import {
  dplOf,
  isClear,
  isSet,
  markAccessed,
  RIGHTS,
  readTaskDescriptor,
  segmentPart,
  selectorCode,
  setSegment,
  unpackDescriptor,
} from './segments.ts';

const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

export interface StackSegment {
  readonly base: Value;
  readonly limit: Value;
  readonly access: Value;
  /** Error code of #SS where there is no room. */
  readonly code: Value;
  readonly level: Value;
}
export interface InnerStack extends StackSegment {
  readonly selector: Value;
  readonly pointer: Value;
}

/** The stack of an inner level from the TSS, checked (SDM vol. 3 §5.8.5). Level, EXT → selector, pointer, descriptor. */
const readInnerStack: Procedure = x86Procedure(
  { name: 'readInnerStack', parameters: ['i32', 'i32'], results: ['i16', 'i64', 'i64'], mayFault: true },
  (x, level, ext) => {
    const wide = isSet(x, segmentPart(x, TR_AT, 'access'), 8);
    const at = x.select(wide, x.add(x.shl(level, 3), 4), x.add(x.shl(level, 2), 2));
    const last = x.add(at, x.select(wide, x.const('i32', 5), 3));
    x.raiseIf(
      x.ltU(segmentPart(x, TR_AT, 'limit'), last),
      VECTOR.TS,
      selectorCode(x, segmentPart(x, TR_AT, 'selector'), ext),
    );
    const address = x.add(segmentPart(x, TR_AT, 'base'), x.zext(at, 'i64'));
    const pointer = x.variable(x.zext(x.load('i16', address, 'supervisor'), 'i64'));
    x.if(wide, () => pointer.set(x.zext(x.load('i32', address, 'supervisor'), 'i64')));
    const selector = x.load('i16', x.add(address, x.select(wide, x.const('i64', 4), 2)), 'supervisor');
    x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.TS, ext);
    const [d, place] = x.call(readTaskDescriptor, selector, ext);
    const { access } = unpackDescriptor(x, d);
    const isWritableData = x.eq(x.and(access, RIGHTS.S | RIGHTS.code | RIGHTS.readWrite), RIGHTS.S | RIGHTS.readWrite);
    const levels = x.and(x.eq(x.and(x.zext(selector, 'i32'), 3), level), x.eq(dplOf(x, access), level));
    x.raiseIf(not(x, x.and(isWritableData, levels)), VECTOR.TS, selectorCode(x, selector, ext));
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.SS, selectorCode(x, selector, ext));
    markAccessed(x, d, place);
    x.return(selector, pointer.get(), d);
  },
);

export function innerStack(x: X86Builder, level: Value, ext: Value): InnerStack {
  const [selector, pointer, d] = x.call(readInnerStack, level, ext);
  return { selector, pointer, ...unpackDescriptor(x, d), code: selectorCode(x, selector, ext), level };
}
/** The stack in use, for a handler of the same level. */
export function presentStack(x: X86Builder, ext: Value): StackSegment {
  const part = (name: 'base' | 'limit' | 'access'): Value => segmentPart(x, SS_AT, name);
  return { base: part('base'), limit: part('limit'), access: part('access'), code: ext, level: x.get(CPL) };
}
/** Stores for a stack of `level`: at level 3, where the program is already, as the program itself does. */
export function storeOnStack(x: X86Builder, level: Value, address: Value, word: Value): void {
  x.if(
    x.eq(level, 3),
    () => x.store(address, word),
    () => x.store(address, word, 'supervisor'),
  );
}

/** Writes words downwards from `pointer` of a stack that is not loaded yet; returns the pointer below them. */
export function pushOnto(
  x: X86Builder,
  stack: StackSegment & { pointer: Value },
  words: readonly Value[],
  type: IntegerType,
): Value {
  const bytes = type === 'i16' ? 2 : type === 'i32' ? 4 : 8;
  const mask = x.select(isSet(x, stack.access, RIGHTS.DB), x.const('i64', 0xffffffffn), 0xffffn);
  const at = (n: number): Value => x.and(x.sub(stack.pointer, n * bytes), mask);
  const expandUp = isClear(x, stack.access, RIGHTS.conforming);
  const lowest = at(words.length);
  const highest = x.add(at(1), bytes - 1);
  const limit = x.zext(stack.limit, 'i64');
  // Where the offset wraps, the highest byte lies below the lowest.
  const fails = x.select(expandUp, x.ltU(limit, highest), x.leU(lowest, limit));
  x.raiseIf(x.or(fails, x.ltU(highest, lowest)), VECTOR.SS, stack.code);
  for (const [i, word] of words.entries()) {
    storeOnStack(x, stack.level, x.and(x.add(stack.base, at(i + 1)), 0xffffffffn), x.trunc(word, type));
  }
  return at(words.length);
}

/** Makes an inner stack, written up to `pointer`, the present one. */
export function enterStack(x: X86Builder, stack: InnerStack, pointer: Value): void {
  const access = x.or(stack.access, RIGHTS.accessed);
  x.call(setSegment, x.const('i32', SS_AT), stack.selector, stack.base, stack.limit, access);
  x.set(RSP, pointer);
}

/** In 64-bit mode an inner level starts with a null SS (SDM vol. 3 §5.8.3.1, 6.14.4). */
export function setNullStack(x: X86Builder, level: Value): void {
  const unusable = x.or(x.const('i32', RIGHTS.unusable), x.shl(level, 5));
  x.call(setSegment, x.const('i32', SS_AT), x.trunc(level, 'i16'), x.const('i64', 0), x.const('i32', 0), unusable);
}
