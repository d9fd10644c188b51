/** x87 control instructions (SDM vol. 1 §5.2.6), and all of the x87. */

import type { Procedure } from '../../ir/types.ts';
import { CR0_BITS } from '../control-bits.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import {
  setControlWord,
  statusWord,
  x87Initialise,
  x87LoadEnvironment,
  x87Restore,
  x87Save,
  x87StoreEnvironment,
} from '../procedures/x87-environment.ts';
import { FSW_BITS } from '../procedures/x87-stack.ts';
import { CR0, FCW, FSW } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { X87_ARITHMETIC } from './x87-arithmetic.ts';
import { requireX87 } from './x87-common.ts';
import { X87_COMPARE } from './x87-compare.ts';
import { X87_MOVE } from './x87-move.ts';
import { X87_TRANSCENDENTAL } from './x87-transcendental.ts';

/** Bytes of an environment in its 16-bit and 32-bit formats, and of the registers that follow. */
const ENVIRONMENT_BYTES = { narrow: 14, wide: 28 } as const;
const REGISTERS_BYTES = 80;

/** Calls a procedure with the address of an environment and 1 for the 32-bit format. */
const environment =
  (procedure: Procedure, access: 'read' | 'write', more: number, waits: boolean): Semantics =>
  (x) => {
    if (waits) requireX87(x);
    else x.requireFpu('x87');
    const wide = x.parameters.operandSize !== 16;
    const bytes = (wide ? ENVIRONMENT_BYTES.wide : ENVIRONMENT_BYTES.narrow) + more;
    x.call(procedure, x.operandAddress(bytes, access), x.const('i32', wide ? 1 : 0));
  };

const nonWaiting =
  (semantics: (x: X86Builder) => void): Semantics =>
  (x) => {
    x.requireFpu('x87');
    semantics(x);
  };

const CONTROL = [
  ...instruction({
    name: 'FLDCW',
    rows: ['D9 /5 | Mw'],
    semantics: (x, src) => {
      requireX87(x);
      setControlWord(x, src.get());
    },
  }),
  ...instruction({
    name: 'FNSTCW',
    rows: ['D9 /7 | Mw'],
    semantics: (x, dst) => {
      x.requireFpu('x87');
      dst.set(x.get(FCW));
    },
  }),
  ...instruction({
    name: 'FNSTSW',
    rows: ['DD /7 | Mw', 'DF E0 | AX'],
    semantics: (x, dst) => {
      x.requireFpu('x87');
      dst.set(x.trunc(statusWord(x), 'i16'));
    },
  }),
  ...instruction({ name: 'FLDENV', rows: ['D9 /4 | M'], semantics: environment(x87LoadEnvironment, 'read', 0, true) }),
  ...instruction({
    name: 'FNSTENV',
    rows: ['D9 /6 | M'],
    semantics: environment(x87StoreEnvironment, 'write', 0, false),
  }),
  ...instruction({
    name: 'FNSAVE',
    rows: ['DD /6 | M'],
    semantics: environment(x87Save, 'write', REGISTERS_BYTES, false),
  }),
  ...instruction({
    name: 'FRSTOR',
    rows: ['DD /4 | M'],
    semantics: environment(x87Restore, 'read', REGISTERS_BYTES, true),
  }),
  ...instruction({
    name: 'FNINIT',
    rows: ['DB E3'],
    semantics: nonWaiting((x) => {
      x.call(x87Initialise);
    }),
  }),
  ...instruction({
    name: 'FNCLEX',
    rows: ['DB E2'],
    semantics: nonWaiting((x) => {
      const codes = FSW_BITS.C0 | FSW_BITS.C1 | FSW_BITS.C2 | FSW_BITS.C3;
      x.set(FSW, x.and(x.get(FSW), codes));
    }),
  }),
  ...instruction({ name: 'FNOP', rows: ['D9 D0'], semantics: requireX87 }),
  // Interrupt control of the 8087 and protected mode of the 80287: nothing since.
  ...instruction({ name: 'FNENI', rows: ['DB E0'], semantics: nonWaiting(() => {}) }),
  ...instruction({ name: 'FNDISI', rows: ['DB E1'], semantics: nonWaiting(() => {}) }),
  ...instruction({ name: 'FNSETPM', rows: ['DB E4'], semantics: nonWaiting(() => {}) }),
  ...instruction({
    name: 'FWAIT',
    rows: ['9B'],
    semantics: (x) => {
      // Unlike the others it looks at MP and not at EM (SDM vol. 3 table 9-3).
      const both = CR0_BITS.MP | CR0_BITS.TS;
      x.raiseIf(x.eq(x.and(x.get(CR0), both), both), VECTOR.NM);
      x.raiseIf(x.ne(x.and(x.get(FSW), FSW_BITS.ES), 0), VECTOR.MF);
    },
  }),
];

export const X87: readonly Encoding[] = [
  ...X87_ARITHMETIC,
  ...X87_COMPARE,
  ...X87_MOVE,
  ...X87_TRANSCENDENTAL,
  ...CONTROL,
];
