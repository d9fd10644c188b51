/** Jumps, calls, returns, loops, software interrupts (SDM vol. 1 §5.1.7). */
import { type IntegerType, type Procedure, type Value, WIDTH } from '../../ir/types.ts';
import { CONDITIONS, type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import type { BoundOperand } from '../operands.ts';
import { noteDebug } from '../procedures/debug.ts';
import { farReturn, interruptReturn } from '../procedures/far-return.ts';
import { farCall, farJump } from '../procedures/far-transfer.ts';
import { EVENT } from '../procedures/handler-entry.ts';
import { deliver } from '../procedures/interrupts.ts';
import { isVirtual8086 } from '../procedures/segments.ts';
import { DEBUG_PENDING, FLAGS_SYSTEM, RIP } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';

const hex = (n: number): string => n.toString(16).toUpperCase();

const JCC = CONDITIONS.flatMap((name, cc) =>
  instruction({
    name: `J${name}`,
    rows: [`${hex(0x70 + cc)} | Jb | f64`, `0F ${hex(0x80 + cc)} | Jz | f64`],
    semantics: (x) => {
      x.if(
        x.flags.condition(cc),
        () => x.jumpRelative(),
        () => x.jumpNext(),
      );
    },
  }),
);

const JMP = [
  ...instruction({
    name: 'JMP',
    rows: ['EB | Jb | f64', 'E9 | Jz | f64'],
    semantics: (x) => x.jumpRelative(),
  }),
  ...instruction({
    name: 'JMP',
    rows: ['FF /4 | Ev | f64'],
    semantics: (x, target) => x.jumpNear(target.get()),
  }),
];

const CALL = [
  ...instruction({
    name: 'CALL',
    rows: ['E8 | Jz | f64'],
    semantics: (x) => {
      x.jumpRelative(() => x.push(x.trunc(x.nextIp(), x.operandType)));
    },
  }),
  ...instruction({
    name: 'CALL',
    rows: ['FF /2 | Ev | f64'],
    semantics: (x, target) => {
      x.jumpNear(target.get(), () => x.push(x.trunc(x.nextIp(), x.operandType)));
    },
  }),
];

const RET = [
  ...instruction({
    name: 'RET',
    rows: ['C3 | | f64'],
    semantics: (x) => {
      const to = x.peek(x.operandType);
      x.jumpNear(to, () => x.drop(WIDTH[to.type] / 8));
    },
  }),
  ...instruction({
    name: 'RET',
    rows: ['C2 | Iw | f64'],
    semantics: (x, release) => {
      const to = x.peek(x.operandType);
      x.jumpNear(to, () => x.drop(x.add(x.zext(release.get(), 'i64'), WIDTH[to.type] / 8)));
    },
  }),
];

/** RCX, ECX or CX by address size. */
const counter = (x: X86Builder): Value => x.register(1, `i${x.parameters.addressSize}` as const);
const loop = (name: string, opcode: string, also: (x: X86Builder) => Value | undefined): readonly Encoding[] =>
  instruction({
    name,
    rows: [`${opcode} | Jb | f64`],
    semantics: (x) => {
      const count = x.sub(counter(x), 1);
      const condition = also(x);
      const again = x.ne(count, 0);
      x.if(
        condition === undefined ? again : x.and(again, condition),
        () => x.jumpRelative(() => x.setRegister(1, count)),
        () => {
          x.setRegister(1, count);
          x.jumpNext();
        },
      );
    },
  });
const LOOP = [
  ...loop('LOOPNE', 'E0', (x) => x.flags.condition(5)),
  ...loop('LOOPE', 'E1', (x) => x.flags.condition(4)),
  ...loop('LOOP', 'E2', () => undefined),
  ...instruction({
    name: 'JRCXZ',
    rows: ['E3 | Jb | f64'],
    semantics: (x) => {
      x.if(
        x.eq(counter(x), 0),
        () => x.jumpRelative(),
        () => x.jumpNext(),
      );
    },
  }),
];

// --- far transfers ----------------------------------------------------------------------------------------------------------------

const goOn = (x: X86Builder): void => x.jump(x.get(RIP));

/** The far pointer in memory: offset, then selector. */
function farPointer(x: X86Builder): { selector: Value; offset: Value } {
  const type = x.operandType;
  const bytes = WIDTH[type] / 8;
  const offset = x.load(type, x.operandAddress(bytes, 'read'));
  const selector = x.load('i16', x.operandAddress(2, 'read', bytes));
  return { selector, offset: x.zext(offset, 'i64') };
}
const immediatePointer = (x: X86Builder): { selector: Value; offset: Value } => ({
  selector: x.trunc(x.field('displacement', 'i32'), 'i16'),
  offset: x.field('immediate', 'i64'),
});
type Pointer = { selector: Value; offset: Value };
const jumpFar = (x: X86Builder, { selector, offset }: Pointer): void => {
  x.call(farJump, selector, offset, x.nextIp());
  goOn(x);
};
const callFar = (x: X86Builder, { selector, offset }: Pointer): void => {
  x.call(farCall[x.parameters.operandSize], selector, offset, x.nextIp());
  goOn(x);
};
const returnFar = (x: X86Builder, release?: BoundOperand): void => {
  x.call(farReturn[x.parameters.operandSize], release ? x.zext(release.get(), 'i64') : x.const('i64', 0));
  goOn(x);
};
const FAR = [
  ...instruction({
    name: 'JMP',
    rows: ['EA | Ap | i64'],
    endsBlock: true,
    semantics: (x) => jumpFar(x, immediatePointer(x)),
  }),
  ...instruction({ name: 'JMP', rows: ['FF /5 | M'], endsBlock: true, semantics: (x) => jumpFar(x, farPointer(x)) }),
  ...instruction({
    name: 'CALL',
    rows: ['9A | Ap | i64'],
    endsBlock: true,
    semantics: (x) => callFar(x, immediatePointer(x)),
  }),
  ...instruction({ name: 'CALL', rows: ['FF /3 | M'], endsBlock: true, semantics: (x) => callFar(x, farPointer(x)) }),
  ...instruction({ name: 'RETF', rows: ['CB'], endsBlock: true, semantics: (x) => returnFar(x) }),
  ...instruction({
    name: 'RETF',
    rows: ['CA | Iw'],
    endsBlock: true,
    semantics: (x, release) => returnFar(x, release),
  }),
  ...instruction({
    name: 'IRET',
    rows: ['CF'],
    endsBlock: true,
    semantics: (x) => {
      x.call(interruptReturn[x.parameters.operandSize], x.nextIp());
      goOn(x);
    },
  }),
];

// --- software interrupts ----------------------------------------------------------------------------------------------------------

function softwareInterrupt(x: X86Builder, vector: Value, event: number = EVENT.software): void {
  x.call(deliver, vector, x.const('i32', event), x.const('i32', 0), x.nextIp());
  goOn(x);
}
/** #DB by INT1 tells of breakpoints of data that wait, but not of a single step. */
const noteTrap: Procedure = x86Procedure({ name: 'noteTrap', parameters: [], results: [] }, (x) => {
  x.if(x.ne(x.get(DEBUG_PENDING), 0), () => {
    x.set(DEBUG_PENDING, x.and(x.get(DEBUG_PENDING), 0xf));
    noteDebug(x, x.const('i32', 0));
  });
  x.return();
});
const INTERRUPT = [
  ...instruction({
    name: 'INT',
    rows: ['CD | Ib'],
    endsBlock: true,
    semantics: (x, vector) => {
      // Virtual-8086 mode without VME: INT n is IOPL-sensitive (SDM vol. 3 §20.3.3); INT3 and INTO are not.
      const sensitive = x.and(isVirtual8086(x), x.ne(x.and(x.get(FLAGS_SYSTEM), RFLAGS.IOPL), RFLAGS.IOPL));
      x.raiseIf(sensitive, VECTOR.GP, 0);
      softwareInterrupt(x, x.zext(vector.get(), 'i32' as IntegerType));
    },
  }),
  ...instruction({
    name: 'INT3',
    rows: ['CC'],
    endsBlock: true,
    semantics: (x) => softwareInterrupt(x, x.const('i32', VECTOR.BP)),
  }),
  ...instruction({
    name: 'INT1',
    rows: ['F1'],
    endsBlock: true,
    // No gate's privilege level counts, and breakpoints that wait are reported with it (SDM vol. 2, INT1).
    semantics: (x) => {
      x.call(noteTrap);
      softwareInterrupt(x, x.const('i32', VECTOR.DB), EVENT.external);
    },
  }),
  ...instruction({
    name: 'INTO',
    rows: ['CE | | i64'],
    endsBlock: true,
    semantics: (x) => {
      x.if(x.flags.of(), () => softwareInterrupt(x, x.const('i32', VECTOR.OF)));
    },
  }),
  ...instruction({ name: 'UD0', rows: ['0F FF /r | Gv,Ev'], semantics: (x) => x.undefined() }),
  ...instruction({ name: 'UD1', rows: ['0F B9 /r | Gv,Ev'], semantics: (x) => x.undefined() }),
  ...instruction({ name: 'UD2', rows: ['0F 0B'], semantics: (x) => x.undefined() }),
];

export const CONTROL: readonly Encoding[] = [...JCC, ...JMP, ...CALL, ...RET, ...LOOP, ...FAR, ...INTERRUPT];
