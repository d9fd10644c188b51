/** Shifts and rotations (SDM vol. 1 §5.1.5). */
import { type IntegerType, type Value, WIDTH } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { RFLAGS } from '../flags.ts';
import type { BoundOperand } from '../operands.ts';
import type { X86Builder } from '../x86-builder.ts';

/** `op E,Ib; op E,1; op E,CL` (group 2). */
const rows = (n: number): string[] => [
  `C0 /${n} | Eb,Ib`,
  `C1 /${n} | Ev,Ib`,
  `D0 /${n} | Eb,1`,
  `D1 /${n} | Ev,1`,
  `D2 /${n} | Eb,CL`,
  `D3 /${n} | Ev,CL`,
];

/** The count as the processor takes it: modulo 64 for 64-bit operands, else 32; as a value of `type`. */
function countOf(x: X86Builder, src: BoundOperand, type: IntegerType): Value {
  return x.zext(x.and(src.get(), type === 'i64' ? 63 : 31), type);
}

interface Shifted {
  readonly result: Value;
  readonly cf: Value;
  readonly of: Value;
}
/** `a` is wide enough to shift by any count; the count is not zero. */
type Shift = (x: X86Builder, a: Value, count: Value, type: IntegerType) => Shifted;

const unless = (x: X86Builder, condition: Value, act: () => void): void => x.if(condition, () => {}, act);

const top = (x: X86Builder, v: Value): Value => x.bit(v, WIDTH[v.type] - 1);

/** Narrow operands shift in 32 bits, so that counts up to 31 need no special case. */
const workType = (type: IntegerType): 'i32' | 'i64' => (type === 'i64' ? 'i64' : 'i32');

const SHL: Shift = (x, a, count, type) => {
  const wide = workType(type);
  const width = WIDTH[type];
  const value = x.zext(a, wide);
  const n = x.zext(count, wide);
  const result = x.trunc(x.shl(value, n), type);
  const before = x.shl(value, x.sub(n, 1));
  const cf = x.bit(before, width - 1);
  return { result, cf, of: x.xor(cf, top(x, result)) };
};
const SHR: Shift = (x, a, count, type) => {
  const wide = workType(type);
  const value = x.zext(a, wide);
  const before = x.shrU(value, x.sub(x.zext(count, wide), 1));
  return { result: x.trunc(x.shrU(before, 1), type), cf: x.trunc(before, 'i1'), of: top(x, a) };
};
const SAR: Shift = (x, a, count, type) => {
  const wide = workType(type);
  const before = x.shrS(x.sext(a, wide), x.sub(x.zext(count, wide), 1));
  return { result: x.trunc(x.shrS(before, 1), type), cf: x.trunc(before, 'i1'), of: x.const('i1', 0) };
};

/** A count of zero changes neither the destination's value nor any flag (SDM vol. 2, SAL/SAR/SHL/SHR). */
const shifting =
  (shift: Shift): Semantics =>
  (x, dst, src) => {
    const type = dst.type as IntegerType;
    const a = dst.getForWrite();
    const count = countOf(x, src, type);
    const isZero = x.eq(count, 0);
    const { result, cf, of } = shift(x, a, count, type);
    dst.set(x.select(isZero, a, result));
    unless(x, isZero, () => x.flags.shift(result, cf, of));
  };

/** Rotations by a count modulo the width; CF is the bit that went around. */
const rotating =
  (left: boolean): Semantics =>
  (x, dst, src) => {
    const type = dst.type as IntegerType;
    const width = WIDTH[type];
    const a = dst.getForWrite();
    const masked = countOf(x, src, type);
    const n = x.and(masked, width - 1);
    const result = rotate(x, a, n, left);
    const cf = left ? x.trunc(result, 'i1') : top(x, result);
    const of = left ? x.xor(cf, top(x, result)) : x.xor(cf, x.bit(result, width - 2));
    dst.set(result);
    unless(x, x.eq(masked, 0), () => x.flags.setCarryAndOverflow(cf, of));
  };

function rotate(x: X86Builder, a: Value, n: Value, left: boolean): Value {
  if (a.type === 'i32' || a.type === 'i64') return x.op(left ? 'rotl' : 'rotr', [a, n]);
  const width = WIDTH[a.type];
  const twice = x.or(x.zext(a, 'i32'), x.shl(x.zext(a, 'i32'), width));
  const by = x.zext(n, 'i32');
  return x.trunc(x.shrU(twice, left ? x.and(x.sub(x.const('i32', width), by), width - 1) : by), a.type as IntegerType);
}

/** Rotations through CF: `width + 1` bits go around. */
const rotatingThroughCarry =
  (left: boolean): Semantics =>
  (x, dst, src) => {
    const type = dst.type as IntegerType;
    const width = WIDTH[type];
    const a = dst.getForWrite();
    const masked = countOf(x, src, type);
    const n = type === 'i8' || type === 'i16' ? x.op('rem_u', [masked, x.const(type, width + 1)]) : masked;
    const carry = x.flags.cf();
    const { result, cf } = throughCarry(x, a, carry, n, left);
    const of = left ? x.xor(cf, top(x, result)) : x.xor(top(x, result), x.bit(result, width - 2));
    const isZero = x.eq(n, 0);
    dst.set(x.select(isZero, a, result));
    // Of a count that is a multiple of 9 or 17 CF stays; OF is defined for counts of 1 alone.
    unless(x, isZero, () => x.flags.setCarryAndOverflow(cf, of));
  };

function throughCarry(x: X86Builder, a: Value, carry: Value, n: Value, left: boolean): { result: Value; cf: Value } {
  const type = a.type as IntegerType;
  const width = WIDTH[type];
  const wide = workType(type);
  const value = x.zext(a, wide);
  const by = x.zext(n, wide);
  const c = x.zext(carry, wide);
  // Of the bits that come back, those beyond CF: shifted by width + 1 - n, in two steps so that a count of `width` is no special case.
  const back = x.sub(x.const(wide, width), by);
  if (left) {
    const others = x.shrU(x.shrU(value, 1), back);
    const result = x.or(x.or(x.shl(value, by), x.shl(c, x.sub(by, 1))), others);
    return { result: x.trunc(result, type), cf: x.trunc(x.shrU(value, back), 'i1') };
  }
  const others = x.shl(x.shl(value, 1), back);
  const result = x.or(x.or(x.shrU(value, by), x.shl(c, back)), others);
  return { result: x.trunc(result, type), cf: x.trunc(x.shrU(value, x.sub(by, 1)), 'i1') };
}

const OVERFLOW = RFLAGS.OF;
const GROUP_2 = [
  ...instruction({ name: 'ROL', rows: rows(0), undefinedFlags: OVERFLOW, semantics: rotating(true) }),
  ...instruction({ name: 'ROR', rows: rows(1), undefinedFlags: OVERFLOW, semantics: rotating(false) }),
  ...instruction({ name: 'RCL', rows: rows(2), undefinedFlags: OVERFLOW, semantics: rotatingThroughCarry(true) }),
  ...instruction({ name: 'RCR', rows: rows(3), undefinedFlags: OVERFLOW, semantics: rotatingThroughCarry(false) }),
  ...instruction({
    name: 'SHL',
    rows: [...rows(4), ...rows(6)],
    undefinedFlags: OVERFLOW | RFLAGS.AF | RFLAGS.CF,
    semantics: shifting(SHL),
  }),
  ...instruction({
    name: 'SHR',
    rows: rows(5),
    undefinedFlags: OVERFLOW | RFLAGS.AF | RFLAGS.CF,
    semantics: shifting(SHR),
  }),
  ...instruction({
    name: 'SAR',
    rows: rows(7),
    undefinedFlags: OVERFLOW | RFLAGS.AF,
    semantics: shifting(SAR),
  }),
];

/** A double shift: bits come in from the second operand. 16-bit shifts by more than 16 are undefined; they rotate both in, as Intel's do. */
const doubleShift =
  (left: boolean): Semantics =>
  (x, dst, src, amount) => {
    const type = dst.type as IntegerType;
    const width = WIDTH[type];
    const a = dst.getForWrite();
    const b = src.get();
    const count = countOf(x, amount, type);
    const { result, cf } = type === 'i16' ? doubleShift16(x, a, b, count, left) : doubleShiftWide(x, a, b, count, left);
    const isZero = x.eq(count, 0);
    dst.set(x.select(isZero, a, result));
    const of = x.xor(x.bit(a, width - 1), x.bit(result, width - 1));
    unless(x, isZero, () => x.flags.shift(result, cf, of));
  };

function doubleShiftWide(x: X86Builder, a: Value, b: Value, n: Value, left: boolean): { result: Value; cf: Value } {
  const width = WIDTH[a.type];
  const back = x.sub(x.const(a.type, width), n);
  if (left) {
    return { result: x.or(x.shl(a, n), x.shrU(b, back)), cf: x.trunc(x.shrU(a, back), 'i1') };
  }
  return { result: x.or(x.shrU(a, n), x.shl(b, back)), cf: x.trunc(x.shrU(a, x.sub(n, 1)), 'i1') };
}

function doubleShift16(x: X86Builder, a: Value, b: Value, n: Value, left: boolean): { result: Value; cf: Value } {
  const by = x.zext(n, 'i64');
  const wide = (v: Value): Value => x.zext(v, 'i64');
  if (left) {
    const joined = x.or(x.or(x.shl(wide(a), 32), x.shl(wide(b), 16)), wide(a));
    const shifted = x.shl(joined, by);
    return { result: x.trunc(x.shrU(shifted, 32), 'i16'), cf: x.bit(shifted, 48) };
  }
  const joined = x.or(x.or(wide(a), x.shl(wide(b), 16)), x.shl(wide(a), 32));
  return { result: x.trunc(x.shrU(joined, by), 'i16'), cf: x.trunc(x.shrU(joined, x.sub(by, 1)), 'i1') };
}

const DOUBLE = [
  ...instruction({
    name: 'SHLD',
    rows: ['0F A4 /r | Ev,Gv,Ib', '0F A5 /r | Ev,Gv,CL'],
    undefinedFlags: OVERFLOW | RFLAGS.AF,
    semantics: doubleShift(true),
  }),
  ...instruction({
    name: 'SHRD',
    rows: ['0F AC /r | Ev,Gv,Ib', '0F AD /r | Ev,Gv,CL'],
    undefinedFlags: OVERFLOW | RFLAGS.AF,
    semantics: doubleShift(false),
  }),
];

export const SHIFT: readonly Encoding[] = [...GROUP_2, ...DOUBLE];
