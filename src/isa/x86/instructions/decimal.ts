/** Decimal arithmetic (SDM vol. 1 §5.1.3). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import type { X86Builder } from '../x86-builder.ts';

const decimalFlags = (x: X86Builder, result: Value, cf: Value, af: Value): void => {
  x.flags.shift(result, cf, x.const('i1', 0));
  x.flags.setAll({ ...x.flags.all(), af });
};
const decimalAdjust = (x: X86Builder, subtract: boolean): void => {
  const al = x.register(0, 'i8');
  const { cf, af } = x.flags.all();
  const apply = (v: Value, by: number): Value => (subtract ? x.sub(v, by) : x.add(v, by));
  const low = x.or(x.ltU(x.const('i8', 9), x.and(al, 15)), af);
  const first = x.select(low, apply(al, 6), al);
  const high = x.or(x.ltU(x.const('i8', 0x99), al), cf);
  const result = x.select(high, apply(first, 0x60), first);
  // Subtracting six may borrow out of AL even where 60H is not subtracted.
  const borrow = subtract ? x.and(low, x.ltU(al, 6)) : x.const('i1', 0);
  x.setRegister(0, result);
  decimalFlags(x, result, x.or(high, x.or(borrow, x.and(low, x.and(cf, x.const('i1', 1))))), low);
};
const asciiAdjust = (x: X86Builder, subtract: boolean): void => {
  const ax = x.register(0, 'i16');
  const adjust = x.or(x.ltU(x.const('i16', 9), x.and(ax, 15)), x.flags.af());
  const changed = subtract ? x.sub(x.sub(ax, 6), 0x100) : x.add(ax, 0x106);
  const result = x.and(x.select(adjust, changed, ax), 0xff0f);
  x.setRegister(0, result);
  decimalFlags(x, x.trunc(result, 'i8'), adjust, adjust);
};
export const DECIMAL: readonly Encoding[] = [
  ...instruction({
    name: 'DAA',
    rows: ['27 | | i64'],
    undefinedFlags: RFLAGS.OF,
    semantics: (x) => decimalAdjust(x, false),
  }),
  ...instruction({
    name: 'DAS',
    rows: ['2F | | i64'],
    undefinedFlags: RFLAGS.OF,
    semantics: (x) => decimalAdjust(x, true),
  }),
  ...instruction({
    name: 'AAA',
    rows: ['37 | | i64'],
    undefinedFlags: RFLAGS.OF | RFLAGS.SF | RFLAGS.ZF | RFLAGS.PF,
    semantics: (x) => asciiAdjust(x, false),
  }),
  ...instruction({
    name: 'AAS',
    rows: ['3F | | i64'],
    undefinedFlags: RFLAGS.OF | RFLAGS.SF | RFLAGS.ZF | RFLAGS.PF,
    semantics: (x) => asciiAdjust(x, true),
  }),
  ...instruction({
    name: 'AAM',
    rows: ['D4 | Ib | i64'],
    undefinedFlags: RFLAGS.OF | RFLAGS.AF | RFLAGS.CF,
    semantics: (x, base) => {
      const divisor = base.get();
      x.raiseIf(x.eq(divisor, 0), VECTOR.DE);
      const al = x.register(0, 'i8');
      const rest = x.op('rem_u', [al, divisor]);
      x.setRegister(0, x.or(x.shl(x.zext(x.op('div_u', [al, divisor]), 'i16'), 8), x.zext(rest, 'i16')));
      x.flags.logic(rest);
    },
  }),
  ...instruction({
    name: 'AAD',
    rows: ['D5 | Ib | i64'],
    undefinedFlags: RFLAGS.OF | RFLAGS.AF | RFLAGS.CF,
    semantics: (x, base) => {
      const ax = x.register(0, 'i16');
      const al = x.add(x.trunc(ax, 'i8'), x.mul(x.trunc(x.shrU(ax, 8), 'i8'), base.get()));
      x.setRegister(0, x.zext(al, 'i16'));
      x.flags.logic(al);
    },
  }),
];
