/** Hardware task switches through 16- and 32-bit task-state segments (SDM vol. 3 chapter 8). */
import type { Procedure, Value } from '../../ir/types.ts';
import { CR0_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { dropTranslations } from '../externals.ts';
import { RFLAGS } from '../flags.ts';
import {
  CPL,
  CR0,
  CR3,
  CS_AT,
  DEBUG_PENDING,
  FAULT,
  FAULT_CODE,
  FAULT_HAS_CODE,
  FAULT_VECTOR,
  FLAGS_OTHER,
  GDTR_BASE,
  LDTR_AT,
  RETIRED_LIMIT,
  RF_IP,
  RIP,
  SEGMENT_STRIDE,
  SS_AT,
  TR_AT,
  WAITING_FAULT,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { updateFpuBlocked } from './checks.ts';
import { DR6_BITS, savedFlags } from './debug.ts';
import { loadPdptes, usesPae } from './paging.ts';
import {
  dplOf,
  isClear,
  isSet,
  isVirtual8086,
  markAccessed,
  modeChanged,
  RIGHTS,
  readDescriptor,
  readTaskDescriptor,
  requestAttention,
  segmentPart,
  selectorCode,
  setRealSegment,
  setSegment,
  unpackDescriptor,
} from './segments.ts';

/** How a task switch came about: the second argument of `taskSwitch`. */
export const TASK = { jump: 0, call: 1, return: 2 } as const;

interface Layout {
  readonly type: 'i16' | 'i32';
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly segments: number;
  /** ES, CS, SS, DS, and FS and GS where the TSS has them. */
  readonly segmentCount: number;
  readonly ldt: number;
  /** The lowest limit that holds it. */
  readonly limit: number;
}
/** SDM vol. 3 figure 8-2. */
const WIDE: Layout = {
  type: 'i32',
  ip: 0x20,
  flags: 0x24,
  registers: 0x28,
  segments: 0x48,
  segmentCount: 6,
  ldt: 0x60,
  limit: 0x67,
};
/** SDM vol. 3 figure 8-10. */
const NARROW: Layout = {
  type: 'i16',
  ip: 0xe,
  flags: 0x10,
  registers: 0x12,
  segments: 0x22,
  segmentCount: 4,
  ldt: 0x2a,
  limit: 0x2b,
};
/** Of the wide layout alone. */
const CR3_OFFSET = 0x1c;
const TRAP_OFFSET = 0x64;
const BUSY = 1n << 41n;
/** Bit of a TSS descriptor's type: 32 bits. */
const TYPE_WIDE = 8;

const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));
const bytesOf = (type: 'i16' | 'i32'): number => (type === 'i16' ? 2 : 4);
/** Runs `body` with the layout that a TSS's access rights name. */
const byLayout = (x: X86Builder, access: Value, body: (layout: Layout) => void): void =>
  x.if(
    isSet(x, access, TYPE_WIDE),
    () => body(WIDE),
    () => body(NARROW),
  );

function saveTask(x: X86Builder, layout: Layout, base: Value, nextIp: Value, flags: Value): void {
  const bytes = bytesOf(layout.type);
  const put = (at: number, v: Value): void => x.store(x.add(base, at), v, 'supervisor');
  put(layout.ip, x.trunc(nextIp, layout.type));
  put(layout.flags, x.trunc(flags, layout.type));
  for (let n = 0; n < 8; n++) put(layout.registers + n * bytes, x.register(n, layout.type));
  for (let n = 0; n < layout.segmentCount; n++)
    put(layout.segments + n * bytes, segmentPart(x, n * SEGMENT_STRIDE, 'selector'));
}

/** Loads LDTR with the selector of a TSS. Selector, EXT. */
const loadTaskLdt: Procedure = x86Procedure(
  { name: 'loadTaskLdt', parameters: ['i16', 'i32'], results: [], mayFault: true },
  (x, selector, ext) => {
    x.if(isClear(x, selector, 0xfffc), () => x.return());
    const code = selectorCode(x, selector, ext);
    x.raiseIf(isSet(x, selector, 4), VECTOR.TS, code);
    const [d] = x.call(readTaskDescriptor, selector, ext);
    const { base, limit, access } = unpackDescriptor(x, d);
    x.raiseIf(x.ne(x.and(access, 0x9f), 0x82), VECTOR.TS, code);
    x.call(setSegment, x.const('i32', LDTR_AT), selector, base, limit, access);
    x.return();
  },
);

/** CS of the new task, checked in its context. Selector, EXT. */
const loadTaskCode: Procedure = x86Procedure(
  { name: 'loadTaskCode', parameters: ['i16', 'i32'], results: [], mayFault: true },
  (x, selector, ext) => {
    const code = selectorCode(x, selector, ext);
    x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.TS, code);
    const [d, address] = x.call(readTaskDescriptor, selector, ext);
    const { base, limit, access } = unpackDescriptor(x, d);
    const isCode = x.eq(x.and(access, RIGHTS.S | RIGHTS.code), RIGHTS.S | RIGHTS.code);
    const dpl = dplOf(x, access);
    const level = x.select(isSet(x, access, RIGHTS.conforming), x.leU(dpl, x.get(CPL)), x.eq(dpl, x.get(CPL)));
    x.raiseIf(not(x, x.and(isCode, level)), VECTOR.TS, code);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
    markAccessed(x, d, address);
    x.call(setSegment, x.const('i32', CS_AT), selector, base, limit, x.or(access, RIGHTS.accessed));
    x.return();
  },
);

/** SS of the new task. Selector, EXT. */
const loadTaskStack: Procedure = x86Procedure(
  { name: 'loadTaskStack', parameters: ['i16', 'i32'], results: [], mayFault: true },
  (x, selector, ext) => {
    const code = selectorCode(x, selector, ext);
    x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.TS, code);
    const [d, address] = x.call(readTaskDescriptor, selector, ext);
    const { base, limit, access } = unpackDescriptor(x, d);
    const isWritableData = x.eq(x.and(access, RIGHTS.S | RIGHTS.code | RIGHTS.readWrite), RIGHTS.S | RIGHTS.readWrite);
    const rpl = x.and(x.zext(selector, 'i32'), 3);
    const levels = x.and(x.eq(dplOf(x, access), x.get(CPL)), x.eq(rpl, x.get(CPL)));
    x.raiseIf(not(x, x.and(isWritableData, levels)), VECTOR.TS, code);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.SS, code);
    markAccessed(x, d, address);
    x.call(setSegment, x.const('i32', SS_AT), selector, base, limit, x.or(access, RIGHTS.accessed));
    x.return();
  },
);

/** DS, ES, FS or GS of the new task. Segment, selector, EXT. */
const loadTaskData: Procedure = x86Procedure(
  { name: 'loadTaskData', parameters: ['i32', 'i16', 'i32'], results: [], mayFault: true },
  (x, at, selector, ext) => {
    x.if(isClear(x, selector, 0xfffc), () => x.return());
    const code = selectorCode(x, selector, ext);
    const [d, address] = x.call(readTaskDescriptor, selector, ext);
    const { base, limit, access } = unpackDescriptor(x, d);
    const rpl = x.and(x.zext(selector, 'i32'), 3);
    const dpl = dplOf(x, access);
    const isReadable = x.ne(x.and(access, RIGHTS.code | RIGHTS.readWrite), RIGHTS.code);
    const conforming = x.eq(x.and(access, RIGHTS.code | RIGHTS.conforming), RIGHTS.code | RIGHTS.conforming);
    const levels = x.or(conforming, x.and(x.leU(x.get(CPL), dpl), x.leU(rpl, dpl)));
    const fits = x.and(isSet(x, access, RIGHTS.S), x.and(isReadable, levels));
    x.raiseIf(not(x, fits), VECTOR.TS, code);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
    markAccessed(x, d, address);
    x.call(setSegment, at, selector, base, limit, x.or(access, RIGHTS.accessed));
    x.return();
  },
);

/** The descriptors of the new task's selectors, which its segment registers hold already: faults are the new task's. EXT. */
const loadTaskSegments: Procedure = x86Procedure(
  { name: 'loadTaskSegments', parameters: ['i32'], results: [], mayFault: true },
  (x, ext) => {
    const selector = (at: number): Value => segmentPart(x, at, 'selector');
    x.call(loadTaskLdt, selector(LDTR_AT), ext);
    x.if(
      isVirtual8086(x),
      () => {
        for (let n = 0; n < 6; n++)
          x.call(setRealSegment, x.const('i32', n * SEGMENT_STRIDE), selector(n * SEGMENT_STRIDE));
      },
      () => {
        x.call(loadTaskCode, selector(CS_AT), ext);
        x.call(loadTaskStack, selector(SS_AT), ext);
        for (const n of [0, 3, 4, 5]) {
          const at = n * SEGMENT_STRIDE;
          x.call(loadTaskData, x.const('i32', at), selector(at), ext);
        }
      },
    );
    const limit = x.zext(segmentPart(x, CS_AT, 'limit'), 'i64');
    x.raiseIf(x.ltU(limit, x.get(RIP)), VECTOR.GP, ext);
    x.return();
  },
);

/** Registers, flags and selectors of the new task; its segments are not usable yet. */
function loadRegisters(x: X86Builder, layout: Layout, base: Value): void {
  const bytes = bytesOf(layout.type);
  const read = (at: number, type: 'i16' | 'i32'): Value => x.load(type, x.add(base, at), 'supervisor');
  const wide = layout.type === 'i32';
  // All is read before any of it counts.
  const cr3 = wide ? read(CR3_OFFSET, 'i32') : undefined;
  const ip = read(layout.ip, layout.type);
  const flags = x.zext(read(layout.flags, layout.type), 'i32');
  const registers = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => read(layout.registers + n * bytes, layout.type));
  const selectors = [0, 1, 2, 3, 4, 5].map((n) =>
    n < layout.segmentCount ? read(layout.segments + n * bytes, 'i16') : x.const('i16', 0),
  );
  const ldt = read(layout.ldt, 'i16');
  const trap = wide ? x.and(read(TRAP_OFFSET, 'i16'), 1) : undefined;
  if (cr3 !== undefined) loadRoot(x, x.zext(cr3, 'i64'));
  x.set(RIP, x.zext(ip, 'i64'));
  x.set(RF_IP, x.zext(ip, 'i64'));
  // A 16-bit TSS has no upper halves: zero here, undefined on processors.
  for (const [n, v] of registers.entries()) x.setRegister(n, x.zext(v, 'i32'));
  x.flags.write(flags, x.const('i32', 0x3fffff));
  const none = (at: number, selector: Value): void => {
    x.call(
      setSegment,
      x.const('i32', at),
      selector,
      x.const('i64', 0),
      x.const('i32', 0),
      x.const('i32', RIGHTS.unusable),
    );
  };
  for (const [n, s] of selectors.entries()) none(n * SEGMENT_STRIDE, s);
  none(LDTR_AT, ldt);
  x.set(CPL, x.select(isVirtual8086(x), x.const('i32', 3), x.and(x.zext(selectors[1], 'i32'), 3)));
  if (trap !== undefined) x.if(x.ne(trap, 0), () => x.set(DEBUG_PENDING, x.or(x.get(DEBUG_PENDING), DR6_BITS.BT)));
}
/** CR3 from a TSS; a table of PAE paging that is bad leaves the old one in place. */
function loadRoot(x: X86Builder, cr3: Value): void {
  x.if(isSet(x, x.get(CR0), CR0_BITS.PG), () => {
    x.set(CR3, cr3);
    x.if(usesPae(x), () => x.call(loadPdptes, cr3));
    x.call(dropTranslations, x.const('i32', 1), x.const('i64', 0));
  });
}

/** The exception that is noted becomes the new task's: it comes at the next boundary. */
function postponeFault(x: X86Builder): void {
  x.if(x.ne(x.get(FAULT), 0), () => {
    x.set(FAULT, 0);
    const about = x.or(x.shl(x.get(FAULT_HAS_CODE), 8), x.get(FAULT_VECTOR));
    x.set(WAITING_FAULT, x.or(x.zext(x.get(FAULT_CODE), 'i64'), x.shl(x.zext(about, 'i64'), 32)));
  });
}

const setBusy = (x: X86Builder, d: Value, address: Value, busy: boolean): void =>
  x.store(address, busy ? x.or(d, BUSY) : x.and(d, ~BUSY), 'supervisor');

/** A TSS that may be switched to: descriptor and its linear address. Selector, `TASK`, EXT. */
const readTask: Procedure = x86Procedure(
  { name: 'readTask', parameters: ['i16', 'i32', 'i32'], results: ['i64', 'i64'], mayFault: true },
  (x, selector, how, ext) => {
    const code = selectorCode(x, selector, ext);
    const isReturn = x.eq(how, TASK.return);
    const refuse = (condition: Value): void =>
      x.if(condition, () => x.raise(x.select(isReturn, x.const('i32', VECTOR.TS), VECTOR.GP), code));
    refuse(isSet(x, selector, 4));
    const [found, place] = [x.variable(x.const('i64', 0)), x.variable(x.const('i64', 0))];
    const read = (p: Procedure): void => {
      const [descriptor, at] = x.call(p, selector, ext);
      found.set(descriptor);
      place.set(at);
    };
    x.if(
      isReturn,
      () => read(readTaskDescriptor),
      () => read(readDescriptor),
    );
    const [d, address] = [found.get(), place.get()];
    const { limit, access } = unpackDescriptor(x, d);
    // Available, or for a return busy.
    refuse(x.ne(x.and(access, 0x17), x.select(isReturn, x.const('i32', 3), 1)));
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
    const least = x.select(isSet(x, access, TYPE_WIDE), x.const('i32', WIDE.limit), NARROW.limit);
    x.raiseIf(x.ltU(limit, least), VECTOR.TS, code);
    x.return(d, address);
  },
);

/** Arguments: selector of the TSS, `TASK`, instruction pointer to save, EXT. What the new task's state is bad for, it is told itself. */
export const taskSwitch: Procedure = x86Procedure(
  { name: 'taskSwitch', parameters: ['i16', 'i32', 'i64', 'i32'], results: [], mayFault: true },
  (x, selector, how, nextIp, ext) => {
    const [d, address] = x.call(readTask, selector, how, ext);
    const { base, limit, access } = unpackDescriptor(x, d);
    const isReturn = x.eq(how, TASK.return);
    const oldSelector = segmentPart(x, TR_AT, 'selector');
    const oldBase = segmentPart(x, TR_AT, 'base');
    const image = savedFlags(x, nextIp);
    const flags = x.select(isReturn, x.and(image, ~RFLAGS.NT), image);
    byLayout(x, segmentPart(x, TR_AT, 'access'), (layout) => saveTask(x, layout, oldBase, nextIp, flags));
    x.if(x.ne(how, TASK.call), () => {
      const oldAddress = x.add(x.get(GDTR_BASE), x.zext(x.and(oldSelector, 0xfff8), 'i64'));
      setBusy(x, x.load('i64', oldAddress, 'supervisor'), oldAddress, false);
    });
    x.if(not(x, isReturn), () => setBusy(x, x.load('i64', address, 'supervisor'), address, true));
    x.if(x.eq(how, TASK.call), () => x.store(base, oldSelector, 'supervisor'));
    byLayout(x, access, (layout) => loadRegisters(x, layout, base));
    x.call(setSegment, x.const('i32', TR_AT), selector, base, limit, x.or(access, 2));
    x.set(CR0, x.or(x.get(CR0), CR0_BITS.TS));
    x.if(x.eq(how, TASK.call), () => x.set(FLAGS_OTHER, x.or(x.get(FLAGS_OTHER), RFLAGS.NT)));
    x.callGuarded(loadTaskSegments, ext);
    postponeFault(x);
    x.call(updateFpuBlocked);
    x.call(modeChanged);
    x.call(requestAttention);
    x.set(RETIRED_LIMIT, 0);
    x.return();
  },
);
