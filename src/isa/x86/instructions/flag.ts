/** Flag control (SDM vol. 1 §5.1.10). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { ARITHMETIC_FLAGS, OTHER_FLAGS, RFLAGS } from '../flags.ts';
import { HOLD } from '../procedures/debug.ts';
import { isClear, isProtected, isVirtual8086, levelChanged, requestAttention } from '../procedures/segments.ts';
import { CPL, FLAGS_OTHER, FLAGS_SYSTEM, HELD, HELD_IP } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';

const iopl = (x: X86Builder): Value => x.and(x.shrU(x.get(FLAGS_SYSTEM), 12), 3);
/** CPL ≤ IOPL: what guards IF. Real mode has CPL 0. */
const mayTouchInterrupts = (x: X86Builder): Value => x.leU(x.get(CPL), iopl(x));

const CARRY = [
  ...instruction({
    name: 'CMC',
    rows: ['F5'],
    semantics: (x) => x.flags.setCarry(x.xor(x.flags.cf(), x.const('i1', 1))),
  }),
  ...instruction({ name: 'CLC', rows: ['F8'], semantics: (x) => x.flags.setCarry(x.const('i1', 0)) }),
  ...instruction({ name: 'STC', rows: ['F9'], semantics: (x) => x.flags.setCarry(x.const('i1', 1)) }),
];
/** Undocumented, and on every processor (SDM vol. 2 table A-2 leaves D6 blank). */
const SALC = instruction({
  name: 'SALC',
  rows: ['D6 | | i64'],
  semantics: (x) => x.setRegister(0, x.select(x.flags.cf(), x.const('i8', 0xff), 0)),
});
const DIRECTION = [
  ...instruction({
    name: 'CLD',
    rows: ['FC'],
    semantics: (x) => x.set(FLAGS_OTHER, x.and(x.get(FLAGS_OTHER), ~RFLAGS.DF)),
  }),
  ...instruction({
    name: 'STD',
    rows: ['FD'],
    semantics: (x) => x.set(FLAGS_OTHER, x.or(x.get(FLAGS_OTHER), RFLAGS.DF)),
  }),
];

const INTERRUPT = [
  ...instruction({
    name: 'CLI',
    rows: ['FA'],
    semantics: (x) => {
      x.raiseIf(x.xor(mayTouchInterrupts(x), x.const('i1', 1)), VECTOR.GP, 0);
      x.set(FLAGS_SYSTEM, x.and(x.get(FLAGS_SYSTEM), ~RFLAGS.IF));
    },
  }),
  ...instruction({
    name: 'STI',
    rows: ['FB'],
    holdsInterrupts: true,
    // Where IF was clear no interrupt comes before the next instruction has run (SDM vol. 2, STI).
    semantics: (x) => {
      x.raiseIf(x.xor(mayTouchInterrupts(x), x.const('i1', 1)), VECTOR.GP, 0);
      x.if(isClear(x, x.get(FLAGS_SYSTEM), RFLAGS.IF), () => {
        x.set(HELD, HOLD.interrupts);
        x.set(HELD_IP, x.nextIp());
      });
      x.set(FLAGS_SYSTEM, x.or(x.get(FLAGS_SYSTEM), RFLAGS.IF));
      x.call(requestAttention);
    },
  }),
];

const AH_FLAGS = RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF;
const AH = [
  ...instruction({
    name: 'LAHF',
    rows: ['9F'],
    semantics: (x) => {
      const flags = x.or(x.and(x.flags.image(), AH_FLAGS), 2);
      const rest = x.and(x.register(0, 'i16'), 0xff);
      x.setRegister(0, x.or(rest, x.shl(x.trunc(flags, 'i16'), 8)));
    },
  }),
  ...instruction({
    name: 'SAHF',
    rows: ['9E'],
    semantics: (x) => {
      const ah = x.zext(x.trunc(x.shrU(x.register(0, 'i16'), 8), 'i8'), 'i32');
      const of = x.shl(x.zext(x.flags.of(), 'i32'), 11);
      x.flags.setArithmetic(x.or(ah, of));
    },
  }),
];

/** Virtual-8086 mode without VME: PUSHF and POPF need IOPL 3 (SDM vol. 3 §20.2.7). */
function checkVirtual8086(x: X86Builder): void {
  if (x.parameters.long) return;
  x.raiseIf(x.and(isVirtual8086(x), x.ne(iopl(x), 3)), VECTOR.GP, 0);
}
const PUSHF = instruction({
  name: 'PUSHF',
  rows: ['9C | | d64'],
  semantics: (x) => {
    checkVirtual8086(x);
    // VM and RF read as zero (SDM vol. 2, PUSHF).
    const image = x.and(x.flags.image(), ~(RFLAGS.VM | RFLAGS.RF));
    x.push(x.zext(image, x.operandType));
  },
});
const POPF = instruction({
  name: 'POPF',
  rows: ['9D | | d64'],
  endsBlock: true,
  semantics: (x) => {
    checkVirtual8086(x);
    const image = x.zext(x.peek(x.operandType), 'i32');
    x.drop(x.parameters.operandSize / 8);
    const always = ARITHMETIC_FLAGS | (OTHER_FLAGS & ~RFLAGS.RF);
    const withIf = x.select(mayTouchInterrupts(x), x.const('i32', RFLAGS.IF), 0);
    const withIopl = x.select(
      x.or(x.eq(x.get(CPL), 0), x.xor(isProtected(x), x.const('i1', 1))),
      x.const('i32', RFLAGS.IOPL),
      0,
    );
    const changeable = x.or(x.const('i32', always), x.or(withIf, withIopl));
    x.flags.write(image, x.parameters.operandSize === 16 ? x.and(changeable, 0xffff) : changeable);
    x.set(FLAGS_OTHER, x.and(x.get(FLAGS_OTHER), ~RFLAGS.RF));
    x.call(levelChanged);
    x.call(requestAttention);
  },
});

/** AC decides whether SMAP guards user pages. */
const alignmentCheck = (name: string, modrm: string, set: boolean): readonly Encoding[] =>
  instruction({
    name,
    rows: [`NP 0F 01 ${modrm}`],
    semantics: (x) => {
      x.raiseIf(x.ne(x.get(CPL), 0), VECTOR.UD);
      const rest = x.and(x.get(FLAGS_OTHER), ~RFLAGS.AC);
      x.set(FLAGS_OTHER, set ? x.or(rest, RFLAGS.AC) : rest);
      x.call(levelChanged);
    },
  });

export const FLAG: readonly Encoding[] = [
  ...CARRY,
  ...SALC,
  ...DIRECTION,
  ...INTERRUPT,
  ...AH,
  ...PUSHF,
  ...POPF,
  ...alignmentCheck('CLAC', 'CA', false),
  ...alignmentCheck('STAC', 'CB', true),
];
