/**
 * A third-generation computer in the model of Popek and Goldberg: four registers, a program counter, a mode and a relocation-bounds
 * register. Its instructions are described as IR like those of real processors, so that the theorems can be tried on it.
 */
import type { IrBuilder } from '../ir/builder.ts';
import { external } from '../ir/procedure.ts';
import type { State, StateFile, Value } from '../ir/types.ts';

export const REGISTERS: StateFile = { name: 'REGISTERS', class: 'user', offset: 0, size: 16 };
/** 0 supervisor, 1 user. */
export const MODE: State = { name: 'M', type: 'i32', class: 'mode', offset: 20 };
/** The relocation-bounds register R = (l, b): where the program's storage starts, and how long it is. */
export const RELOCATION: State = { name: 'R.l', type: 'i32', class: 'control', offset: 24 };
export const BOUND: State = { name: 'R.b', type: 'i32', class: 'control', offset: 28 };
export const STATES: readonly State[] = [MODE, RELOCATION, BOUND];

export const USER = 1n;
export const TRAP = { memory: 0, privileged: 1, supervisorCall: 2 } as const;

/** Starts a device. */
const startIo = external('startIo', ['i32'], [], { class: 'io' });
const HALT = 1;

/** One instruction; its operands are the fields `reg`, `rm` (byte offsets in REGISTERS) and `displacement`. */
export interface ToyInstruction {
  readonly name: string;
  readonly meaning: string;
  readonly semantics: (b: IrBuilder) => void;
}

const register = (b: IrBuilder, field: 'reg' | 'rm'): Value => b.getAt(REGISTERS, b.field(field, 'i32'), 'i32');
const setRegister = (b: IrBuilder, value: Value): void => b.setAt(REGISTERS, b.field('reg', 'i32'), value);
const privileged = (b: IrBuilder): void => b.if(b.ne(b.get(MODE), 0), () => b.raise(TRAP.privileged));

/** The storage address of word `offset` of the program; a memory trap outside its bounds. */
function storage(b: IrBuilder, offset: Value): Value {
  b.if(b.leU(b.get(BOUND), offset), () => b.raise(TRAP.memory));
  return b.zext(b.add(b.get(RELOCATION), offset), 'i64');
}
const operandOffset = (b: IrBuilder): Value => b.add(register(b, 'rm'), b.field('displacement', 'i32'));
const word = (b: IrBuilder, plus = 0): Value => b.load('i32', storage(b, b.add(operandOffset(b), plus)));
const jump = (b: IrBuilder, target: Value): void => b.jump(b.zext(target, 'i64'));

const COMMON: readonly ToyInstruction[] = [
  { name: 'LOAD', meaning: 'a register from storage', semantics: (b) => setRegister(b, word(b)) },
  {
    name: 'STORE',
    meaning: 'a register to storage',
    semantics: (b) => b.store(storage(b, operandOffset(b)), register(b, 'reg')),
  },
  {
    name: 'ADD',
    meaning: 'adds registers',
    semantics: (b) => setRegister(b, b.add(register(b, 'reg'), register(b, 'rm'))),
  },
  { name: 'JUMP', meaning: 'goes to an address in a register', semantics: (b) => jump(b, register(b, 'rm')) },
  {
    name: 'JZ',
    meaning: 'goes there where a register is zero',
    semantics: (b) => b.if(b.eq(register(b, 'reg'), 0), () => jump(b, register(b, 'rm'))),
  },
  { name: 'SVC', meaning: 'calls the supervisor: always traps', semantics: (b) => b.raise(TRAP.supervisorCall) },
  {
    name: 'LPSW',
    meaning: 'loads mode, relocation-bounds register and program counter from storage',
    semantics: (b) => {
      privileged(b);
      const [mode, relocation, bound, target] = [0, 4, 8, 12].map((plus) => word(b, plus));
      b.set(MODE, b.and(mode, 1));
      b.set(RELOCATION, relocation);
      b.set(BOUND, bound);
      jump(b, target);
    },
  },
  {
    name: 'LRB',
    meaning: 'loads the relocation-bounds register',
    semantics: (b) => {
      privileged(b);
      b.set(RELOCATION, register(b, 'reg'));
      b.set(BOUND, register(b, 'rm'));
    },
  },
  {
    name: 'SRB',
    meaning: 'stores the relocation-bounds register in a register',
    semantics: (b) => {
      privileged(b);
      setRegister(b, b.add(b.get(RELOCATION), b.get(BOUND)));
    },
  },
  {
    name: 'SIO',
    meaning: 'starts a device',
    semantics: (b) => {
      privileged(b);
      b.call(startIo, register(b, 'reg'));
    },
  },
  {
    name: 'HALT',
    meaning: 'stops the processor',
    semantics: (b) => {
      privileged(b);
      b.exit(HALT);
    },
  },
];

/** The PDP-10's `JRST 1,`: returns to user mode; in user mode it is a jump like any other. */
const RETURN_TO_USER: ToyInstruction = {
  name: 'JRST1',
  meaning: 'goes to an address in user mode',
  semantics: (b) => {
    b.set(MODE, USER);
    jump(b, register(b, 'rm'));
  },
};
/** As the IBM 360/67's “load real address” would be without privilege. */
const LOAD_REAL_ADDRESS: ToyInstruction = {
  name: 'LRA',
  meaning: 'the storage address of an operand, as the hardware sees it',
  semantics: (b) => setRegister(b, b.trunc(storage(b, operandOffset(b)), 'i32')),
};

/** Instruction sets of machines that differ in one instruction. */
export const TOY_MACHINES = {
  toy: COMMON,
  'toy-jrst': [...COMMON, RETURN_TO_USER],
  'toy-lra': [...COMMON, LOAD_REAL_ADDRESS],
} as const satisfies Readonly<Record<string, readonly ToyInstruction[]>>;
