/** x87 comparison, classification and conditional moves (SDM vol. 1 §5.2.1, §5.2.3, §8.3.6). */
import type { Value } from '../../ir/types.ts';
import { CONDITIONS, type Encoding, instruction, type Semantics } from '../definition.ts';
import { ENV, type Extended } from '../procedures/softfloat-format.ts';
import {
  emptyStatus,
  setConditionCodes,
  x87Compare,
  x87ConditionalMove,
  x87Examine,
} from '../procedures/x87-arithmetic.ts';
import { FSW_BITS, popStack, readStack, STACK_UNDERFLOW } from '../procedures/x87-stack.ts';
import { FSW } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { computing, loadFloat, loadInteger, recordPointers, requireX87 } from './x87-common.ts';

/** Where the relation goes: into the status word or RFLAGS. */
type Target = 'codes' | 'flags';

/**
 * Compares ST(0) with a number. The flags are set even where an unmasked exception is noted; registers are popped where none is. The
 * forms that set RFLAGS change C1 only where a register is empty.
 */
function compare(x: X86Builder, other: Extended, status: Value, extra: number, into: Target, pops: number): void {
  const c1 = x.select(x.eq(status, STACK_UNDERFLOW), x.const('i16', 0), x.and(x.get(FSW), FSW_BITS.C1));
  const top = readStack(x, 0);
  const [relation, done] = x.call(
    x87Compare,
    top.se,
    top.significand,
    other.se,
    other.significand,
    status,
    x.const('i32', extra),
  );
  if (into === 'codes') setConditionCodes(x, relation);
  else {
    x.set(FSW, x.or(x.get(FSW), c1));
    x.flags.setArithmetic(relation);
  }
  if (pops === 0) return;
  x.if(x.ne(done, 0), () => {
    for (let i = 0; i < pops; i++) popStack(x);
  });
}

const withRegister = (extra: number, into: Target, pops: number): Semantics =>
  computing((x, _top, other) => {
    // Forms without operands compare with ST(1).
    const i = other === undefined ? x.const('i32', 1) : other.number();
    compare(x, readStack(x, i), emptyStatus(x, 0, i), extra, into, pops);
  });

const withMemory =
  (load: typeof loadFloat, pops: number): Semantics =>
  (x, _top, src) => {
    requireX87(x);
    const source = load(x, src);
    recordPointers(x);
    const status = x.or(emptyStatus(x, 0), source.status);
    compare(x, source, status, ENV.signalQuiet, 'codes', pops);
  };

const REGISTER_ROWS: readonly (readonly [
  name: string,
  rows: readonly string[],
  extra: number,
  into: Target,
  pops: number,
])[] = [
  ['FCOM', ['D8 /2 | ST0,STi', 'DC /2 | ST0,STi'], ENV.signalQuiet, 'codes', 0],
  ['FCOMP', ['D8 /3 | ST0,STi', 'DC /3 | ST0,STi', 'DE /2 | ST0,STi'], ENV.signalQuiet, 'codes', 1],
  ['FCOMPP', ['DE D9'], ENV.signalQuiet, 'codes', 2],
  ['FUCOM', ['DD /4 | ST0,STi'], 0, 'codes', 0],
  ['FUCOMP', ['DD /5 | ST0,STi'], 0, 'codes', 1],
  ['FUCOMPP', ['DA E9'], 0, 'codes', 2],
  ['FCOMI', ['DB /6 | ST0,STi'], ENV.signalQuiet, 'flags', 0],
  ['FCOMIP', ['DF /6 | ST0,STi'], ENV.signalQuiet, 'flags', 1],
  ['FUCOMI', ['DB /5 | ST0,STi'], 0, 'flags', 0],
  ['FUCOMIP', ['DF /5 | ST0,STi'], 0, 'flags', 1],
];

const COMPARE = [
  ...REGISTER_ROWS.flatMap(([name, rows, extra, into, pops]) =>
    instruction({ name, rows, semantics: withRegister(extra, into, pops) }),
  ),
  ...instruction({ name: 'FCOM', rows: ['D8 /2 | ST0,Md', 'DC /2 | ST0,Mq'], semantics: withMemory(loadFloat, 0) }),
  ...instruction({ name: 'FCOMP', rows: ['D8 /3 | ST0,Md', 'DC /3 | ST0,Mq'], semantics: withMemory(loadFloat, 1) }),
  ...instruction({ name: 'FICOM', rows: ['DE /2 | ST0,Mw', 'DA /2 | ST0,Md'], semantics: withMemory(loadInteger, 0) }),
  ...instruction({ name: 'FICOMP', rows: ['DE /3 | ST0,Mw', 'DA /3 | ST0,Md'], semantics: withMemory(loadInteger, 1) }),
];

const TEST = [
  ...instruction({
    name: 'FTST',
    rows: ['D9 E4'],
    semantics: computing((x) => {
      const zero = { se: x.const('i32', 0), significand: x.const('i64', 0) };
      compare(x, zero, emptyStatus(x, 0), ENV.signalQuiet, 'codes', 0);
    }),
  }),
  ...instruction({
    name: 'FXAM',
    rows: ['D9 E5'],
    semantics: computing((x) => {
      x.call(x87Examine);
    }),
  }),
];

const CONDITIONAL_MOVES = (
  [
    ['B', 'DA /0'],
    ['E', 'DA /1'],
    ['BE', 'DA /2'],
    ['U', 'DA /3'],
    ['NB', 'DB /0'],
    ['NE', 'DB /1'],
    ['NBE', 'DB /2'],
    ['NU', 'DB /3'],
  ] as const
).flatMap(([condition, opcode]) => {
  const names: Readonly<Record<string, (typeof CONDITIONS)[number]>> = { U: 'P', NU: 'NP', NB: 'AE', NBE: 'A' };
  const cc = CONDITIONS.indexOf(names[condition] ?? (condition as 'B' | 'E' | 'BE' | 'NE'));
  return instruction({
    name: `FCMOV${condition}`,
    rows: [`${opcode} | ST0,STi`],
    semantics: computing((x, _top, source) => {
      x.call(x87ConditionalMove, source.number(), x.zext(x.flags.condition(cc), 'i32'));
    }),
  });
});

export const X87_COMPARE: readonly Encoding[] = [...COMPARE, ...TEST, ...CONDITIONAL_MOVES];
