/** PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: comparisons of short strings (SDM vol. 1 §5.11, vol. 2 §4.1). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { XMM } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { immediate8, lanes, requireSse } from './sse-common.ts';
import { IDENTITY_BYTES } from './sse-shift.ts';

/** Fields of the control byte (SDM vol. 2 table 4-1 and following). */
const CONTROL = {
  words: 1 << 0,
  signed: 1 << 1,
  /** Equal any, ranges, equal each, equal ordered. */
  aggregationAt: 2,
  negative: 1 << 4,
  masked: 1 << 5,
  /** The last index instead of the first; a mask of elements instead of bits. */
  alternateOutput: 1 << 6,
} as const;
const AGGREGATION = { equalAny: 0, ranges: 1, equalEach: 2, equalOrdered: 3 } as const;

const isSet = (x: X86Builder, control: Value, flag: number): Value => x.ne(x.and(control, flag), 0);
const elementCount = (x: X86Builder, control: Value): Value =>
  x.select(isSet(x, control, CONTROL.words), x.const('i32', 8), 16);
/** As many ones as `n` (`i32`, at most 16). */
const lowOnes = (x: X86Builder, n: Value): Value => x.sub(x.shl(x.const('i32', 1), n), 1);

/** Bit n: element n of `a` and of `b` are in the relation that `op` names, in the element type of `control`. */
function compareElements(x: X86Builder, op: 'eq' | 'ge', a: Value, b: Value, control: Value): Value {
  const words = isSet(x, control, CONTROL.words);
  const bits = (shape: string, sign: string): Value =>
    x.op(`${shape}.bitmask`, [x.op(`${shape}.${op}${sign}`, [a, b])]);
  if (op === 'eq') return x.select(words, bits('i16x8', ''), bits('i8x16', ''));
  const signed = isSet(x, control, CONTROL.signed);
  return x.select(
    words,
    x.select(signed, bits('i16x8', '_s'), bits('i16x8', '_u')),
    x.select(signed, bits('i8x16', '_s'), bits('i8x16', '_u')),
  );
}

/** Element `index` (`i32`) of `a` in every lane. */
function broadcast(x: X86Builder, a: Value, index: Value, control: Value): Value {
  const byte = x.trunc(index, 'i8');
  const bytes = x.op('i8x16.splat', [byte]);
  const pairs = lanes(
    x,
    8,
    IDENTITY_BYTES.map((i) => i & 1),
  );
  const words = x.op('i8x16.add', [x.op('i8x16.splat', [x.shl(byte, 1)]), pairs]);
  return x.op('i8x16.swizzle', [a, x.select(isSet(x, control, CONTROL.words), words, bytes)]);
}

/**
 * IntRes1, bit n for element n of `b`: combines the comparison of each valid element of `a` with all of `b` (SDM vol. 2 §4.1.3–4.1.4).
 * Elements beyond a length are invalid: nothing equals them, but in `equalEach` they equal each other and in `equalOrdered` an invalid
 * element of `a` equals all.
 */
function aggregate(x: X86Builder, a: Value, b: Value, lengthA: Value, lengthB: Value, control: Value): Value {
  const mode = x.and(x.shrU(control, CONTROL.aggregationAt), 3);
  const count = elementCount(x, control);
  const all = lowOnes(x, count);
  const validA = lowOnes(x, lengthA);
  const validB = lowOnes(x, lengthB);
  const isOrdered = x.eq(mode, AGGREGATION.equalOrdered);
  const result = x.variable(x.select(isOrdered, all, 0));
  const index = x.variable(x.const('i32', 0));
  x.if(
    x.eq(mode, AGGREGATION.equalEach),
    () => {
      const equal = x.and(compareElements(x, 'eq', a, b, control), x.and(validA, validB));
      result.set(x.or(equal, x.and(all, x.not(x.or(validA, validB)))));
    },
    () =>
      x.loop(() => {
        x.breakIf(x.leU(lengthA, index.get()));
        const element = broadcast(x, a, index.get(), control);
        x.if(
          x.eq(mode, AGGREGATION.ranges),
          () => {
            const next = x.add(index.get(), 1);
            const upper = broadcast(x, a, next, control);
            const above = compareElements(x, 'ge', b, element, control);
            const below = compareElements(x, 'ge', upper, b, control);
            const within = x.and(x.and(above, below), validB);
            result.set(x.or(result.get(), x.select(x.ltU(next, lengthA), within, 0)));
            index.set(x.add(next, 1));
          },
          () => {
            const equal = x.and(compareElements(x, 'eq', b, element, control), validB);
            // What lies beyond the register does not contradict a match that starts inside it.
            const shifted = x.shrU(x.or(equal, x.not(all)), index.get());
            const other = x.or(result.get(), equal);
            result.set(x.select(isOrdered, x.and(result.get(), shifted), other));
            index.set(x.add(index.get(), 1));
          },
        );
      }),
  );
  return result.get();
}

/** IntRes2 of two vectors, their lengths (`i32`, at most the number of elements) and the control byte (`i32`). */
const compareStrings = x86Procedure(
  { name: 'compareStrings', parameters: ['i128', 'i128', 'i32', 'i32', 'i32'], results: ['i32'] },
  (x, a, b, lengthA, lengthB, control) => {
    const result = aggregate(x, a, b, lengthA, lengthB, control);
    const all = lowOnes(x, elementCount(x, control));
    const inverted = x.select(isSet(x, control, CONTROL.masked), lowOnes(x, lengthB), all);
    x.return(x.xor(result, x.select(isSet(x, control, CONTROL.negative), inverted, 0)));
  },
);

/** The number of elements before the first that is zero. */
const implicitLength = x86Procedure(
  { name: 'implicitLength', parameters: ['i128', 'i32'], results: ['i32'] },
  (x, value, control) => {
    const zeros = compareElements(x, 'eq', value, x.const('i128', 0), control);
    const count = elementCount(x, control);
    x.return(x.op('ctz', [x.or(zeros, x.shl(x.const('i32', 1), count))]));
  },
);

/** The magnitude of a register, at most `count`. */
function explicitLength(x: X86Builder, register: 0 | 2, count: Value): Value {
  const type = x.parameters.operandSize === 64 ? 'i64' : 'i32';
  const value = x.register(register, type);
  const magnitude = x.select(x.ltS(value, 0), x.neg(value), value);
  return x.select(x.ltU(magnitude, x.zext(count, type)), x.trunc(magnitude, 'i32'), count);
}

function setIndex(x: X86Builder, result: Value, control: Value, count: Value): void {
  const first = x.op('ctz', [result]);
  const last = x.sub(x.const('i32', 31), x.op('clz', [result]));
  const index = x.select(isSet(x, control, CONTROL.alternateOutput), last, first);
  x.setRegister(1, x.select(x.eq(result, 0), count, index));
}

function setMask(x: X86Builder, result: Value, control: Value): void {
  const eachBit = (width: 8 | 16, values: readonly number[], copies: Value): Value => {
    const bits = lanes(x, width, values);
    return x.op(`${width === 8 ? 'i8x16' : 'i16x8'}.eq`, [x.op('v128.and', [copies, bits]), bits]);
  };
  const copies = x.op('i16x8.splat', [x.trunc(result, 'i16')]);
  // The low byte of the result in the lower half, the high byte in the upper half.
  const spread = x.op(
    'i8x16.shuffle',
    [copies, copies],
    IDENTITY_BYTES.map((i) => i >> 3),
  );
  const bytes = eachBit(
    8,
    IDENTITY_BYTES.map((i) => 1 << (i & 7)),
    spread,
  );
  const words = eachBit(
    16,
    IDENTITY_BYTES.slice(0, 8).map((i) => 1 << i),
    copies,
  );
  const elements = x.select(isSet(x, control, CONTROL.words), words, bytes);
  const plain = x.op('i32x4.replace', [x.const('i128', 0), result], [0]);
  const mask = x.select(isSet(x, control, CONTROL.alternateOutput), elements, plain);
  x.setAt(XMM, x.const('i32', 0), mask);
}

const stringCompare =
  (lengths: 'explicit' | 'implicit', output: 'index' | 'mask'): Semantics =>
  (x, first, second, immediate) => {
    requireSse(x);
    // Not among the instructions that ask for alignment.
    const b = second.get();
    const a = first.get();
    const control = immediate8(x, immediate);
    const count = elementCount(x, control);
    const lengthOf = (value: Value, register: 0 | 2): Value =>
      lengths === 'explicit' ? explicitLength(x, register, count) : x.call(implicitLength, value, control)[0];
    const lengthA = lengthOf(a, 0);
    const lengthB = lengthOf(b, 2);
    const [result] = x.call(compareStrings, a, b, lengthA, lengthB, control);
    if (output === 'index') setIndex(x, result, control, count);
    else setMask(x, result, control);
    const clear = x.const('i1', 0);
    x.flags.setAll({
      cf: x.ne(result, 0),
      zf: x.ltU(lengthB, count),
      sf: x.ltU(lengthA, count),
      of: x.bit(result, 0),
      af: clear,
      pf: clear,
    });
  };

export const SSE_STRING: readonly Encoding[] = [
  ...instruction({
    name: 'PCMPESTRM',
    rows: ['66 0F 3A 60 /r | Vx,Wx,Ib'],
    semantics: stringCompare('explicit', 'mask'),
  }),
  ...instruction({
    name: 'PCMPESTRI',
    rows: ['66 0F 3A 61 /r | Vx,Wx,Ib'],
    semantics: stringCompare('explicit', 'index'),
  }),
  ...instruction({
    name: 'PCMPISTRM',
    rows: ['66 0F 3A 62 /r | Vx,Wx,Ib'],
    semantics: stringCompare('implicit', 'mask'),
  }),
  ...instruction({
    name: 'PCMPISTRI',
    rows: ['66 0F 3A 63 /r | Vx,Wx,Ib'],
    semantics: stringCompare('implicit', 'index'),
  }),
];
