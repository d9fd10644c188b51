/** Hardware task switches through 32-bit task-state segments (SDM vol. 3 chapter 7). */
import type { Procedure, Value } from '../../ir/types.ts';
import { CR0_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { DROP, dropTranslations } from '../externals.ts';
import { RFLAGS } from '../flags.ts';
import { CPL, CR0, CR3, CS_AT, FLAGS_OTHER, GDTR_BASE, LDTR_AT, RIP, SEGMENT_STRIDE, SS_AT, TR_AT } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { updateFpuBlocked } from './checks.ts';
import {
  dplOf,
  isClear,
  isSet,
  isVirtual8086,
  loadSegment,
  markAccessed,
  modeChanged,
  RIGHTS,
  readDescriptor,
  segmentPart,
  selectorCode,
  setRealSegment,
  setSegment,
  unpackDescriptor,
} from './segments.ts';

/** How a task switch came about: the third argument of `taskSwitch`. */
export const TASK = { jump: 0, call: 1, return: 2 } as const;

/** Offsets in a 32-bit TSS (SDM vol. 3 figure 7-2). */
const TSS = { link: 0, cr3: 0x1c, eip: 0x20, eflags: 0x24, registers: 0x28, segments: 0x48, ldt: 0x60 } as const;
const BUSY = 1n << 41n;
const MIN_LIMIT = 0x67;

function saveTask(x: X86Builder, base: Value, nextIp: Value, flags: Value): void {
  const put = (at: number, v: Value): void => x.store(x.add(base, at), v, 'supervisor');
  put(TSS.eip, x.trunc(nextIp, 'i32'));
  put(TSS.eflags, flags);
  for (let n = 0; n < 8; n++) put(TSS.registers + n * 4, x.register(n, 'i32'));
  for (let n = 0; n < 6; n++) put(TSS.segments + n * 4, segmentPart(x, n * SEGMENT_STRIDE, 'selector'));
}

/** Loads LDTR with the selector of a TSS (faults are #TS). */
const loadTaskLdt: Procedure = x86Procedure(
  { name: 'loadTaskLdt', parameters: ['i16'], results: [], mayFault: true },
  (x, selector) => {
    const at = x.const('i32', LDTR_AT);
    x.if(isClear(x, selector, 0xfffc), () => {
      x.call(setSegment, at, selector, x.const('i64', 0), x.const('i32', 0), x.const('i32', RIGHTS.unusable));
      x.return();
    });
    const [d] = x.call(readDescriptor, selector, x.const('i32', 0));
    const { base, limit, access } = unpackDescriptor(x, d);
    x.raiseIf(x.ne(x.and(access, 0x9f), 0x82), VECTOR.TS, selectorCode(x, selector));
    x.call(setSegment, at, selector, base, limit, access);
    x.return();
  },
);

/** CS of the new task, checked in its context. */
const loadTaskCode: Procedure = x86Procedure(
  { name: 'loadTaskCode', parameters: ['i16'], results: [], mayFault: true },
  (x, selector) => {
    x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.TS, 0);
    const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
    const { base, limit, access } = unpackDescriptor(x, d);
    const rpl = x.and(x.zext(selector, 'i32'), 3);
    const isCode = x.eq(x.and(access, RIGHTS.S | RIGHTS.code), RIGHTS.S | RIGHTS.code);
    const dpl = dplOf(x, access);
    const level = x.select(isSet(x, access, RIGHTS.conforming), x.leU(dpl, rpl), x.eq(dpl, rpl));
    x.raiseIf(x.xor(x.and(isCode, level), x.const('i1', 1)), VECTOR.TS, selectorCode(x, selector));
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, selectorCode(x, selector));
    markAccessed(x, d, address);
    x.set(CPL, rpl);
    x.call(setSegment, x.const('i32', CS_AT), selector, base, limit, x.or(access, RIGHTS.accessed));
    x.return();
  },
);

function loadRegisters(x: X86Builder, base: Value): void {
  const read = (at: number): Value => x.load('i32', x.add(base, at), 'supervisor');
  x.if(isSet(x, x.get(CR0), CR0_BITS.PG), () => {
    x.set(CR3, x.zext(read(TSS.cr3), 'i64'));
    x.call(dropTranslations, x.const('i32', DROP.local), x.const('i64', 0));
  });
  for (let n = 0; n < 8; n++) x.setRegister(n, read(TSS.registers + n * 4));
  x.set(RIP, x.zext(read(TSS.eip), 'i64'));
  const flags = read(TSS.eflags);
  x.flags.write(flags, x.const('i32', 0x3fffff));
}

function loadTask(x: X86Builder, base: Value): void {
  const selector = (at: number): Value => x.load('i16', x.add(base, at), 'supervisor');
  loadRegisters(x, base);
  const segments = [0, 1, 2, 3, 4, 5].map((n) => selector(TSS.segments + n * 4));
  x.call(loadTaskLdt, selector(TSS.ldt));
  x.if(
    isVirtual8086(x),
    () => {
      x.set(CPL, 3);
      for (const [n, s] of segments.entries()) x.call(setRealSegment, x.const('i32', n * SEGMENT_STRIDE), s);
    },
    () => {
      x.call(loadTaskCode, segments[1]);
      x.call(loadSegment, x.const('i32', SS_AT), segments[2]);
      for (const n of [0, 3, 4, 5]) x.call(loadSegment, x.const('i32', n * SEGMENT_STRIDE), segments[n]);
    },
  );
  x.call(modeChanged);
}

const setBusy = (x: X86Builder, d: Value, address: Value, busy: boolean): void =>
  x.store(address, busy ? x.or(d, BUSY) : x.and(d, ~BUSY), 'supervisor');

/** Arguments: selector of the TSS, `TASK`, instruction pointer to save, EXT. 16-bit TSSs are not supported: #TS. */
export const taskSwitch: Procedure = x86Procedure(
  { name: 'taskSwitch', parameters: ['i16', 'i32', 'i64', 'i32'], results: [], mayFault: true },
  (x, selector, how, nextIp, ext) => {
    const code = selectorCode(x, selector, ext);
    x.raiseIf(isSet(x, selector, 4), VECTOR.GP, code);
    const [d, address] = x.call(readDescriptor, selector, ext);
    const { base, limit, access } = unpackDescriptor(x, d);
    const isReturn = x.eq(how, TASK.return);
    const wanted = x.select(isReturn, x.const('i32', 0xb), 9);
    x.raiseIf(x.ne(x.and(access, 0x1f), wanted), VECTOR.TS, code);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
    x.raiseIf(x.ltU(limit, MIN_LIMIT), VECTOR.TS, code);
    const oldSelector = segmentPart(x, TR_AT, 'selector');
    const oldBase = segmentPart(x, TR_AT, 'base');
    const flags = x.flags.image();
    saveTask(x, oldBase, nextIp, x.select(isReturn, x.and(flags, ~RFLAGS.NT), flags));
    x.if(x.ne(how, TASK.call), () => {
      const oldAddress = x.add(x.get(GDTR_BASE), x.zext(x.and(oldSelector, 0xfff8), 'i64'));
      setBusy(x, x.load('i64', oldAddress, 'supervisor'), oldAddress, false);
    });
    x.if(x.eq(isReturn, x.const('i1', 0)), () => setBusy(x, d, address, true));
    x.if(x.eq(how, TASK.call), () => x.store(base, oldSelector, 'supervisor'));
    x.call(setSegment, x.const('i32', TR_AT), selector, base, limit, x.or(access, 2));
    x.set(CR0, x.or(x.get(CR0), CR0_BITS.TS));
    loadTask(x, base);
    x.if(x.eq(how, TASK.call), () => x.set(FLAGS_OTHER, x.or(x.get(FLAGS_OTHER), RFLAGS.NT)));
    x.call(updateFpuBlocked);
    x.return();
  },
);
