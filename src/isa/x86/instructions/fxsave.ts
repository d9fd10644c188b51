/** FXSAVE, FXRSTOR and the XSAVE group with the components x87 and SSE (SDM vol. 1 §10.5, §13). */
import type { StateType, Value } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS } from '../control-bits.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { CR0, CR4, FCS, FCW, FDP, FDS, FIP, FOP, FSW, FTOP, FTW, MXCSR, X87, XCR0, XMM } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { requireAlignment } from './sse-common.ts';

/** Byte positions in the area (SDM vol. 1 tables 10-2 and 13-1). */
const AREA = {
  fcw: 0,
  fsw: 2,
  ftw: 4,
  fop: 6,
  fip: 8,
  fcs: 12,
  fdp: 16,
  fds: 20,
  mxcsr: 24,
  mxcsrMask: 28,
  x87: 32,
  xmm: 160,
  legacyBytes: 512,
  xstateBv: 512,
  xcompBv: 520,
  headerReserved: 528,
  bytes: 576,
} as const;

/** State components of XCR0 (SDM vol. 1 §13.1). */
const COMPONENT = { x87: 1n << 0n, sse: 1n << 1n } as const;
const COMPONENTS = COMPONENT.x87 | COMPONENT.sse;

/** Bits of MXCSR that exist. */
const MXCSR_MASK = 0xffff;
const FCW_WRITABLE = 0x1f3f;
const FCW_ALWAYS = 0x40;
const FCW_INITIAL = 0x37f;
const FSW_TOP_AT = 11;
const FSW_TOP = 7 << FSW_TOP_AT;
const FSW_EXCEPTIONS = 0x3f;
const FSW_SUMMARY = 0x8080;
const FOP_BITS = 0x7ff;
const REGISTER_BYTES = 16;

const at = (x: X86Builder, area: Value, position: number): Value => x.add(area, position);
const loadAt = (x: X86Builder, area: Value, position: number, type: StateType): Value =>
  x.load(type, at(x, area, position));

/** Calls `body` with 0, 16, … below `end` (`i32`), the byte position of each register. */
function forEachRegister(x: X86Builder, end: Value, body: (position: Value) => void): void {
  const position = x.variable(x.const('i32', 0));
  x.loop(() => {
    x.breakIf(x.leU(end, position.get()));
    body(position.get());
    position.set(x.add(position.get(), REGISTER_BYTES));
  });
}

/** Byte position in `X87` of the register that is `position` bytes from the top of the stack. */
const stackRegisterAt = (x: X86Builder, position: Value): Value =>
  x.and(x.add(x.shl(x.get(FTOP), 4), position), 8 * REGISTER_BYTES - 1);
const EXPONENT_AT = 8;

/** Area, 1 for the format with 64-bit pointers. */
const saveX87 = x86Procedure(
  { name: 'saveX87', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, area, wide) => {
    x.store(at(x, area, AREA.fcw), x.get(FCW));
    x.store(at(x, area, AREA.fsw), x.or(x.get(FSW), x.trunc(x.shl(x.get(FTOP), FSW_TOP_AT), 'i16')));
    x.store(at(x, area, AREA.ftw), x.zext(x.get(FTW), 'i16'));
    x.store(at(x, area, AREA.fop), x.get(FOP));
    const withSelector = (pointer: Value, selector: Value): Value =>
      x.or(x.and(pointer, 0xffffffffn), x.shl(x.zext(selector, 'i64'), 32));
    const isWide = x.ne(wide, 0);
    x.store(at(x, area, AREA.fip), x.select(isWide, x.get(FIP), withSelector(x.get(FIP), x.get(FCS))));
    x.store(at(x, area, AREA.fdp), x.select(isWide, x.get(FDP), withSelector(x.get(FDP), x.get(FDS))));
    forEachRegister(x, x.const('i32', 8 * REGISTER_BYTES), (position) => {
      const register = stackRegisterAt(x, position);
      const place = at(x, x.add(area, x.zext(position, 'i64')), AREA.x87);
      x.store(place, x.getAt(X87, register, 'i64'));
      x.store(x.add(place, EXPONENT_AT), x.zext(x.getAt(X87, x.add(register, EXPONENT_AT), 'i16'), 'i64'));
    });
  },
);

/** As `saveX87`; the summary of exceptions follows from the exceptions and their masks. */
const restoreX87 = x86Procedure(
  { name: 'restoreX87', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, area, wide) => {
    const control = x.or(x.and(loadAt(x, area, AREA.fcw, 'i16'), FCW_WRITABLE), FCW_ALWAYS);
    const status = loadAt(x, area, AREA.fsw, 'i16');
    x.set(FCW, control);
    const pending = x.ne(x.and(x.and(status, FSW_EXCEPTIONS), x.not(control)), 0);
    const plain = x.and(status, ~(FSW_TOP | FSW_SUMMARY));
    x.set(FSW, x.or(plain, x.select(pending, x.const('i16', FSW_SUMMARY), 0)));
    x.set(FTOP, x.zext(x.and(x.shrU(status, FSW_TOP_AT), 7), 'i32'));
    x.set(FTW, loadAt(x, area, AREA.ftw, 'i8'));
    x.set(FOP, x.and(loadAt(x, area, AREA.fop, 'i16'), FOP_BITS));
    const isWide = x.ne(wide, 0);
    for (const [pointer, selector, position] of [
      [FIP, FCS, AREA.fip],
      [FDP, FDS, AREA.fdp],
    ] as const) {
      const value = loadAt(x, area, position, 'i64');
      x.set(pointer, x.select(isWide, value, x.and(value, 0xffffffffn)));
      x.set(selector, x.select(isWide, x.const('i16', 0), x.trunc(x.shrU(value, 32), 'i16')));
    }
    forEachRegister(x, x.const('i32', 8 * REGISTER_BYTES), (position) => {
      const register = stackRegisterAt(x, position);
      const place = at(x, x.add(area, x.zext(position, 'i64')), AREA.x87);
      x.setAt(X87, register, x.load('i64', place));
      x.setAt(X87, x.add(register, EXPONENT_AT), x.load('i16', x.add(place, EXPONENT_AT)));
    });
  },
);

/** The state after FNINIT with empty registers of zero (SDM vol. 1 §13.6). */
const initializeX87 = x86Procedure({ name: 'initializeX87', parameters: [], results: [] }, (x) => {
  x.set(FCW, FCW_INITIAL);
  for (const register of [FSW, FTOP, FTW, FOP, FIP, FCS, FDP, FDS]) x.set(register, 0);
  forEachRegister(x, x.const('i32', 8 * REGISTER_BYTES), (position) => {
    x.setAt(X87, position, x.const('i128', 0));
  });
});

/** Area, bytes of the XMM registers that the mode has. */
const saveXmm = x86Procedure(
  { name: 'saveXmm', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, area, end) => {
    forEachRegister(x, end, (position) => {
      x.store(at(x, x.add(area, x.zext(position, 'i64')), AREA.xmm), x.getAt(XMM, position, 'i128'));
    });
  },
);
const restoreXmm = x86Procedure(
  { name: 'restoreXmm', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, area, end) => {
    forEachRegister(x, end, (position) => {
      x.setAt(XMM, position, x.load('i128', at(x, x.add(area, x.zext(position, 'i64')), AREA.xmm)));
    });
  },
);

const xmmBytes = (x: X86Builder): Value => x.const('i32', (x.parameters.long ? 16 : 8) * REGISTER_BYTES);
/** REX.W chooses pointers of 64 bits. */
const wideFormat = (x: X86Builder): Value => x.const('i32', x.parameters.operandSize === 64 ? 1 : 0);

function storeMxcsr(x: X86Builder, area: Value): void {
  x.store(at(x, area, AREA.mxcsr), x.get(MXCSR));
  x.store(at(x, area, AREA.mxcsrMask), x.const('i32', MXCSR_MASK));
}

/** #GP(0) for bits of MXCSR that do not exist. */
function loadMxcsr(x: X86Builder, area: Value): Value {
  const value = loadAt(x, area, AREA.mxcsr, 'i32');
  x.raiseIf(x.ne(x.and(value, ~MXCSR_MASK), 0), VECTOR.GP, 0);
  return value;
}

/** The linear address of the memory operand, an area of `bytes` bytes. */
function areaAddress(x: X86Builder, bytes: number, alignment: number, access: 'read' | 'write'): Value {
  const area = x.operandAddress(bytes, access);
  requireAlignment(x, area, alignment);
  return area;
}

/** Reads both ends of an area, which lies in at most two pages: no later read of it faults. */
function probe(x: X86Builder, area: Value, bytes: number): void {
  loadAt(x, area, 0, 'i8');
  loadAt(x, area, bytes - 1, 'i8');
}

const fxsave: Semantics = (x) => {
  x.requireFpu('mmx');
  const area = areaAddress(x, AREA.legacyBytes, 16, 'write');
  x.call(saveX87, area, wideFormat(x));
  storeMxcsr(x, area);
  x.call(saveXmm, area, xmmBytes(x));
};

const fxrstor: Semantics = (x) => {
  x.requireFpu('mmx');
  const area = areaAddress(x, AREA.legacyBytes, 16, 'read');
  probe(x, area, AREA.legacyBytes);
  const mxcsr = loadMxcsr(x, area);
  x.call(restoreX87, area, wideFormat(x));
  x.call(restoreXmm, area, xmmBytes(x));
  x.set(MXCSR, mxcsr);
};

const requireXsave = (x: X86Builder): void => x.raiseIf(x.eq(x.and(x.get(CR4), CR4_BITS.OSXSAVE), 0), VECTOR.UD);
const refuseTaskSwitched = (x: X86Builder): void => x.raiseIf(x.ne(x.and(x.get(CR0), CR0_BITS.TS), 0), VECTOR.NM);
/** EDX:EAX. */
const edxEax = (x: X86Builder): Value =>
  x.or(x.shl(x.zext(x.register(2, 'i32'), 'i64'), 32), x.zext(x.register(0, 'i32'), 'i64'));
const has = (x: X86Builder, components: Value, component: bigint): Value => x.ne(x.and(components, component), 0);

/** All components that are asked for count as in use (SDM vol. 1 §13.6 allows that). */
const xsave: Semantics = (x) => {
  requireXsave(x);
  refuseTaskSwitched(x);
  const area = areaAddress(x, AREA.bytes, 64, 'write');
  const requested = x.and(edxEax(x), x.get(XCR0));
  x.if(has(x, requested, COMPONENT.x87), () => x.call(saveX87, area, wideFormat(x)));
  x.if(has(x, requested, COMPONENT.sse), () => {
    storeMxcsr(x, area);
    x.call(saveXmm, area, xmmBytes(x));
  });
  const header = at(x, area, AREA.xstateBv);
  const old = x.loadForWrite('i64', header);
  x.store(header, x.or(x.and(old, x.not(requested)), requested));
};

/** The standard form alone: there is no XSAVEC (SDM vol. 1 §13.8). */
const xrstor: Semantics = (x) => {
  requireXsave(x);
  refuseTaskSwitched(x);
  const area = areaAddress(x, AREA.bytes, 64, 'read');
  probe(x, area, AREA.bytes);
  const present = loadAt(x, area, AREA.xstateBv, 'i64');
  const unknown = x.and(present, x.not(x.get(XCR0)));
  const reserved = x.or(loadAt(x, area, AREA.xcompBv, 'i64'), loadAt(x, area, AREA.headerReserved, 'i64'));
  x.raiseIf(x.ne(x.or(unknown, reserved), 0), VECTOR.GP, 0);
  const requested = x.and(edxEax(x), x.get(XCR0));
  x.if(has(x, requested, COMPONENT.sse), () => {
    x.set(MXCSR, loadMxcsr(x, area));
    x.if(
      has(x, present, COMPONENT.sse),
      () => x.call(restoreXmm, area, xmmBytes(x)),
      () => forEachRegister(x, xmmBytes(x), (position) => x.setAt(XMM, position, x.const('i128', 0))),
    );
  });
  x.if(has(x, requested, COMPONENT.x87), () => {
    x.if(
      has(x, present, COMPONENT.x87),
      () => x.call(restoreX87, area, wideFormat(x)),
      () => x.call(initializeX87),
    );
  });
};

const xgetbv: Semantics = (x) => {
  requireXsave(x);
  x.raiseIf(x.ne(x.register(1, 'i32'), 0), VECTOR.GP, 0);
  const value = x.get(XCR0);
  x.setRegister(0, x.trunc(value, 'i32'));
  x.setRegister(2, x.trunc(x.shrU(value, 32), 'i32'));
};

const xsetbv: Semantics = (x) => {
  requireXsave(x);
  x.requireCpl0();
  const value = edxEax(x);
  const unknown = x.ne(x.and(value, ~COMPONENTS), 0);
  const withoutX87 = x.eq(x.and(value, COMPONENT.x87), 0);
  x.raiseIf(x.or(x.ne(x.register(1, 'i32'), 0), x.or(unknown, withoutX87)), VECTOR.GP, 0);
  x.set(XCR0, value);
};

/** A row without REX.W and, under the name that ends in 64, one with it. */
const bothFormats = (name: string, opcode: string, semantics: Semantics): readonly Encoding[] => [
  ...instruction({ name, rows: [`${opcode} | M`], semantics }),
  ...instruction({ name: `${name}64`, rows: [`${opcode} | M | w1`], semantics }),
];

export const FXSAVE: readonly Encoding[] = [
  ...bothFormats('FXSAVE', 'NP 0F AE /0', fxsave),
  ...bothFormats('FXRSTOR', 'NP 0F AE /1', fxrstor),
  ...bothFormats('XSAVE', 'NP 0F AE /4', xsave),
  ...bothFormats('XRSTOR', 'NP 0F AE /5', xrstor),
  ...instruction({ name: 'XGETBV', rows: ['NP 0F 01 D0'], semantics: xgetbv }),
  ...instruction({ name: 'XSETBV', rows: ['NP 0F 01 D1'], semantics: xsetbv }),
];
