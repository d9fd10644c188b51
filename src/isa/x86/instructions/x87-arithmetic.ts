/** x87 arithmetic: FADD to FDIVR in all forms, and operations on the top of the stack (SDM vol. 1 §5.2.2, §5.2.5). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import type { Extended } from '../procedures/softfloat-format.ts';
import {
  emptyStatus,
  X87_BINARY,
  type X87Operation,
  x87RoundToIntegral,
  x87SquareRoot,
} from '../procedures/x87-arithmetic.ts';
import { popStack, readStack } from '../procedures/x87-stack.ts';
import type { X86Builder } from '../x86-builder.ts';
import { computing, loadFloat, loadInteger, recordPointers, requireX87 } from './x87-common.ts';

interface Arithmetic {
  readonly name: string;
  readonly operation: X87Operation;
  /** Source minus (over) destination. */
  readonly reversed: boolean;
  /** The ModRM reg field with ST(0) as destination, and with ST(i). */
  readonly top: number;
  readonly other: number;
}
const ARITHMETIC: readonly Arithmetic[] = [
  { name: 'ADD', operation: 'add', reversed: false, top: 0, other: 0 },
  { name: 'MUL', operation: 'multiply', reversed: false, top: 1, other: 1 },
  { name: 'SUB', operation: 'subtract', reversed: false, top: 4, other: 5 },
  { name: 'SUBR', operation: 'subtract', reversed: true, top: 5, other: 4 },
  { name: 'DIV', operation: 'divide', reversed: false, top: 6, other: 7 },
  { name: 'DIVR', operation: 'divide', reversed: true, top: 7, other: 6 },
];

/** Result: 1 (`i32`) where the instruction may pop. */
function operate(x: X86Builder, a: Arithmetic, destination: Value, source: Extended, status: Value): Value {
  const target = readStack(x, destination);
  const [left, right] = a.reversed ? [source, target] : [target, source];
  const procedure = X87_BINARY[a.operation];
  return x.call(procedure, destination, left.se, left.significand, right.se, right.significand, status)[0];
}

const withRegister = (a: Arithmetic, pops: boolean): Semantics =>
  computing((x, dst, src) => {
    const destination = dst.number();
    const status = emptyStatus(x, destination, src.number());
    const done = operate(x, a, destination, readStack(x, src.number()), status);
    if (pops) x.if(x.ne(done, 0), () => popStack(x));
  });

const withMemory =
  (a: Arithmetic, load: typeof loadFloat): Semantics =>
  (x, top, src) => {
    requireX87(x);
    const source = load(x, src);
    recordPointers(x);
    operate(x, a, top.number(), source, x.or(emptyStatus(x, 0), source.status));
  };

const BINARY = ARITHMETIC.flatMap((a) => [
  ...instruction({
    name: `F${a.name}`,
    rows: [`D8 /${a.top} | ST0,Md`, `DC /${a.top} | ST0,Mq`],
    semantics: withMemory(a, loadFloat),
  }),
  ...instruction({
    name: `F${a.name}`,
    rows: [`D8 /${a.top} | ST0,STi`, `DC /${a.other} | STi,ST0`],
    semantics: withRegister(a, false),
  }),
  ...instruction({ name: `F${a.name}P`, rows: [`DE /${a.other} | STi,ST0`], semantics: withRegister(a, true) }),
  ...instruction({
    name: `FI${a.name}`,
    rows: [`DE /${a.top} | ST0,Mw`, `DA /${a.top} | ST0,Md`],
    semantics: withMemory(a, loadInteger),
  }),
]);

const UNARY = [
  ...instruction({
    name: 'FSQRT',
    rows: ['D9 FA'],
    semantics: computing((x) => {
      x.call(x87SquareRoot);
    }),
  }),
  ...instruction({
    name: 'FRNDINT',
    rows: ['D9 FC'],
    semantics: computing((x) => {
      x.call(x87RoundToIntegral);
    }),
  }),
];

export const X87_ARITHMETIC: readonly Encoding[] = [...BINARY, ...UNARY];
