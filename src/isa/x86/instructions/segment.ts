/** Segment registers, descriptor tables and what inspects descriptors (SDM vol. 1 §5.1.12, vol. 3 §5.10). */
import { type IntegerType, type Procedure, type Value, WIDTH } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import type { BoundOperand } from '../operands.ts';
import { HOLD } from '../procedures/debug.ts';
import {
  checkUmip,
  dplOf,
  isClear,
  isLongMode,
  isSet,
  loadSegment,
  RIGHTS,
  readDescriptor,
  readUpperDescriptor,
  segmentPart,
  selectorCode,
  setSegment,
  unpackDescriptor,
  usesDescriptors,
} from '../procedures/segments.ts';
import {
  CPL,
  CS_AT,
  DS_AT,
  ES_AT,
  FS_AT,
  GDTR_BASE,
  GDTR_LIMIT,
  GS_AT,
  HELD,
  HELD_IP,
  IDTR_BASE,
  IDTR_LIMIT,
  LDTR_AT,
  RSP,
  SS_AT,
  TR_AT,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';

const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

/** A selector to a register is as wide as the operand, to memory 16 bits (SDM vol. 2, MOV). */
function storeSelector(x: X86Builder, dst: BoundOperand, selector: Value): void {
  if (dst.memory) x.store(x.operandAddress(2, 'write'), selector);
  else dst.set(x.zext(selector, dst.type as IntegerType));
}

/** Behind a load of SS, interrupts and debug traps wait for the next instruction, which may load RSP (SDM vol. 3 §6.8.3). */
function holdEvents(x: X86Builder): void {
  x.set(HELD, HOLD.traps);
  x.set(HELD_IP, x.nextIp());
}

const MOV_SREG = [
  ...instruction({
    name: 'MOV',
    rows: ['8C /r | Ev,Sw'],
    semantics: (x, dst, src) => storeSelector(x, dst, src.get()),
  }),
  ...instruction({
    name: 'MOV',
    rows: ['8E /r | Sw,Ew'],
    semantics: (x, dst, src) => {
      x.raiseIf(x.eq(dst.number(), CS_AT), VECTOR.UD);
      x.call(loadSegment, dst.number(), src.get());
      x.if(x.eq(dst.number(), SS_AT), () => holdEvents(x));
    },
  }),
];

const POP_SREG = instruction({
  name: 'POP',
  rows: ['07 | ES | i64', '17 | SS | i64', '1F | DS | i64', '0F A1 | FS | d64', '0F A9 | GS | d64'],
  semantics: (x, dst) => {
    const selector = x.peek('i16');
    // The pointer moves as wide as the stack is before SS changes.
    const rsp = x.movedStackPointer(x.add(x.stackPointer(), x.parameters.operandSize / 8));
    x.call(loadSegment, dst.number(), selector);
    x.set(RSP, rsp);
    x.if(x.eq(dst.number(), SS_AT), () => holdEvents(x));
  },
});

const loadFarPointer = (name: string, row: string, at: number): readonly Encoding[] =>
  instruction({
    name,
    rows: [row],
    semantics: (x, dst) => {
      const type = x.operandType;
      const bytes = WIDTH[type] / 8;
      const offset = x.load(type, x.operandAddress(bytes, 'read'));
      const selector = x.load('i16', x.operandAddress(2, 'read', bytes));
      x.call(loadSegment, x.const('i32', at), selector);
      dst.set(offset);
    },
  });
const FAR_POINTERS = [
  ...loadFarPointer('LES', 'C4 /r | Gv,M | i64', ES_AT),
  ...loadFarPointer('LDS', 'C5 /r | Gv,M | i64', DS_AT),
  ...loadFarPointer('LSS', '0F B2 /r | Gv,M', SS_AT),
  ...loadFarPointer('LFS', '0F B4 /r | Gv,M', FS_AT),
  ...loadFarPointer('LGS', '0F B5 /r | Gv,M', GS_AT),
];

// --- descriptor-table registers ---------------------------------------------------------------------------------------------------

const storeTable = (name: string, row: string, base: typeof GDTR_BASE, limit: typeof GDTR_LIMIT): readonly Encoding[] =>
  instruction({
    name,
    rows: [row],
    semantics: (x) => {
      checkUmip(x);
      x.store(x.operandAddress(2, 'write'), x.trunc(x.get(limit), 'i16'));
      const type = x.parameters.long ? 'i64' : 'i32';
      x.store(x.operandAddress(WIDTH[type] / 8, 'write', 2), x.trunc(x.get(base), type));
    },
  });
const loadTable = (name: string, row: string, base: typeof GDTR_BASE, limit: typeof GDTR_LIMIT): readonly Encoding[] =>
  instruction({
    name,
    rows: [row],
    semantics: (x) => {
      x.requireCpl0();
      const size = x.load('i16', x.operandAddress(2, 'read'));
      const type = x.parameters.long ? 'i64' : 'i32';
      const raw = x.load(type, x.operandAddress(WIDTH[type] / 8, 'read', 2));
      if (x.parameters.long) x.checkCanonical(raw);
      // With a 16-bit operand the base has 24 bits (SDM vol. 2, LGDT).
      const address = !x.parameters.long && x.parameters.operandSize === 16 ? x.and(raw, 0xffffff) : raw;
      x.set(base, x.zext(address, 'i64'));
      x.set(limit, x.zext(size, 'i32'));
    },
  });
const TABLES = [
  ...storeTable('SGDT', '0F 01 /0 | M', GDTR_BASE, GDTR_LIMIT),
  ...storeTable('SIDT', '0F 01 /1 | M', IDTR_BASE, IDTR_LIMIT),
  ...loadTable('LGDT', '0F 01 /2 | M', GDTR_BASE, GDTR_LIMIT),
  ...loadTable('LIDT', '0F 01 /3 | M', IDTR_BASE, IDTR_LIMIT),
];

/** LDTR and TR: a system descriptor of the GDT, 16 bytes long in IA-32e mode. Arguments: segment, selector, descriptor type. */
const loadSystemSegment: Procedure = x86Procedure(
  { name: 'loadSystemSegment', parameters: ['i32', 'i16', 'i32'], results: [], mayFault: true },
  (x, at, selector, type) => {
    const code = selectorCode(x, selector);
    const isTask = x.eq(at, TR_AT);
    x.if(isClear(x, selector, 0xfffc), () => {
      x.raiseIf(isTask, VECTOR.GP, 0);
      x.call(setSegment, at, selector, x.const('i64', 0), x.const('i32', 0), x.const('i32', RIGHTS.unusable));
      x.return();
    });
    x.raiseIf(isSet(x, selector, 4), VECTOR.GP, code);
    const [d, address] = x.call(readDescriptor, selector, x.const('i32', 0));
    const { base, limit, access } = unpackDescriptor(x, d);
    const kind = x.and(access, 0x1f);
    // An available TSS of 16 bits will do outside IA-32e mode.
    const narrow = x.and(isTask, x.and(x.eq(kind, 1), not(x, isLongMode(x))));
    x.raiseIf(not(x, x.or(x.eq(kind, type), narrow)), VECTOR.GP, code);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, code);
    const fullBase = x.variable(base);
    x.if(isLongMode(x), () => {
      fullBase.set(x.or(base, x.shl(x.call(readUpperDescriptor, selector)[0], 32)));
      x.checkCanonical(fullBase.get());
    });
    const busy = x.select(isTask, x.const('i32', 2), 0);
    x.if(isTask, () => x.store(address, x.or(d, 1n << 41n), 'supervisor'));
    x.call(setSegment, at, selector, fullBase.get(), limit, x.or(access, busy));
    x.return();
  },
);

const requireDescriptors = (x: X86Builder): void => {
  if (!x.parameters.long) x.raiseIf(not(x, usesDescriptors(x)), VECTOR.UD);
};
const systemSegment = (
  name: string,
  storeRow: string,
  loadName: string,
  loadRow: string,
  at: number,
  type: number,
): readonly Encoding[] => [
  ...instruction({
    name,
    rows: [storeRow],
    semantics: (x, dst) => {
      requireDescriptors(x);
      checkUmip(x);
      storeSelector(x, dst, segmentPart(x, at, 'selector'));
    },
  }),
  ...instruction({
    name: loadName,
    rows: [loadRow],
    semantics: (x, src) => {
      requireDescriptors(x);
      x.requireCpl0();
      x.call(loadSystemSegment, x.const('i32', at), src.get(), x.const('i32', type));
    },
  }),
];

// --- inspection -------------------------------------------------------------------------------------------------------------------

/** A descriptor by selector, if the selector names one: found, descriptor. */
const probeDescriptor: Procedure = x86Procedure(
  { name: 'probeDescriptor', parameters: ['i16'], results: ['i1', 'i64'], mayFault: true },
  (x, selector) => {
    const none = (): void => x.return(x.const('i1', 0), x.const('i64', 0));
    x.if(isClear(x, selector, 0xfffc), none);
    const local = isSet(x, selector, 4);
    const noLdt = isSet(x, segmentPart(x, LDTR_AT, 'access'), RIGHTS.unusable);
    const limit = x.select(local, segmentPart(x, LDTR_AT, 'limit'), x.get(GDTR_LIMIT));
    x.if(x.or(x.and(local, noLdt), x.ltU(limit, x.or(x.zext(selector, 'i32'), 7))), none);
    x.return(x.const('i1', 1), ...x.call(readDescriptor, selector, x.const('i32', 0)).slice(0, 1));
  },
);

/** DPL allows CPL and RPL, or the segment is conforming code. */
function isVisible(x: X86Builder, selector: Value, access: Value): Value {
  const dpl = dplOf(x, access);
  const rpl = x.and(x.zext(selector, 'i32'), 3);
  const conforming = RIGHTS.S | RIGHTS.code | RIGHTS.conforming;
  return x.or(x.eq(x.and(access, conforming), conforming), x.and(x.leU(x.get(CPL), dpl), x.leU(rpl, dpl)));
}

/** System descriptor types that LAR and LSL know, as bit masks (SDM vol. 2, LAR and LSL). */
const LAR_TYPES = 0b0001_1010_0011_1110;
const LAR_TYPES_LONG = 0b0001_1010_0000_0100;
const LSL_TYPES = 0b0000_1010_0000_1110;
const LSL_TYPES_LONG = 0b0000_1010_0000_0100;

const inspect = (
  name: string,
  row: string,
  legacy: number,
  long: number,
  value: (x: X86Builder, d: Value) => Value,
): readonly Encoding[] =>
  instruction({
    name,
    rows: [row],
    semantics: (x, dst, src) => {
      requireDescriptors(x);
      const selector = src.get();
      const [found, d] = x.call(probeDescriptor, selector);
      const { access } = unpackDescriptor(x, d);
      const allowed = x.select(isLongMode(x), x.const('i32', long), legacy);
      const known = x.or(isSet(x, access, RIGHTS.S), x.trunc(x.shrU(allowed, x.and(access, 15)), 'i1'));
      const ok = x.and(found, x.and(known, isVisible(x, selector, access)));
      x.if(ok, () => dst.set(x.trunc(value(x, d), dst.type as IntegerType)));
      x.flags.setAll({ ...x.flags.all(), zf: ok });
    },
  });
const verify = (name: string, row: string, write: boolean): readonly Encoding[] =>
  instruction({
    name,
    rows: [row],
    semantics: (x, src) => {
      requireDescriptors(x);
      const selector = src.get();
      const [found, d] = x.call(probeDescriptor, selector);
      const { access } = unpackDescriptor(x, d);
      const isCode = isSet(x, access, RIGHTS.code);
      const readWrite = isSet(x, access, RIGHTS.readWrite);
      const right = write ? x.and(not(x, isCode), readWrite) : x.or(not(x, isCode), readWrite);
      const ok = x.and(x.and(found, isSet(x, access, RIGHTS.S)), x.and(right, isVisible(x, selector, access)));
      x.flags.setAll({ ...x.flags.all(), zf: ok });
    },
  });
const INSPECTION = [
  ...inspect('LAR', '0F 02 /r | Gv,Ew', LAR_TYPES, LAR_TYPES_LONG, (x, d) => x.and(x.shrU(d, 32), 0x00f0ff00n)),
  ...inspect('LSL', '0F 03 /r | Gv,Ew', LSL_TYPES, LSL_TYPES_LONG, (x, d) =>
    x.zext(unpackDescriptor(x, d).limit, 'i64'),
  ),
  ...verify('VERR', '0F 00 /4 | Ew', false),
  ...verify('VERW', '0F 00 /5 | Ew', true),
  ...instruction({
    name: 'ARPL',
    rows: ['63 /r | Ew,Gw | i64'],
    semantics: (x, dst, src) => {
      requireDescriptors(x);
      const a = dst.getForWrite();
      const lower = x.ltU(x.and(a, 3), x.and(src.get(), 3));
      dst.set(x.select(lower, x.or(x.and(a, 0xfffc), x.and(src.get(), 3)), a));
      x.flags.setAll({ ...x.flags.all(), zf: lower });
    },
  }),
];

export const SEGMENT_INSTRUCTIONS: readonly Encoding[] = [
  ...MOV_SREG,
  ...POP_SREG,
  ...FAR_POINTERS,
  ...TABLES,
  ...systemSegment('SLDT', '0F 00 /0 | Ev', 'LLDT', '0F 00 /2 | Ew', LDTR_AT, 2),
  ...systemSegment('STR', '0F 00 /1 | Ev', 'LTR', '0F 00 /3 | Ew', TR_AT, 9),
  ...INSPECTION,
];
