/** Far jumps and calls, in every mode (SDM vol. 2 JMP, CALL; vol. 3 §5.8). */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { CPL, CS_AT, RSP, SS_AT, TR_AT } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import {
  bySize,
  checkTarget,
  enterCode,
  enterReal,
  moveStack,
  not,
  peek,
  pokeBelow,
  type TransferSize,
  wordOf,
} from './far-common.ts';
import { enterStack, innerStack, pushOnto, setNullStack } from './handler-stack.ts';
import {
  dplOf,
  isClear,
  isLongMode,
  isSet,
  markAccessed,
  RIGHTS,
  readDescriptor,
  readUpperDescriptor,
  segmentPart,
  selectorCode,
  unpackDescriptor,
  usesDescriptors,
} from './segments.ts';
import { TASK, taskSwitch } from './tasks.ts';

/** A code segment reached without a gate: same level, or conforming (SDM vol. 3 §5.8.1). */
function checkDirectCode(x: X86Builder, selector: Value, access: Value): void {
  const code = selectorCode(x, selector);
  const dpl = dplOf(x, access);
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const plain = x.and(x.eq(dpl, x.get(CPL)), x.leU(rpl, x.get(CPL)));
  const levels = x.select(isSet(x, access, RIGHTS.conforming), x.leU(dpl, x.get(CPL)), plain);
  const both = x.and(isLongMode(x), x.eq(x.and(access, RIGHTS.L | RIGHTS.DB), RIGHTS.L | RIGHTS.DB));
  x.raiseIf(x.or(not(x, levels), both), VECTOR.GP, code);
  x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
}

interface Gate {
  readonly selector: Value;
  readonly d: Value;
  readonly address: Value;
  readonly access: Value;
  readonly limit: Value;
  readonly offset: Value;
  readonly wide: Value;
  readonly parameters: Value;
}

/** Reads and checks a call gate and the code segment it names (SDM vol. 3 §5.8.3–5.8.4). */
function readGate(x: X86Builder, selector: Value, d: Value): Gate {
  const code = selectorCode(x, selector);
  const access = x.trunc(x.shrU(d, 40), 'i32');
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const kind = x.and(access, 0x1f);
  const long = isLongMode(x);
  const isGate = x.or(x.eq(kind, 0xc), x.and(x.eq(kind, 4), not(x, long)));
  const dpl = dplOf(x, access);
  x.raiseIf(x.or(not(x, isGate), x.or(x.ltU(dpl, x.get(CPL)), x.ltU(dpl, rpl))), VECTOR.GP, code);
  x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
  const target = x.trunc(x.shrU(d, 16), 'i16');
  x.raiseIf(isClear(x, target, 0xfffc), VECTOR.GP, 0);
  const wide = x.eq(kind, 0xc);
  const low = x.or(x.and(d, 0xffff), x.select(wide, x.and(x.shrU(d, 32), 0xffff0000n), 0));
  const offset = x.variable(low);
  x.if(long, () => offset.set(x.or(low, x.shl(x.call(readUpperDescriptor, selector)[0], 32))));
  const [codeD, codeAddress] = x.call(readDescriptor, target, x.const('i32', 0));
  const unpacked = unpackDescriptor(x, codeD);
  const targetCode = selectorCode(x, target);
  const isCode = x.eq(x.and(unpacked.access, RIGHTS.S | RIGHTS.code), RIGHTS.S | RIGHTS.code);
  const notLong = x.and(long, x.ne(x.and(unpacked.access, RIGHTS.L | RIGHTS.DB), RIGHTS.L));
  const fails = x.or(notLong, x.or(not(x, isCode), x.ltU(x.get(CPL), dplOf(x, unpacked.access))));
  x.raiseIf(fails, VECTOR.GP, targetCode);
  x.raiseIf(isClear(x, unpacked.access, RIGHTS.P), VECTOR.NP, targetCode);
  const parameters = x.and(x.trunc(x.shrU(d, 32), 'i32'), 0x1f);
  return {
    selector: target,
    d: codeD,
    address: codeAddress,
    access: unpacked.access,
    limit: unpacked.limit,
    offset: offset.get(),
    wide,
    parameters,
  };
}

/** System descriptors: task gates and TSSs. Returns from the procedure when it was one. */
function tryTask(x: X86Builder, selector: Value, d: Value, how: number, nextIp: Value): void {
  const access = x.trunc(x.shrU(d, 40), 'i32');
  const kind = x.and(access, 0x1f);
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const dpl = dplOf(x, access);
  const isTss = x.eq(x.and(kind, ~8), 1);
  const isTask = x.and(x.or(x.eq(kind, 5), isTss), not(x, isLongMode(x)));
  x.if(isTask, () => {
    x.raiseIf(x.or(x.ltU(dpl, x.get(CPL)), x.ltU(dpl, rpl)), VECTOR.GP, selectorCode(x, selector));
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, selectorCode(x, selector));
    const tss = x.select(x.eq(kind, 5), x.trunc(x.shrU(d, 16), 'i16'), selector);
    x.call(taskSwitch, tss, x.const('i32', how), nextIp, x.const('i32', 0));
    x.return();
  });
}

/** Where the selector names code goes there, `before` the last. Else returns what it names. */
function goDirectly(x: X86Builder, selector: Value, offset: Value, before: () => void): Value {
  x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.GP, 0);
  const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
  const { limit, access } = unpackDescriptor(x, d);
  x.if(isSet(x, access, RIGHTS.S), () => {
    x.raiseIf(isClear(x, access, RIGHTS.code), VECTOR.GP, selectorCode(x, selector));
    checkDirectCode(x, selector, access);
    checkTarget(x, access, limit, offset);
    markAccessed(x, d, address);
    before();
    enterCode(x, d, selector, x.get(CPL), offset);
    x.return();
  });
  return d;
}

/** Pushes CS and the return address, as `words` has them. */
function pushReturn(x: X86Builder, size: TransferSize, words: readonly Value[]): void {
  pokeBelow(x, size, words);
  moveStack(x, -(size / 8) * words.length);
}

/** Arguments: selector, offset, instruction pointer behind the jump (for task switches). */
export const farJump: Procedure = x86Procedure(
  { name: 'farJump', parameters: ['i16', 'i64', 'i64'], results: [], mayFault: true },
  (x, selector, offset, nextIp) => {
    x.if(not(x, usesDescriptors(x)), () => {
      enterReal(x, selector, offset);
      x.return();
    });
    const d = goDirectly(x, selector, offset, () => {});
    tryTask(x, selector, d, TASK.jump, nextIp);
    const gate = readGate(x, selector, d);
    // A jump cannot go to an inner level.
    const inner = x.and(isClear(x, gate.access, RIGHTS.conforming), x.ltU(dplOf(x, gate.access), x.get(CPL)));
    x.raiseIf(inner, VECTOR.GP, selectorCode(x, gate.selector));
    checkTarget(x, gate.access, gate.limit, gate.offset);
    markAccessed(x, gate.d, gate.address);
    enterCode(x, gate.d, gate.selector, x.get(CPL), gate.offset);
    x.return();
  },
);

/** A call gate to an inner level in legacy mode: new stack, parameters copied, return address pushed. */
function callInnerLegacy(x: X86Builder, gate: Gate, level: Value, nextIp: Value, size: 16 | 32): void {
  const type = wordOf(size) as 'i16' | 'i32';
  const stack = innerStack(x, level, x.const('i32', 0));
  const word = (v: Value): Value => x.zext(v, 'i64');
  const pointer = x.variable(pushOnto(x, stack, [word(segmentPart(x, SS_AT, 'selector')), x.get(RSP)], type));
  const left = x.variable(gate.parameters);
  x.loop(() => {
    x.breakIf(x.eq(left.get(), 0));
    left.set(x.sub(left.get(), 1));
    const value = peek(x, size, 0, x.zext(x.mul(left.get(), size / 8), 'i64'));
    pointer.set(pushOnto(x, { ...stack, pointer: pointer.get() }, [value], type));
  });
  const bottom = pushOnto(
    x,
    { ...stack, pointer: pointer.get() },
    [word(segmentPart(x, CS_AT, 'selector')), nextIp],
    type,
  );
  checkTarget(x, gate.access, gate.limit, gate.offset);
  markAccessed(x, gate.d, gate.address);
  enterStack(x, stack, bottom);
  enterCode(x, gate.d, gate.selector, level, gate.offset);
  x.return();
}

/** A call gate to an inner level in 64-bit mode. */
function callInnerLong(x: X86Builder, gate: Gate, level: Value, nextIp: Value): void {
  const at = x.add(x.shl(level, 3), 4);
  const tr = selectorCode(x, segmentPart(x, TR_AT, 'selector'));
  x.raiseIf(x.ltU(segmentPart(x, TR_AT, 'limit'), x.add(at, 7)), VECTOR.TS, tr);
  const stack = x.load('i64', x.add(segmentPart(x, TR_AT, 'base'), x.zext(at, 'i64')), 'supervisor');
  const words = [
    x.zext(segmentPart(x, SS_AT, 'selector'), 'i64'),
    x.get(RSP),
    x.zext(segmentPart(x, CS_AT, 'selector'), 'i64'),
    nextIp,
  ];
  const inside = x.and(x.isCanonical(x.sub(stack, 8)), x.isCanonical(x.sub(stack, 32)));
  x.raiseIf(not(x, inside), VECTOR.SS, 0);
  for (const [i, word] of words.entries()) x.store(x.sub(stack, (i + 1) * 8), word, 'supervisor');
  x.checkCanonical(gate.offset);
  markAccessed(x, gate.d, gate.address);
  setNullStack(x, level);
  x.set(RSP, x.sub(stack, 32));
  enterCode(x, gate.d, gate.selector, level, gate.offset);
  x.return();
}

function callThroughGate(x: X86Builder, gate: Gate, nextIp: Value): void {
  const conforming = isSet(x, gate.access, RIGHTS.conforming);
  const level = x.select(conforming, x.get(CPL), dplOf(x, gate.access));
  const long = isLongMode(x);
  x.if(x.ltU(level, x.get(CPL)), () => {
    x.if(long, () => callInnerLong(x, gate, level, nextIp));
    x.if(
      gate.wide,
      () => callInnerLegacy(x, gate, level, nextIp, 32),
      () => callInnerLegacy(x, gate, level, nextIp, 16),
    );
  });
  checkTarget(x, gate.access, gate.limit, gate.offset);
  markAccessed(x, gate.d, gate.address);
  const words = [x.zext(segmentPart(x, CS_AT, 'selector'), 'i64'), nextIp];
  const push = (size: 16 | 32): void => pushReturn(x, size, words);
  x.if(
    long,
    () => {
      // The code is 64-bit code, whose stack has no base: from compatibility mode too.
      for (const [i, word] of words.entries()) x.store(x.sub(x.get(RSP), (i + 1) * 8), word, 'stack');
      x.set(RSP, x.sub(x.get(RSP), 16));
    },
    () =>
      x.if(
        gate.wide,
        () => push(32),
        () => push(16),
      ),
  );
  enterCode(x, gate.d, gate.selector, level, gate.offset);
  x.return();
}

const makeFarCall = (size: TransferSize): Procedure =>
  x86Procedure(
    { name: `farCall${size}`, parameters: ['i16', 'i64', 'i64'], results: [], mayFault: true },
    (x, selector, offset, nextIp) => {
      const words = [x.zext(segmentPart(x, CS_AT, 'selector'), 'i64'), nextIp];
      x.if(not(x, usesDescriptors(x)), () => {
        x.raiseIf(x.ltU(x.zext(segmentPart(x, CS_AT, 'limit'), 'i64'), offset), VECTOR.GP, 0);
        pushReturn(x, size, words);
        enterReal(x, selector, offset);
        x.return();
      });
      const d = goDirectly(x, selector, offset, () => pushReturn(x, size, words));
      tryTask(x, selector, d, TASK.call, nextIp);
      callThroughGate(x, readGate(x, selector, d), nextIp);
    },
  );

/** Arguments: selector, offset, return address. */
export const farCall = bySize(makeFarCall);
