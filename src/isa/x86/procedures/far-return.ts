/** Far returns and IRET, in every mode (SDM vol. 2 RET, IRET; vol. 3 §5.8.6). */
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
import { bySize, checkTarget, enterCode, enterReal, moveStack, not, peek, type TransferSize } from './far-common.ts';
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
  requestAttention,
  segmentPart,
  selectorCode,
  setRealSegment,
  setSegment,
  unpackDescriptor,
  usesDescriptors,
} from './segments.ts';
import { TASK, taskSwitch } from './tasks.ts';

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

/** Argument: bytes to release. */
export const farReturn = bySize(makeFarReturn);
/** Argument: the next instruction (for task switches). */
export const interruptReturn = bySize(makeInterruptReturn);
