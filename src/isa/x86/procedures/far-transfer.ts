/** Far jumps, calls and returns, and IRET, in every mode (SDM vol. 2 JMP, CALL, RET, IRET; vol. 3 §5.8). */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { ARITHMETIC_FLAGS, OTHER_FLAGS, RFLAGS } from '../flags.ts';
import {
  CPL,
  CS_AT,
  FLAGS_OTHER,
  FLAGS_SYSTEM,
  NMI_BLOCKED,
  RETIRED_LIMIT,
  RF_IP,
  RIP,
  RSP,
  SEGMENT_STRIDE,
  SS_AT,
  STACK_MASK,
  TR_AT,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { checkSegment } from './checks.ts';
import { innerStack, pushOnto } from './interrupts.ts';
import {
  dplOf,
  dropInnerSegments,
  is64Bit,
  isClear,
  isLongMode,
  isSet,
  isVirtual8086,
  markAccessed,
  modeChanged,
  RIGHTS,
  readDescriptor,
  readUpperDescriptor,
  requestAttention,
  segmentPart,
  selectorCode,
  setRealSegment,
  setSegment,
  unpackDescriptor,
  usesDescriptors,
} from './segments.ts';
import { TASK, taskSwitch } from './tasks.ts';

export type TransferSize = 16 | 32 | 64;
const SIZES: readonly TransferSize[] = [16, 32, 64];
type Word = 'i16' | 'i32' | 'i64';
const wordOf = (size: TransferSize): Word => `i${size}` as const;
const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

/** The linear address of `bytes` bytes of the present stack; in 64-bit mode SS has no base and no limit. */
function stackLinear(x: X86Builder, offset: Value, bytes: number, write: boolean): Value {
  const wrapped = x.and(offset, x.get(STACK_MASK));
  const long = is64Bit(x);
  const end = segmentPart(x, SS_AT, write ? 'writeEnd' : 'readEnd');
  x.if(x.and(not(x, long), x.ltU(end, x.add(wrapped, bytes))), () => {
    x.call(checkSegment, x.const('i32', SS_AT), wrapped, x.const('i32', bytes), x.const('i32', write ? 1 : 0));
  });
  return x.select(long, wrapped, x.and(x.add(segmentPart(x, SS_AT, 'base'), wrapped), 0xffffffffn));
}
/** Word `n` above the stack pointer, zero-extended. */
function peek(x: X86Builder, size: TransferSize, n: number, plus: Value | number = 0): Value {
  const offset = x.add(x.add(x.get(RSP), (n * size) / 8), plus);
  return x.zext(x.load(wordOf(size), stackLinear(x, offset, size / 8, false), 'stack'), 'i64');
}
function moveStack(x: X86Builder, by: Value | number): void {
  const mask = x.get(STACK_MASK);
  x.set(RSP, x.or(x.and(x.get(RSP), x.not(mask)), x.and(x.add(x.get(RSP), by), mask)));
}
/** Writes words below the stack pointer without moving it. */
function pokeBelow(x: X86Builder, size: TransferSize, words: readonly Value[]): void {
  for (const [i, word] of words.entries()) {
    const address = stackLinear(x, x.sub(x.get(RSP), ((i + 1) * size) / 8), size / 8, true);
    x.store(address, x.trunc(word, wordOf(size)), 'stack');
  }
}

/** The target lies in the code segment: canonical in 64-bit mode, else below the limit. */
function checkTarget(x: X86Builder, access: Value, limit: Value, offset: Value): void {
  const long = x.and(isLongMode(x), isSet(x, access, RIGHTS.L));
  const fails = x.select(long, not(x, x.isCanonical(offset)), x.ltU(x.zext(limit, 'i64'), offset));
  x.raiseIf(fails, VECTOR.GP, 0);
}

/** Makes `d`, marked as accessed, the code segment at privilege `level` and `offset` the instruction pointer. */
function enterCode(x: X86Builder, d: Value, selector: Value, level: Value, offset: Value): void {
  const { base, limit, access } = unpackDescriptor(x, d);
  const named = x.or(x.and(selector, 0xfffc), x.trunc(level, 'i16'));
  x.call(setSegment, x.const('i32', CS_AT), named, base, limit, x.or(access, RIGHTS.accessed));
  x.set(CPL, level);
  x.set(RIP, offset);
  x.call(modeChanged);
}

function enterReal(x: X86Builder, selector: Value, offset: Value): void {
  x.raiseIf(x.ltU(x.zext(segmentPart(x, CS_AT, 'limit'), 'i64'), offset), VECTOR.GP, 0);
  x.call(setRealSegment, x.const('i32', CS_AT), selector);
  x.set(RIP, offset);
  x.call(modeChanged);
}

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

/** Arguments: selector, offset, instruction pointer behind the jump (for task switches). */
export const farJump: Procedure = x86Procedure(
  { name: 'farJump', parameters: ['i16', 'i64', 'i64'], results: [], mayFault: true },
  (x, selector, offset, nextIp) => {
    x.if(not(x, usesDescriptors(x)), () => {
      enterReal(x, selector, offset);
      x.return();
    });
    x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.GP, 0);
    const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
    const { limit, access } = unpackDescriptor(x, d);
    x.if(isSet(x, access, RIGHTS.S), () => {
      x.raiseIf(isClear(x, access, RIGHTS.code), VECTOR.GP, selectorCode(x, selector));
      checkDirectCode(x, selector, access);
      checkTarget(x, access, limit, offset);
      markAccessed(x, d, address);
      enterCode(x, d, selector, x.get(CPL), offset);
      x.return();
    });
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
  x.call(
    setSegment,
    x.const('i32', SS_AT),
    stack.selector,
    stack.base,
    stack.limit,
    x.or(stack.access, RIGHTS.accessed),
  );
  x.set(RSP, bottom);
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
  const unusable = x.or(x.const('i32', RIGHTS.unusable), x.shl(level, 5));
  x.call(setSegment, x.const('i32', SS_AT), x.trunc(level, 'i16'), x.const('i64', 0), x.const('i32', 0), unusable);
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
  const push = (size: TransferSize): void => {
    pokeBelow(x, size, words);
    moveStack(x, -(size / 8) * 2);
  };
  x.if(
    long,
    () => push(64),
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
        pokeBelow(x, size, words);
        moveStack(x, -(size / 8) * 2);
        enterReal(x, selector, offset);
        x.return();
      });
      x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.GP, 0);
      const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
      const { limit, access } = unpackDescriptor(x, d);
      x.if(isSet(x, access, RIGHTS.S), () => {
        x.raiseIf(isClear(x, access, RIGHTS.code), VECTOR.GP, selectorCode(x, selector));
        checkDirectCode(x, selector, access);
        checkTarget(x, access, limit, offset);
        markAccessed(x, d, address);
        pokeBelow(x, size, words);
        moveStack(x, -(size / 8) * 2);
        enterCode(x, d, selector, x.get(CPL), offset);
        x.return();
      });
      tryTask(x, selector, d, TASK.call, nextIp);
      callThroughGate(x, readGate(x, selector, d), nextIp);
    },
  );

/** A return's code segment: level of its RPL, which is this or an outer one (SDM vol. 3 §5.8.6). */
function checkReturnCode(x: X86Builder, selector: Value): { d: Value; address: Value; rpl: Value } {
  x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.GP, 0);
  const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
  const { access } = unpackDescriptor(x, d);
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const code = selectorCode(x, selector);
  const isCode = x.eq(x.and(access, RIGHTS.S | RIGHTS.code), RIGHTS.S | RIGHTS.code);
  const dpl = dplOf(x, access);
  const levels = x.select(isSet(x, access, RIGHTS.conforming), x.leU(dpl, rpl), x.eq(dpl, rpl));
  const both = x.and(isLongMode(x), x.eq(x.and(access, RIGHTS.L | RIGHTS.DB), RIGHTS.L | RIGHTS.DB));
  const fails = x.or(both, x.or(not(x, isCode), x.or(x.ltU(rpl, x.get(CPL)), not(x, levels))));
  x.raiseIf(fails, VECTOR.GP, code);
  x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
  return { d, address, rpl };
}

/** SS for a return to level `rpl`. A null selector is allowed when returning to 64-bit mode above level 3. */
const loadReturnStack: Procedure = x86Procedure(
  { name: 'loadReturnStack', parameters: ['i16', 'i32', 'i32'], results: ['i64'], mayFault: true },
  (x, selector, level, toLong) => {
    const code = selectorCode(x, selector);
    x.if(isClear(x, selector, 0xfffc), () => {
      const allowed = x.and(x.ne(toLong, 0), x.ne(level, 3));
      x.raiseIf(not(x, allowed), VECTOR.GP, 0);
      x.return(x.const('i64', 0));
    });
    const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
    const { access } = unpackDescriptor(x, d);
    const isWritableData = x.eq(x.and(access, RIGHTS.S | RIGHTS.code | RIGHTS.readWrite), RIGHTS.S | RIGHTS.readWrite);
    const levels = x.and(x.eq(x.and(x.zext(selector, 'i32'), 3), level), x.eq(dplOf(x, access), level));
    x.raiseIf(not(x, x.and(isWritableData, levels)), VECTOR.GP, code);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.SS, code);
    markAccessed(x, d, address);
    x.return(d);
  },
);

/** Sets SS from what `loadReturnStack` gave. */
function setReturnStack(x: X86Builder, selector: Value, d: Value, level: Value): void {
  const { base, limit, access } = unpackDescriptor(x, d);
  const rights = x.select(
    x.eq(d, 0),
    x.or(x.const('i32', RIGHTS.unusable), x.shl(level, 5)),
    x.or(access, RIGHTS.accessed),
  );
  x.call(setSegment, x.const('i32', SS_AT), selector, base, limit, rights);
}

interface ReturnFrame {
  readonly size: TransferSize;
  readonly ip: Value;
  readonly selector: Value;
  /** Bytes of the words above and the frame's own up to where SS:RSP stand. */
  readonly stackWord: number;
  readonly release: Value;
}

/** The common end of far RET and IRET in protected and 64-bit mode. `commit` runs when nothing can fault any more. */
function finishReturn(x: X86Builder, f: ReturnFrame, always: boolean, commit: (level: Value) => void): void {
  const { d, address, rpl } = checkReturnCode(x, f.selector);
  const { limit, access } = unpackDescriptor(x, d);
  const toLong = x.and(isLongMode(x), isSet(x, access, RIGHTS.L));
  const outer = always ? x.or(is64Bit(x), x.ne(rpl, x.get(CPL))) : x.ne(rpl, x.get(CPL));
  x.if(
    outer,
    () => {
      const rsp = peek(x, f.size, f.stackWord, f.release);
      const ss = x.trunc(peek(x, f.size, f.stackWord + 1, f.release), 'i16');
      const [stack] = x.call(loadReturnStack, ss, rpl, x.zext(toLong, 'i32'));
      checkTarget(x, access, limit, f.ip);
      markAccessed(x, d, address);
      commit(rpl);
      const toOuter = x.ltU(x.get(CPL), rpl);
      enterCode(x, d, f.selector, rpl, f.ip);
      setReturnStack(x, ss, stack, rpl);
      x.call(modeChanged);
      // A 16-bit stack takes 16 bits: the others of the lower half stay.
      const mask = x.get(STACK_MASK);
      const kept = x.and(x.get(RSP), x.and(x.not(mask), 0xffffffffn));
      x.set(RSP, x.or(x.select(x.eq(mask, 0xffff), kept, 0), x.and(rsp, mask)));
      moveStack(x, f.release);
      x.if(toOuter, () => dropInnerSegments(x, rpl));
    },
    () => {
      checkTarget(x, access, limit, f.ip);
      markAccessed(x, d, address);
      commit(rpl);
      moveStack(x, x.add(f.release, (f.stackWord * f.size) / 8));
      enterCode(x, d, f.selector, rpl, f.ip);
    },
  );
  x.return();
}

const makeFarReturn = (size: TransferSize): Procedure =>
  x86Procedure({ name: `farReturn${size}`, parameters: ['i64'], results: [], mayFault: true }, (x, release) => {
    const ip = peek(x, size, 0);
    const selector = x.trunc(peek(x, size, 1), 'i16');
    x.if(not(x, usesDescriptors(x)), () => {
      x.raiseIf(x.ltU(x.zext(segmentPart(x, CS_AT, 'limit'), 'i64'), ip), VECTOR.GP, 0);
      moveStack(x, x.add(release, (size / 8) * 2));
      enterReal(x, selector, ip);
      x.return();
    });
    finishReturn(x, { size, ip, selector, stackWord: 2, release }, false, () => {});
  });

/** Flags that IRET takes: all arithmetic and other ones; IF at CPL ≤ IOPL; IOPL, VIF, VIP at CPL 0 (SDM vol. 2, IRET). */
function writeReturnFlags(x: X86Builder, image: Value, size: TransferSize): void {
  const cpl = x.get(CPL);
  const iopl = x.and(x.shrU(x.get(FLAGS_SYSTEM), 12), 3);
  const base = x.const('i32', ARITHMETIC_FLAGS | OTHER_FLAGS);
  const withIf = x.or(base, x.select(x.leU(cpl, iopl), x.const('i32', RFLAGS.IF), 0));
  const all = x.or(withIf, x.select(x.eq(cpl, 0), x.const('i32', RFLAGS.IOPL | RFLAGS.VIF | RFLAGS.VIP), 0));
  x.flags.write(image, size === 16 ? x.and(all, 0xffff) : all);
  x.call(requestAttention);
}
/** Behind the change of RIP: RF counts for the instruction that is returned to. */
const resumeAt = (x: X86Builder): void => x.set(RF_IP, x.get(RIP));
/** Further non-maskable interrupts may come, even where the rest of IRET faults (SDM vol. 3 §6.7.1). */
function unblockNmi(x: X86Builder): void {
  x.if(x.ne(x.get(NMI_BLOCKED), 0), () => {
    x.set(NMI_BLOCKED, 0);
    x.set(RETIRED_LIMIT, 0);
  });
}

/** IRET to virtual-8086 mode: ES, DS, FS, GS and the outer stack come from the frame too (SDM vol. 3 §20.2.5). */
function returnToVirtual8086(x: X86Builder, ip: Value, selector: Value, image: Value): void {
  x.raiseIf(x.ltU(x.const('i64', 0xffff), ip), VECTOR.GP, 0);
  const rsp = peek(x, 32, 3);
  const selectors = [4, 5, 6, 7, 8].map((n) => x.trunc(peek(x, 32, n), 'i16'));
  x.flags.write(image, x.const('i32', 0x3fffff));
  x.set(CPL, 3);
  const [ss, es, ds, fs, gs] = selectors;
  for (const [n, s] of [es, selector, ss, ds, fs, gs].entries())
    x.call(setRealSegment, x.const('i32', n * SEGMENT_STRIDE), s);
  x.set(RSP, rsp);
  x.set(RIP, ip);
  resumeAt(x);
  x.call(modeChanged);
  x.call(requestAttention);
  x.return();
}

const makeInterruptReturn = (size: TransferSize): Procedure =>
  x86Procedure({ name: `interruptReturn${size}`, parameters: ['i64'], results: [], mayFault: true }, (x, nextIp) => {
    const iopl = x.and(x.shrU(x.get(FLAGS_SYSTEM), 12), 3);
    x.raiseIf(x.and(isVirtual8086(x), x.ne(iopl, 3)), VECTOR.GP, 0);
    unblockNmi(x);
    const nested = x.and(isSet(x, x.get(FLAGS_OTHER), RFLAGS.NT), usesDescriptors(x));
    x.if(nested, () => {
      x.raiseIf(isLongMode(x), VECTOR.GP, 0);
      const link = x.load('i16', segmentPart(x, TR_AT, 'base'), 'supervisor');
      x.call(taskSwitch, link, x.const('i32', TASK.return), nextIp, x.const('i32', 0));
      x.return();
    });
    const ip = peek(x, size, 0);
    const selector = x.trunc(peek(x, size, 1), 'i16');
    const image = x.trunc(peek(x, size, 2), 'i32');
    x.if(not(x, usesDescriptors(x)), () => {
      x.raiseIf(x.ltU(x.zext(segmentPart(x, CS_AT, 'limit'), 'i64'), ip), VECTOR.GP, 0);
      const inVirtual = x.const('i32', RFLAGS.IF);
      const changeable = x.or(
        x.const('i32', ARITHMETIC_FLAGS | OTHER_FLAGS),
        x.select(isVirtual8086(x), inVirtual, RFLAGS.IF | RFLAGS.IOPL),
      );
      moveStack(x, (size / 8) * 3);
      enterReal(x, selector, ip);
      x.flags.write(image, size === 16 ? x.and(changeable, 0xffff) : changeable);
      resumeAt(x);
      x.call(modeChanged);
      x.call(requestAttention);
      x.return();
    });
    if (size === 32) {
      const toVirtual = x.and(isSet(x, image, RFLAGS.VM), x.and(x.eq(x.get(CPL), 0), not(x, isLongMode(x))));
      x.if(toVirtual, () => returnToVirtual8086(x, ip, selector, image));
    }
    finishReturn(x, { size, ip, selector, stackWord: 3, release: x.const('i64', 0) }, true, () => {
      writeReturnFlags(x, image, size);
      x.set(RF_IP, ip);
    });
  });

const bySize = (make: (size: TransferSize) => Procedure): Readonly<Record<TransferSize, Procedure>> => {
  const [p16, p32, p64] = SIZES.map(make);
  return { 16: p16, 32: p32, 64: p64 };
};
/** Arguments: selector, offset, return address. */
export const farCall = bySize(makeFarCall);
/** Argument: bytes to release. */
export const farReturn = bySize(makeFarReturn);
/** Argument: the next instruction (for task switches). */
export const interruptReturn = bySize(makeInterruptReturn);
