/** Segment registers and descriptors (SDM vol. 3 §3.4, §5). Access rights are in the format of a VMCS: descriptor bits 55:40. */
import type { Procedure, Value } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS, EFER_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { forgetJumps } from '../externals.ts';
import { RFLAGS } from '../flags.ts';
import {
  BREAKPOINT,
  BREAKPOINTS,
  CODE_LIMIT,
  CODE_SIZE,
  CPL,
  CR0,
  CR4,
  CS_AT,
  DS_AT,
  EFER,
  ES_AT,
  FLAGS_OTHER,
  FLAGS_SYSTEM,
  FS_AT,
  GDTR_BASE,
  GDTR_LIMIT,
  GENERATION,
  GENERATION_HIGH,
  GS_AT,
  INTERRUPT_PENDING,
  JUMP_EPOCH,
  JUMP_EPOCH_HIGH,
  LDTR_AT,
  RETIRED_LIMIT,
  SEGMENT,
  SEGMENTS,
  SS_AT,
  STACK_MASK,
  TLB_BANK,
  TLB_BANK_SUPERVISOR,
  TLB_BANKS,
  WATCH,
  WATCHED,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';

/** Bits of access rights. */
export const RIGHTS = {
  accessed: 1,
  /** Data: writable. Code: readable. */
  readWrite: 2,
  /** Data: expands down. Code: conforming. */
  conforming: 4,
  code: 8,
  /** Not a system segment. */
  S: 1 << 4,
  P: 1 << 7,
  L: 1 << 13,
  DB: 1 << 14,
  G: 1 << 15,
  unusable: 1 << 16,
} as const;

/** Bytes of one bank of the software TLB. */
export const TLB_BANK_SIZE = 1024 * 32;
/** The bank that is never filled. */
export const TLB_BANK_EMPTY = 3;

export type SegmentPart = keyof typeof SEGMENT;

/** A part of the segment register at byte offset `at`. */
export function segmentPart(x: X86Builder, at: Value | number, part: SegmentPart): Value {
  const type = { base: 'i64', limit: 'i32', access: 'i32', selector: 'i16', readEnd: 'i64', writeEnd: 'i64' } as const;
  return x.getAt(SEGMENTS, x.add(x.value('i32', at), SEGMENT[part]), type[part]);
}

export const isSet = (x: X86Builder, v: Value, bits: number | bigint): Value => x.ne(x.and(v, bits), 0);
export const isClear = (x: X86Builder, v: Value, bits: number | bigint): Value => x.eq(x.and(v, bits), 0);
export const dplOf = (x: X86Builder, access: Value): Value => x.and(x.shrU(access, 5), 3);
export const isProtected = (x: X86Builder): Value => isSet(x, x.get(CR0), CR0_BITS.PE);
export const isVirtual8086 = (x: X86Builder): Value => isSet(x, x.get(FLAGS_SYSTEM), RFLAGS.VM);
/** Protected mode and not virtual-8086: selectors name descriptors. */
export const usesDescriptors = (x: X86Builder): Value =>
  x.and(isProtected(x), isClear(x, x.get(FLAGS_SYSTEM), RFLAGS.VM));
export const isLongMode = (x: X86Builder): Value => isSet(x, x.get(EFER), EFER_BITS.LMA);
export const is64Bit = (x: X86Builder): Value => x.eq(x.get(CODE_SIZE), 64);

/** User-mode instruction prevention: #GP(0) above level 0 for what stores system registers (SDM vol. 3 §2.5, CR4.UMIP). */
export const checkUmip = (x: X86Builder): void =>
  x.raiseIf(x.and(isSet(x, x.get(CR4), CR4_BITS.UMIP), x.ne(x.get(CPL), 0)), VECTOR.GP, 0);

/** Recomputes what follows from CS, SS, CPL, CR0, CR4, EFER, AC and BREAKPOINTS: code size, stack size, TLB banks, jump epoch. */
export const modeChanged: Procedure = x86Procedure({ name: 'modeChanged', parameters: [], results: [] }, (x) => {
  segmentsChanged(x);
  privilegeChanged(x);
  x.return();
});
/** The part of `modeChanged` that follows from CPL, CR0, CR4, AC and BREAKPOINTS, where code and stack stay as wide as they are. */
export const levelChanged: Procedure = x86Procedure({ name: 'levelChanged', parameters: [], results: [] }, (x) => {
  privilegeChanged(x);
  x.return();
});

function segmentsChanged(x: X86Builder): void {
  const cs = segmentPart(x, CS_AT, 'access');
  const long = x.and(isLongMode(x), isSet(x, cs, RIGHTS.L));
  const size = x.select(long, x.const('i32', 64), x.select(isSet(x, cs, RIGHTS.DB), x.const('i32', 32), 16));
  // The engine runs each code size with its own code: it changes over at the next boundary.
  x.if(x.ne(size, x.get(CODE_SIZE)), () => x.set(RETIRED_LIMIT, 0));
  x.set(CODE_SIZE, size);
  // Code near the end of a segment is looked at one instruction after another: what is known of its page is forgotten.
  const limit = segmentPart(x, CS_AT, 'limit');
  x.if(x.ne(limit, x.get(CODE_LIMIT)), () => {
    x.set(CODE_LIMIT, limit);
    x.if(x.ne(x.and(limit, 0xfff), 0xfff), () => x.call(forgetJumps));
  });
  const narrow = x.select(isSet(x, segmentPart(x, SS_AT, 'access'), RIGHTS.DB), x.const('i64', 0xffffffffn), 0xffffn);
  x.set(STACK_MASK, x.select(long, x.const('i64', -1n), narrow));
}
function privilegeChanged(x: X86Builder): void {
  const size = x.get(CODE_SIZE);
  const user = x.eq(x.get(CPL), 3);
  const smap = isSet(x, x.get(CR4), CR4_BITS.SMAP);
  const bank = (guarded: Value): Value => x.select(guarded, x.const('i32', TLB_BANK_SIZE), 0);
  const supervisor = bank(x.and(smap, isClear(x, x.get(FLAGS_OTHER), RFLAGS.AC)));
  const aligned = x.and(x.and(user, isSet(x, x.get(CR0), CR0_BITS.AM)), isSet(x, x.get(FLAGS_OTHER), RFLAGS.AC));
  const data = x.select(isSet(x, x.get(BREAKPOINTS), BREAKPOINT.data), x.const('i32', WATCH.data), 0);
  const watched = x.or(data, x.select(aligned, x.const('i32', WATCH.alignment), 0));
  x.set(WATCHED, watched);
  const plain = x.select(user, x.const('i32', 2 * TLB_BANK_SIZE), supervisor);
  const current = x.select(x.ne(watched, 0), x.const('i32', TLB_BANK_EMPTY * TLB_BANK_SIZE), plain);
  x.set(TLB_BANK, x.add(x.get(TLB_BANKS), current));
  x.set(TLB_BANK_SUPERVISOR, x.add(x.get(TLB_BANKS), bank(smap)));
  // 15 bits: two epochs never differ by the 16 ones that tell canonical addresses apart.
  const kind = x.or(x.shl(x.zext(user, 'i32'), 2), x.shrU(size, 5));
  for (const [generation, epoch] of [
    [GENERATION, JUMP_EPOCH],
    [GENERATION_HIGH, JUMP_EPOCH_HIGH],
  ] as const) {
    const number = x.shl(x.and(x.get(generation), 0xfff), 3);
    x.set(epoch, x.shl(x.zext(x.or(number, kind), 'i64'), 48));
  }
}

/** Interrupts may have been enabled: where one waits, the engine looks at the next boundary. */
export const requestAttention: Procedure = x86Procedure(
  { name: 'requestAttention', parameters: [], results: [] },
  (x) => {
    const waits = x.ne(x.get(INTERRUPT_PENDING), 0);
    x.if(x.and(waits, isSet(x, x.get(FLAGS_SYSTEM), RFLAGS.IF)), () => x.set(RETIRED_LIMIT, 0));
    // Single-stepping starts with the next instruction.
    x.if(isSet(x, x.get(FLAGS_OTHER), RFLAGS.TF), () => x.set(RETIRED_LIMIT, 0));
    x.return();
  },
);

/** Writes base, limit, access rights and what follows from them. Arguments: segment, selector, base, limit, access rights. */
export const setSegment: Procedure = x86Procedure(
  { name: 'setSegment', parameters: ['i32', 'i16', 'i64', 'i32', 'i32'], results: [] },
  (x, at, selector, base, limit, access) => {
    const write = (part: SegmentPart, value: Value): void => x.setAt(SEGMENTS, x.add(at, SEGMENT[part]), value);
    write('base', base);
    write('limit', limit);
    write('access', access);
    write('selector', selector);
    const end = x.add(x.zext(limit, 'i64'), 1);
    const isCode = isSet(x, access, RIGHTS.code);
    const readWrite = isSet(x, access, RIGHTS.readWrite);
    const special = x.or(
      isSet(x, access, RIGHTS.unusable),
      x.and(x.eq(isCode, x.const('i1', 0)), isSet(x, access, RIGHTS.conforming)),
    );
    const none = x.const('i64', 0);
    const readable = x.or(x.eq(isCode, x.const('i1', 0)), readWrite);
    const writable = x.and(x.eq(isCode, x.const('i1', 0)), readWrite);
    write('readEnd', x.select(special, none, x.select(readable, end, none)));
    write('writeEnd', x.select(special, none, x.select(writable, end, none)));
    x.return();
  },
);

const FLAT_LIMIT = 0xffffffff;
/** As `setSegment` for a flat segment of known rights: readable code or writable data. */
export function setFlatSegment(x: X86Builder, at: number, selector: Value, access: number): void {
  const write = (part: SegmentPart, value: Value): void => x.setAt(SEGMENTS, x.const('i32', at + SEGMENT[part]), value);
  const end = x.const('i64', FLAT_LIMIT + 1);
  write('base', x.const('i64', 0));
  write('limit', x.const('i32', FLAT_LIMIT));
  write('access', x.const('i32', access));
  write('selector', selector);
  write('readEnd', end);
  write('writeEnd', (access & RIGHTS.code) === 0 ? end : x.const('i64', 0));
}
/** After CS and SS became flat 64-bit ones and CPL is set: brings what follows up to date. */
export function enteredFlat64(x: X86Builder): void {
  const stays = x.and(x.eq(x.get(CODE_SIZE), 64), x.eq(x.get(CODE_LIMIT), FLAT_LIMIT));
  x.if(
    stays,
    () => x.call(levelChanged),
    () => x.call(modeChanged),
  );
}

/** Real and virtual-8086 mode: base is 16 times the selector (SDM vol. 3 §20.1.1). Arguments: segment, selector. */
export const setRealSegment: Procedure = x86Procedure(
  { name: 'setRealSegment', parameters: ['i32', 'i16'], results: [] },
  (x, at, selector) => {
    const base = x.shl(x.zext(selector, 'i64'), 4);
    const virtual = isVirtual8086(x);
    const limit = x.select(virtual, x.const('i32', 0xffff), segmentPart(x, at, 'limit'));
    // Writable data, also for CS: real mode may write through it.
    const access = x.select(virtual, x.const('i32', 0xf3), x.or(x.and(segmentPart(x, at, 'access'), RIGHTS.DB), 0x93));
    x.call(setSegment, at, selector, base, limit, access);
    x.return();
  },
);

export interface Descriptor {
  readonly base: Value;
  readonly limit: Value;
  readonly access: Value;
}

/** Base, limit in bytes and access rights of an 8-byte descriptor (SDM vol. 3 §3.4.5). */
export function unpackDescriptor(x: X86Builder, d: Value): Descriptor {
  const base = x.or(x.and(x.shrU(d, 16), 0xffffff), x.and(x.shrU(d, 32), 0xff000000n));
  const access = x.and(x.trunc(x.shrU(d, 40), 'i32'), 0xf0ff);
  const raw = x.or(x.trunc(x.and(d, 0xffff), 'i32'), x.and(x.trunc(x.shrU(d, 32), 'i32'), 0xf0000));
  const limit = x.select(isSet(x, access, RIGHTS.G), x.or(x.shl(raw, 12), 0xfff), raw);
  return { base, limit, access };
}

/** The error code that names a selector; `ext` is its bit 0 (SDM vol. 3 §6.13). */
export const selectorCode = (x: X86Builder, selector: Value, ext: Value | number = 0): Value =>
  x.or(x.and(x.zext(selector, 'i32'), 0xfffc), ext);

/** The table of a selector: its base and limit; without an LDT the limit is such that nothing lies below. */
function tableOf(x: X86Builder, selector: Value): { base: Value; limit: Value } {
  const local = isSet(x, selector, 4);
  const hasLdt = isClear(x, segmentPart(x, LDTR_AT, 'access'), RIGHTS.unusable);
  const ldtLimit = x.select(hasLdt, segmentPart(x, LDTR_AT, 'limit'), 0);
  const limit = x.select(local, ldtLimit, x.get(GDTR_LIMIT));
  return { base: x.select(local, segmentPart(x, LDTR_AT, 'base'), x.get(GDTR_BASE)), limit };
}
const indexOf = (x: X86Builder, selector: Value): Value => x.and(x.zext(selector, 'i32'), 0xfff8);

const descriptorReader = (name: string, vector: number): Procedure =>
  x86Procedure({ name, parameters: ['i16', 'i32'], results: ['i64', 'i64'], mayFault: true }, (x, selector, ext) => {
    const { base, limit } = tableOf(x, selector);
    x.raiseIf(x.ltU(limit, x.or(indexOf(x, selector), 7)), vector, selectorCode(x, selector, ext));
    const address = x.add(base, x.zext(indexOf(x, selector), 'i64'));
    x.return(x.load('i64', address, 'supervisor'), address);
  });
/** Selector, EXT bit → descriptor, its linear address; #GP(selector) beyond the table. */
export const readDescriptor = descriptorReader('readDescriptor', VECTOR.GP);
/** As `readDescriptor` for what a TSS names: #TS(selector). */
export const readTaskDescriptor = descriptorReader('readTaskDescriptor', VECTOR.TS);

/** The upper half of a system descriptor in IA-32e mode; #GP(selector) where it lies beyond the table or has a type (SDM vol. 3 §5.8.3.1). */
export const readUpperDescriptor: Procedure = x86Procedure(
  { name: 'readUpperDescriptor', parameters: ['i16'], results: ['i64'], mayFault: true },
  (x, selector) => {
    const { base, limit } = tableOf(x, selector);
    const index = indexOf(x, selector);
    x.raiseIf(x.ltU(limit, x.add(index, 15)), VECTOR.GP, selectorCode(x, selector));
    const upper = x.load('i64', x.add(x.add(base, x.zext(index, 'i64')), 8), 'supervisor');
    x.raiseIf(isSet(x, upper, 0x1fn << 40n), VECTOR.GP, selectorCode(x, selector));
    x.return(upper);
  },
);

/** Sets the accessed bit of the descriptor `d` at `address`. */
export function markAccessed(x: X86Builder, d: Value, address: Value): void {
  x.if(isClear(x, d, 1n << 40n), () => x.store(address, x.or(d, 1n << 40n), 'supervisor'));
}

/** Loads a data segment register from a null selector (SDM vol. 2, MOV). */
function loadNull(x: X86Builder, at: Value, selector: Value): void {
  const isStack = x.eq(at, SS_AT);
  // In 64-bit mode SS may be null at CPL 0–2 where RPL is CPL.
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const stackFails = x.or(x.eq(is64Bit(x), x.const('i1', 0)), x.or(x.eq(x.get(CPL), 3), x.ne(rpl, x.get(CPL))));
  x.raiseIf(x.and(isStack, stackFails), VECTOR.GP, 0);
  // Bases survive in 64-bit mode on current processors only for FS and GS writes by MSR; a null load clears them.
  const access = x.or(x.const('i32', RIGHTS.unusable), x.select(isStack, x.shl(x.get(CPL), 5), 0));
  x.call(setSegment, at, selector, x.const('i64', 0), x.const('i32', 0), access);
}

/** Checks that a descriptor may be loaded into SS: writable data of the current level. */
function checkStackDescriptor(x: X86Builder, selector: Value, access: Value): void {
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const isWritableData = x.eq(x.and(access, RIGHTS.S | RIGHTS.code | RIGHTS.readWrite), RIGHTS.S | RIGHTS.readWrite);
  const levels = x.and(x.eq(rpl, x.get(CPL)), x.eq(dplOf(x, access), x.get(CPL)));
  x.raiseIf(x.xor(x.and(isWritableData, levels), x.const('i1', 1)), VECTOR.GP, selectorCode(x, selector));
  x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.SS, selectorCode(x, selector));
}

/** Checks that a descriptor may be loaded into DS, ES, FS or GS: data, or readable code. */
function checkDataDescriptor(x: X86Builder, selector: Value, access: Value): void {
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const unreadable = x.eq(x.and(access, RIGHTS.code | RIGHTS.readWrite), RIGHTS.code);
  const conforming = x.eq(x.and(access, RIGHTS.code | RIGHTS.conforming), RIGHTS.code | RIGHTS.conforming);
  const dpl = dplOf(x, access);
  const levels = x.and(x.eq(conforming, x.const('i1', 0)), x.or(x.ltU(dpl, rpl), x.ltU(dpl, x.get(CPL))));
  const fails = x.or(isClear(x, access, RIGHTS.S), x.or(unreadable, levels));
  x.raiseIf(fails, VECTOR.GP, selectorCode(x, selector));
  x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, selectorCode(x, selector));
}

/** MOV, POP, LDS… to ES, SS, DS, FS, GS in any mode. Arguments: segment, selector. */
export const loadSegment: Procedure = x86Procedure(
  { name: 'loadSegment', parameters: ['i32', 'i16'], results: [], mayFault: true },
  (x, at, selector) => {
    x.if(x.xor(usesDescriptors(x), x.const('i1', 1)), () => {
      x.call(setRealSegment, at, selector);
      x.return();
    });
    x.if(isClear(x, selector, 0xfffc), () => {
      loadNull(x, at, selector);
      x.if(x.eq(at, SS_AT), () => x.call(modeChanged));
      x.return();
    });
    const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
    const { base, limit, access } = unpackDescriptor(x, d);
    x.if(
      x.eq(at, SS_AT),
      () => checkStackDescriptor(x, selector, access),
      () => checkDataDescriptor(x, selector, access),
    );
    markAccessed(x, d, address);
    x.call(setSegment, at, selector, base, limit, x.or(access, RIGHTS.accessed));
    x.if(x.eq(at, SS_AT), () => x.call(modeChanged));
    x.return();
  },
);

/** After a return to an outer level: data segments that the new level may not use become null (SDM vol. 3 §5.8.6). */
export function dropInnerSegments(x: X86Builder, level: Value): void {
  for (const at of [ES_AT, DS_AT, FS_AT, GS_AT]) {
    const access = segmentPart(x, at, 'access');
    const conforming = x.eq(x.and(access, RIGHTS.code | RIGHTS.conforming), RIGHTS.code | RIGHTS.conforming);
    const inner = x.and(x.ltU(dplOf(x, access), level), x.eq(conforming, x.const('i1', 0)));
    const usable = isClear(x, access, RIGHTS.unusable);
    x.if(x.and(inner, usable), () => {
      // The base stays, as 64-bit mode shows for FS and GS.
      const [base, limit] = [segmentPart(x, at, 'base'), segmentPart(x, at, 'limit')];
      x.call(setSegment, x.const('i32', at), x.const('i16', 0), base, limit, x.or(access, RIGHTS.unusable));
    });
  }
}
