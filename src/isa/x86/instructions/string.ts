/**
 * String instructions (SDM vol. 1 §5.1.8). One execution under REP does some elements and goes back to itself until the count is zero;
 * interrupts and faults find the registers as the manual has them between elements.
 */
import { type IntegerType, type Value, WIDTH } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { portRead, portWrite } from '../externals.ts';
import { RFLAGS } from '../flags.ts';
import { checkPort } from '../procedures/io.ts';
import { ES_AT, FLAGS_OTHER } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';

const SI = 6;
const DI = 7;

type Element = { readonly type: IntegerType; readonly bytes: number };

const addressType = (x: X86Builder): IntegerType => `i${x.parameters.addressSize}` as const;

/** The element's size, negative where DF is set. */
function step(x: X86Builder, bytes: number): Value {
  const back = x.ne(x.and(x.get(FLAGS_OTHER), RFLAGS.DF), 0);
  return x.select(back, x.const('i64', -bytes), bytes);
}
function advance(x: X86Builder, register: number, by: Value): void {
  const type = addressType(x);
  x.setRegister(register, x.trunc(x.add(x.register(register, 'i64'), by), type));
}
const offsetOf = (x: X86Builder, register: number): Value => x.zext(x.register(register, addressType(x)), 'i64');
const source = (x: X86Builder, { bytes }: Element): Value => x.linear(x.segment(), offsetOf(x, SI), bytes, 'read');
const destination = (x: X86Builder, { bytes }: Element, access: 'read' | 'write'): Value =>
  x.linearIn(ES_AT, offsetOf(x, DI), bytes, access);

/** Elements that one execution under REP does at most: interrupts wait no longer than for these. */
const MAX_ELEMENTS = 32;

/** How many elements this execution may do: one where each must be seen, because its trap or its device comes behind it. */
function elementsAtOnce(x: X86Builder, single: boolean): Value {
  if (single) return x.const('i32', 1);
  const traps = x.ne(x.and(x.get(FLAGS_OTHER), RFLAGS.TF), 0);
  return x.select(traps, x.const('i32', 1), MAX_ELEMENTS);
}

/** `body` returns the condition under which REPE/REPNE goes on, if the instruction has one. */
function repeated(x: X86Builder, single: boolean, body: () => Value | undefined): void {
  if (x.parameters.rep === 'none') {
    body();
    return;
  }
  const type = addressType(x);
  const quota = x.variable(elementsAtOnce(x, single));
  const again = x.variable(x.ne(x.register(1, type), 0));
  x.loop(() => {
    x.breakIf(x.or(x.eq(again.get(), x.const('i1', 0)), x.eq(quota.get(), 0)));
    const goesOn = body();
    const left = x.sub(x.register(1, type), 1);
    x.setRegister(1, left);
    const more = x.ne(left, 0);
    again.set(goesOn === undefined ? more : x.and(more, goesOn));
    quota.set(x.sub(quota.get(), 1));
  });
  x.if(
    again.get(),
    () => x.jump(x.currentIp(), 0),
    () => x.jumpNext(),
  );
}

function compareFlags(x: X86Builder, a: Value, b: Value): Value {
  x.flags.sub(a, b, x.sub(a, b));
  const equal = x.eq(a, b);
  return x.parameters.rep === 'F2' ? x.xor(equal, x.const('i1', 1)) : equal;
}

const BODIES: Readonly<Record<string, (x: X86Builder, e: Element) => Value | undefined>> = {
  MOVS: (x, e) => {
    x.store(destination(x, e, 'write'), x.load(e.type, source(x, e)));
    const by = step(x, e.bytes);
    advance(x, SI, by);
    advance(x, DI, by);
    return undefined;
  },
  CMPS: (x, e) => {
    const a = x.load(e.type, source(x, e));
    const b = x.load(e.type, destination(x, e, 'read'));
    const by = step(x, e.bytes);
    advance(x, SI, by);
    advance(x, DI, by);
    return compareFlags(x, a, b);
  },
  STOS: (x, e) => {
    x.store(destination(x, e, 'write'), x.register(0, e.type));
    advance(x, DI, step(x, e.bytes));
    return undefined;
  },
  LODS: (x, e) => {
    const value = x.load(e.type, source(x, e));
    advance(x, SI, step(x, e.bytes));
    x.setRegister(0, value);
    return undefined;
  },
  SCAS: (x, e) => {
    const b = x.load(e.type, destination(x, e, 'read'));
    advance(x, DI, step(x, e.bytes));
    return compareFlags(x, x.register(0, e.type), b);
  },
  INS: (x, e) => {
    const port = x.register(2, 'i16');
    const address = destination(x, e, 'write');
    // The page must be writable before the device is read: a read may have effects.
    x.loadForWrite(e.type, address);
    const [value] = x.call(portRead, x.zext(port, 'i32'), x.const('i32', e.bytes));
    x.store(address, x.trunc(value, e.type));
    advance(x, DI, step(x, e.bytes));
    return undefined;
  },
  OUTS: (x, e) => {
    const port = x.register(2, 'i16');
    const value = x.load(e.type, source(x, e));
    x.call(portWrite, x.zext(port, 'i32'), x.const('i32', e.bytes), x.zext(value, 'i32'));
    advance(x, SI, step(x, e.bytes));
    return undefined;
  },
};

const ROWS = [
  ['INS', '6C', '6D'],
  ['OUTS', '6E', '6F'],
  ['MOVS', 'A4', 'A5'],
  ['CMPS', 'A6', 'A7'],
  ['STOS', 'AA', 'AB'],
  ['LODS', 'AC', 'AD'],
  ['SCAS', 'AE', 'AF'],
] as const;

function variants(name: string, byteOpcode: string, wideOpcode: string): readonly Encoding[] {
  const isIo = name === 'INS' || name === 'OUTS';
  const define = (row: string, elementOf: (x: X86Builder) => Element): readonly Encoding[] =>
    instruction({
      name,
      rows: [row],
      hot: !isIo,
      endsBlock: isIo,
      semantics: (x) => {
        const element = elementOf(x);
        // Whether the port may be used at all is asked even where the count is zero.
        if (isIo) x.call(checkPort, x.zext(x.register(2, 'i16'), 'i32'), x.const('i32', element.bytes));
        repeated(x, isIo, () => BODIES[name](x, element));
      },
    });
  const wide = (x: X86Builder): Element => {
    // Ports have at most 32 bits.
    const type = isIo && x.parameters.operandSize === 64 ? 'i32' : x.operandType;
    return { type, bytes: WIDTH[type] / 8 };
  };
  return [
    ...define(`${byteOpcode} | | rep`, () => ({ type: 'i8', bytes: 1 })),
    ...define(`${wideOpcode} | | rep`, wide),
  ];
}

export const STRING: readonly Encoding[] = ROWS.flatMap(([name, b, w]) => variants(name, b, w));
