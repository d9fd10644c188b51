/** The x87 register stack and its exceptions (SDM vol. 1 §8.1, §8.4, §8.5), shared by every x87 instruction. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Type, Value } from '../../ir/types.ts';
import { CODE_SIZE, CS_AT, FCW, FIP, FOP, FSW, FTOP, FTW, SEGMENT, SEGMENTS, X87 } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import {
  ENV,
  type Extended,
  FLOAT_FLAG,
  has,
  INDEFINITE_SE,
  INDEFINITE_SIGNIFICAND,
  PRE_COMPUTATION,
} from './softfloat-format.ts';

/** Bits of the x87 status word. */
export const FSW_BITS = { SF: 0x40, ES: 0x80, C0: 0x100, C1: 0x200, C2: 0x400, C3: 0x4000, B: 0x8000 } as const;
export const CONDITION_CODES = FSW_BITS.C0 | FSW_BITS.C1 | FSW_BITS.C2 | FSW_BITS.C3;
const EXCEPTIONS = 0x3f;
const LONGEST_INSTRUCTION = 15;
/** Sign and exponent in a register of the file. */
const EXPONENT_AT = 8;

/** An operand register is empty, or a register to be filled is not. */
export const STACK_UNDERFLOW = FLOAT_FLAG.IE | FLOAT_FLAG.SF;
export const STACK_OVERFLOW = FLOAT_FLAG.IE | FLOAT_FLAG.SF | FLOAT_FLAG.C1;

/** The number of the physical register of ST(i), `i32`. */
export const physical = (b: IrBuilder, i: Value | number): Value =>
  i === 0 ? b.get(FTOP) : b.and(b.add(b.get(FTOP), i), 7);

const tagOf = (b: IrBuilder, register: Value): Value => b.shl(b.const('i32', 1), register);

/** ST(i) holds nothing (`i1`). */
export const isEmpty = (b: IrBuilder, i: Value | number): Value =>
  b.eq(b.and(b.zext(b.get(FTW), 'i32'), tagOf(b, physical(b, i))), 0);

export function readStack(b: IrBuilder, i: Value | number): Extended {
  const at = b.shl(physical(b, i), 4);
  const se = b.zext(b.getAt(X87, b.add(at, EXPONENT_AT), 'i16'), 'i32');
  return { se, significand: b.getAt(X87, at, 'i64') };
}

/** Writes ST(i), which is then in use. */
export function writeStack(b: IrBuilder, i: Value | number, { se, significand }: Extended): void {
  const register = physical(b, i);
  const at = b.shl(register, 4);
  b.setAt(X87, at, significand);
  b.setAt(X87, b.add(at, EXPONENT_AT), b.trunc(se, 'i16'));
  b.set(FTW, b.or(b.get(FTW), b.trunc(tagOf(b, register), 'i8')));
}

/** Empties ST(i). */
export function freeStack(b: IrBuilder, i: Value | number): void {
  b.set(FTW, b.and(b.get(FTW), b.trunc(b.not(tagOf(b, physical(b, i))), 'i8')));
}

export function rotateStack(b: IrBuilder, by: number): void {
  b.set(FTOP, physical(b, by & 7));
}

export function popStack(b: IrBuilder): void {
  freeStack(b, 0);
  rotateStack(b, 1);
}

export const indefinite = (b: IrBuilder): Extended => ({
  se: b.const('i32', INDEFINITE_SE),
  significand: b.const('i64', INDEFINITE_SIGNIFICAND),
});

/** The control word as an environment of the exact procedures: masks, rounding and precision control. */
export function x87Environment(b: IrBuilder, precision?: number): Value {
  const fcw = b.zext(b.get(FCW), 'i32');
  const masks = b.shl(b.and(fcw, EXCEPTIONS), ENV.maskShift);
  const rounding = b.shl(b.and(fcw, 0xc00), 3);
  const own = precision === undefined ? b.shl(b.and(fcw, 0x300), 8) : b.const('i32', precision);
  return b.or(b.or(masks, rounding), own);
}

/** Those of `flags` that FCW does not mask, `i32`. */
export const unmaskedOf = (b: IrBuilder, flags: Value): Value =>
  b.and(b.and(flags, b.not(b.zext(b.get(FCW), 'i32'))), EXCEPTIONS);

/** Sets bits of the status word, after clearing others. */
export function changeStatus(b: IrBuilder, clear: number, set: Value): void {
  const kept = b.and(b.get(FSW), 0xffff & ~clear);
  b.set(FSW, b.or(kept, b.trunc(set, 'i16')));
}

/** A procedure that may report exceptions, which reads the instruction's own bytes. */
export function x87Procedure(
  name: string,
  parameters: readonly Type[],
  results: readonly Type[],
  build: (x: X86Builder, ...parameters: Value[]) => void,
): Procedure {
  return x86Procedure({ name, parameters, results, mayFault: true }, build);
}

/**
 * FOP after an unmasked exception ("fopcode compatibility mode" off, SDM vol. 1 §8.1.9.1): three bits of the first opcode byte and
 * ModRM, found behind the prefixes, none of which is a byte from D8 to DF.
 */
const recordOpcode = x87Procedure('x87RecordOpcode', [], [], (x) => {
  // In 64-bit mode CS has no base, whatever its descriptor says (SDM vol. 3 §3.2.4).
  const segmentBase = x.getAt(SEGMENTS, x.const('i32', CS_AT + SEGMENT.base), 'i64');
  const base = x.select(x.eq(x.get(CODE_SIZE), 64), x.const('i64', 0), segmentBase);
  const at = x.variable(x.add(base, x.get(FIP)));
  const left = x.variable(x.const('i32', LONGEST_INSTRUCTION - 1));
  x.loop(() => {
    const opcode = x.zext(x.load('i8', at.get()), 'i32');
    at.set(x.add(at.get(), 1));
    x.if(x.eq(x.and(opcode, 0xf8), 0xd8), () => {
      const modrm = x.zext(x.load('i8', at.get()), 'i32');
      x.set(FOP, x.trunc(x.or(x.shl(x.and(opcode, 7), 8), modrm), 'i16'));
      x.return();
    });
    left.set(x.sub(left.get(), 1));
    x.breakIf(x.eq(left.get(), 0));
  });
  x.return();
});
/**
 * Adds exception flags to the status word, with C1 as they have it; an unmasked one sets ES and B, so that the next waiting instruction
 * raises #MF. Result: the unmasked ones.
 */
export const x87Report = x87Procedure('x87Report', ['i32'], ['i32'], (b, flags) => {
  const before = b.ne(b.and(unmaskedOf(b, flags), PRE_COMPUTATION), 0);
  // Then nothing was rounded; C1 of a stack fault stays.
  const isComputed = b.or(b.eq(before, 0), has(b, flags, FLOAT_FLAG.SF));
  const seen = b.select(isComputed, flags, b.and(flags, PRE_COMPUTATION));
  const unmasked = unmaskedOf(b, seen);
  b.if(b.ne(unmasked, 0), () => {
    b.call(recordOpcode);
  });
  const summary = b.select(b.ne(unmasked, 0), b.const('i32', FSW_BITS.ES | FSW_BITS.B), 0);
  changeStatus(b, FSW_BITS.C1, b.or(b.and(seen, EXCEPTIONS | FSW_BITS.SF | FSW_BITS.C1), summary));
  b.return(unmasked);
});

/** None of `flags` is unmasked, as nearly always: then `act` and the flags are all there is to do. */
function ifMasked(b: IrBuilder, flags: Value, act: () => void): void {
  b.if(b.eq(unmaskedOf(b, flags), 0), () => {
    changeStatus(b, FSW_BITS.C1, b.and(flags, EXCEPTIONS | FSW_BITS.SF | FSW_BITS.C1));
    act();
    b.return(b.const('i32', 1));
  });
}

/** Reports flags and writes a result to ST(i) unless an exception forbids it. Result: 1 where the instruction may pop. */
export const x87Finish = x87Procedure(
  'x87Finish',
  ['i32', 'i32', 'i64', 'i32'],
  ['i32'],
  (b, i, se, significand, flags) => {
    ifMasked(b, flags, () => writeStack(b, i, { se, significand }));
    const [unmasked] = b.call(x87Report, flags);
    b.if(has(b, unmasked, PRE_COMPUTATION), () => b.return(b.const('i32', 0)));
    writeStack(b, i, { se, significand });
    b.return(b.const('i32', 1));
  },
);

/** Pushes a number whose conversion had `flags`. Result: 1 where it was pushed, which only an unmasked IE prevents. */
export const x87Push = x87Procedure('x87Push', ['i32', 'i64', 'i32'], ['i32'], (b, se, significand, flags) => {
  b.if(isEmpty(b, 7), () =>
    ifMasked(b, flags, () => {
      rotateStack(b, -1);
      writeStack(b, 0, { se, significand });
    }),
  );
  const overflows = b.eq(isEmpty(b, 7), 0);
  // An empty source comes before a full stack.
  const isUnderflow = has(b, flags, FLOAT_FLAG.SF);
  const all = b.select(b.and(overflows, b.eq(isUnderflow, 0)), b.const('i32', STACK_OVERFLOW), flags);
  const [unmasked] = b.call(x87Report, all);
  b.if(has(b, unmasked, FLOAT_FLAG.IE), () => b.return(b.const('i32', 0)));
  rotateStack(b, -1);
  const none = indefinite(b);
  writeStack(b, 0, {
    se: b.select(overflows, none.se, se),
    significand: b.select(overflows, none.significand, significand),
  });
  b.return(b.const('i32', 1));
});
