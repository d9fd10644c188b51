/**
 * String instructions (SDM vol. 1 §5.1.8). One execution under REP does some elements and goes back to itself until the count is zero;
 * interrupts and faults find the registers as the manual has them between elements.
 */
import { type IntegerType, type Value, WIDTH } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { atOnce, copyOnPage, fillOnPage, portRead, portWrite } from '../externals.ts';
import { RFLAGS } from '../flags.ts';
import { checkPort } from '../procedures/io.ts';
import { ES_AT, FLAGS_OTHER, SEGMENT, SEGMENTS } from '../state.ts';
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

const PAGE = 4096n;
/** What a repeated instruction reads or writes one after another. */
interface Place {
  readonly register: number;
  readonly segment: (x: X86Builder) => Value;
  readonly end: keyof typeof SEGMENT;
}
const FROM: Place = { register: SI, segment: (x) => x.segment(), end: 'readEnd' };
const TO: Place = { register: DI, segment: (x) => x.const('i32', ES_AT), end: 'writeEnd' };

/** The linear address of a place, nothing checked. */
function linearOf(x: X86Builder, { register, segment }: Place): Value {
  const { long, segmented } = x.parameters;
  const offset = offsetOf(x, register);
  if (long && (register === DI || !segmented)) return offset;
  const sum = x.add(x.getAt(SEGMENTS, segment(x), 'i64'), offset);
  return long ? sum : x.and(sum, 0xffffffffn);
}
/** The next `bytes`, `below` of them under the present element, wrap nowhere and are within the segment of a place. */
function areWithin(x: X86Builder, { register, segment, end }: Place, bytes: Value, below: Value): Value {
  const { long, addressSize } = x.parameters;
  if (addressSize === 64) return x.const('i1', 1);
  const offset = offsetOf(x, register);
  const last = x.add(x.sub(offset, below), bytes);
  const wrapsNot = x.and(x.leU(below, offset), x.leU(last, x.const('i64', 1n << BigInt(addressSize))));
  if (long) return wrapsNot;
  return x.and(wrapsNot, x.leU(last, x.getAt(SEGMENTS, x.add(segment(x), SEGMENT[end]), 'i64')));
}
const least = (x: X86Builder, a: Value, b: Value): Value => x.select(x.ltU(a, b), a, b);

/** Instructions that move plain bytes: where, and how they do many at once. */
interface Block {
  readonly places: readonly Place[];
  /** `addresses`: the lowest of each place. */
  readonly move: (x: X86Builder, e: Element, addresses: readonly Value[], bytes: Value, back: Value) => Value;
}
/** The element in a register, repeated over 64 bits. */
function patternOf(x: X86Builder, { type }: Element): Value {
  const ones = { i8: 0x0101010101010101n, i16: 0x0001000100010001n, i32: 0x0000000100000001n, i64: 1n };
  return x.mul(x.zext(x.register(0, type), 'i64'), ones[type]);
}
const BLOCKS: Readonly<Record<string, Block>> = {
  MOVS: { places: [TO, FROM], move: (x, _e, [to, from], bytes, back) => x.call(copyOnPage, to, from, bytes, back)[0] },
  STOS: { places: [TO], move: (x, e, [to], bytes) => x.call(fillOnPage, to, patternOf(x, e), bytes)[0] },
};
/** Fewer bytes are moved one element after another. */
const WORTH_A_BLOCK = 64;

/** Elements from the present one to the end of the page where it lies, which is its start where DF is set; one at least. */
function elementsOnPage(x: X86Builder, { bytes }: Element, places: readonly Place[], back: Value): Value {
  const room = places.map((p) => {
    const offset = x.and(linearOf(x, p), PAGE - 1n);
    const above = x.sub(x.const('i64', PAGE), offset);
    const crosses = x.ltU(above, x.const('i64', bytes));
    return x.select(back, x.select(crosses, x.const('i64', 0), x.add(offset, bytes)), above);
  });
  const whole = x.shrU(
    room.reduce((a, b) => least(x, a, b)),
    Math.log2(bytes),
  );
  const [n] = x.call(atOnce, whole);
  return x.select(x.eq(n, 0), x.const('i64', 1), n);
}

/**
 * As `repeated`, where one execution goes on to the end of a page. What comes behind its first element, which faults if any does, is
 * moved at once where the engine can do that.
 */
function repeatedOnPage(x: X86Builder, e: Element, block: Block, body: () => void): void {
  const type = addressType(x);
  const plain = x.eq(x.and(x.get(FLAGS_OTHER), RFLAGS.TF), 0);
  const back = x.ne(x.and(x.get(FLAGS_OTHER), RFLAGS.DF), 0);
  const onPage = elementsOnPage(x, e, block.places, back);
  const quota = x.variable(x.select(plain, onPage, x.zext(elementsAtOnce(x, false), 'i64')));
  const untried = x.variable(plain);
  const left = (): Value => x.zext(x.register(1, type), 'i64');
  const did = (n: Value): void => {
    x.setRegister(1, x.sub(x.register(1, type), x.trunc(n, type)));
    quota.set(x.sub(quota.get(), n));
  };
  const isDone = (): Value => x.or(x.eq(left(), 0), x.eq(quota.get(), 0));
  x.loop(() => {
    x.breakIf(isDone());
    body();
    did(x.const('i64', 1));
    const rest = least(x, quota.get(), left());
    x.if(x.and(untried.get(), x.leU(x.const('i64', WORTH_A_BLOCK / e.bytes), rest)), () => {
      untried.set(x.const('i1', 0));
      const bytes = x.mul(rest, e.bytes);
      const below = x.select(back, x.sub(bytes, e.bytes), 0);
      const within = block.places.map((p) => areWithin(x, p, bytes, below)).reduce((a, b) => x.and(a, b));
      const [all] = x.call(atOnce, x.select(within, rest, 0));
      x.if(x.eq(all, rest), () => {
        const addresses = block.places.map((p) => x.sub(linearOf(x, p), below));
        x.if(x.ne(block.move(x, e, addresses, x.trunc(bytes, 'i32'), x.zext(back, 'i32')), 0), () => {
          const by = x.select(back, x.neg(bytes), bytes);
          for (const { register } of block.places) advance(x, register, by);
          did(rest);
        });
      });
    });
  });
  x.if(
    x.ne(left(), 0),
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
      endsBlock: isIo,
      semantics: (x) => {
        const element = elementOf(x);
        // Whether the port may be used at all is asked even where the count is zero.
        if (isIo) x.call(checkPort, x.zext(x.register(2, 'i16'), 'i32'), x.const('i32', element.bytes));
        const block = BLOCKS[name];
        if (block === undefined || x.parameters.rep === 'none') repeated(x, isIo, () => BODIES[name](x, element));
        else repeatedOnPage(x, element, block, () => BODIES[name](x, element));
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
