/** x87 loads, stores, constants and the order of the stack (SDM vol. 1 §5.2.1, §5.2.4, §5.2.6). */
import { integerType, type Procedure, type Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import type { BoundOperand } from '../operands.ts';
import { ENV, INDEFINITE_SE, INDEFINITE_SIGNIFICAND, PRE_COMPUTATION } from '../procedures/softfloat-format.ts';
import { emptyStatus, x87Exchange } from '../procedures/x87-arithmetic.ts';
import {
  changeStatus,
  FSW_BITS,
  freeStack,
  isEmpty,
  popStack,
  readStack,
  rotateStack,
  unmaskedOf,
  writeStack,
  x87Environment,
  x87Finish,
  x87Push,
} from '../procedures/x87-stack.ts';
import {
  x87FinishStore,
  x87LoadDecimal,
  x87LoadNumber,
  x87LoadRegister,
  x87StoreDecimal,
  x87StoreFloat,
  x87StoreInteger,
} from '../procedures/x87-store.ts';
import type { X86Builder } from '../x86-builder.ts';
import { computing, loadFloat, loadInteger, recordPointers, requireX87 } from './x87-common.ts';

const clearC1 = (x: X86Builder): void => changeStatus(x, FSW_BITS.C1, x.const('i32', 0));

/** Bytes of an extended number, and of a packed decimal. */
const TEN_BYTES = 10;

// --- loads ------------------------------------------------------------------------------------------------------------------------

const loadFrom =
  (load: typeof loadFloat): Semantics =>
  (x, _top, src) => {
    requireX87(x);
    const { se, significand, status } = load(x, src);
    recordPointers(x);
    x.call(x87LoadNumber, se, significand, status);
  };

/** The low 8 and the high 2 bytes of a memory operand. */
function loadTenBytes(x: X86Builder): { low: Value; high: Value } {
  const address = x.operandAddress(TEN_BYTES, 'read');
  return { low: x.load('i64', address), high: x.zext(x.load('i16', x.add(address, 8)), 'i32') };
}

const loadTen =
  (finish: (x: X86Builder, low: Value, high: Value) => void): Semantics =>
  (x) => {
    requireX87(x);
    const { low, high } = loadTenBytes(x);
    recordPointers(x);
    finish(x, low, high);
  };

const LOADS = [
  ...instruction({ name: 'FLD', rows: ['D9 /0 | ST0,Md', 'DD /0 | ST0,Mq'], semantics: loadFrom(loadFloat) }),
  ...instruction({
    name: 'FLD',
    rows: ['DB /5 | ST0,M'],
    semantics: loadTen((x, low, high) => {
      x.call(x87Push, high, low, x.const('i32', 0));
    }),
  }),
  ...instruction({
    name: 'FLD',
    rows: ['D9 /0 | ST0,STi'],
    semantics: computing((x, _top, src) => {
      x.call(x87LoadRegister, src.number());
    }),
  }),
  ...instruction({
    name: 'FILD',
    rows: ['DF /0 | ST0,Mw', 'DB /0 | ST0,Md', 'DF /5 | ST0,Mq'],
    semantics: loadFrom(loadInteger),
  }),
  ...instruction({
    name: 'FBLD',
    rows: ['DF /4 | ST0,M'],
    semantics: loadTen((x, low, high) => {
      x.call(x87LoadDecimal, low, high);
    }),
  }),
];

/** Significand rounded down, and whether the nearest one is above it (SDM vol. 2, FLD1). */
const CONSTANTS: readonly (readonly [name: string, modrm: string, se: number, down: bigint, nearestIsUp: boolean])[] = [
  ['FLDL2T', 'E9', 0x4000, 0xd49a784bcd1b8afen, false],
  ['FLDL2E', 'EA', 0x3fff, 0xb8aa3b295c17f0bbn, true],
  ['FLDPI', 'EB', 0x4000, 0xc90fdaa22168c234n, true],
  ['FLDLG2', 'EC', 0x3ffd, 0x9a209a84fbcff798n, true],
  ['FLDLN2', 'ED', 0x3ffe, 0xb17217f7d1cf79abn, true],
];
const pushConstant = (x: X86Builder, se: number, significand: Value): void => {
  x.call(x87Push, x.const('i32', se), significand, x.const('i32', 0));
};
const LOAD_CONSTANTS = [
  ...instruction({
    name: 'FLD1',
    rows: ['D9 E8'],
    semantics: computing((x) => pushConstant(x, 0x3fff, x.const('i64', 1n << 63n))),
  }),
  ...instruction({ name: 'FLDZ', rows: ['D9 EE'], semantics: computing((x) => pushConstant(x, 0, x.const('i64', 0))) }),
  ...CONSTANTS.flatMap(([name, modrm, se, down, nearestIsUp]) =>
    instruction({
      name,
      rows: [`D9 ${modrm}`],
      semantics: computing((x) => {
        const rc = x.and(x87Environment(x), ENV.RC);
        const isUp = x.eq(rc, ENV.rcUp);
        const up = nearestIsUp ? x.or(isUp, x.eq(rc, ENV.rcNearest)) : isUp;
        pushConstant(x, se, x.add(x.const('i64', down), x.zext(up, 'i64')));
      }),
    }),
  ),
];

// --- stores -----------------------------------------------------------------------------------------------------------------------

/** A page fault comes before what the stack or the value is found to be, even where that keeps the store from happening. */
function checkWritable(x: X86Builder, address: Value, bytes: number): void {
  for (let at = 0; at < bytes; at += 8) {
    x.loadForWrite(integerType(Math.min(bytes - at, 8) * 8), at === 0 ? address : x.add(address, at));
  }
}

/** Calls a procedure that stores ST(0) at an address and returns flags. */
const store =
  (
    procedureOf: (dst: BoundOperand) => Procedure,
    args: readonly number[],
    bytesOf: (dst: BoundOperand) => number,
    pops: boolean,
  ): Semantics =>
  (x, dst) => {
    requireX87(x);
    const address = x.operandAddress(bytesOf(dst), 'write');
    checkWritable(x, address, bytesOf(dst));
    const [flags] = x.call(procedureOf(dst), address, ...args.map((a) => x.const('i32', a)));
    recordPointers(x);
    const [done] = x.call(x87FinishStore, flags);
    if (pops) x.if(x.ne(done, 0), () => popStack(x));
  };
const BYTES: Readonly<Record<string, number>> = { i16: 2, i32: 4, i64: 8 };
const sizeOf = (dst: BoundOperand): number => BYTES[dst.type];
const storeFloat = (pops: boolean): Semantics =>
  store((dst) => x87StoreFloat[dst.type as 'i32' | 'i64'], [], sizeOf, pops);
const storeInteger = (rounding: number, pops: boolean): Semantics =>
  store((dst) => x87StoreInteger[dst.type as 'i16' | 'i32' | 'i64'], [rounding], sizeOf, pops);

/** FSTP of an extended number: exact, so that an empty register is all that can be wrong. */
const storeExtended: Semantics = (x) => {
  requireX87(x);
  const address = x.operandAddress(TEN_BYTES, 'write');
  checkWritable(x, address, TEN_BYTES);
  const flags = emptyStatus(x, 0);
  const empty = x.ne(flags, 0);
  const { se, significand } = readStack(x, 0);
  const write = x.eq(x.and(unmaskedOf(x, flags), PRE_COMPUTATION), 0);
  x.if(write, () => {
    x.store(address, x.select(empty, x.const('i64', INDEFINITE_SIGNIFICAND), significand));
    x.store(x.add(address, 8), x.trunc(x.select(empty, x.const('i32', INDEFINITE_SE), se), 'i16'));
  });
  recordPointers(x);
  const [done] = x.call(x87FinishStore, flags);
  x.if(x.ne(done, 0), () => popStack(x));
};

const storeRegister = (pops: boolean): Semantics =>
  computing((x, dst) => {
    const flags = emptyStatus(x, 0);
    const { se, significand } = readStack(x, 0);
    const empty = x.ne(flags, 0);
    const [done] = x.call(
      x87Finish,
      dst.number(),
      x.select(empty, x.const('i32', INDEFINITE_SE), se),
      x.select(empty, x.const('i64', INDEFINITE_SIGNIFICAND), significand),
      flags,
    );
    if (pops) x.if(x.ne(done, 0), () => popStack(x));
  });

const STORES = [
  ...instruction({ name: 'FST', rows: ['D9 /2 | Md,ST0', 'DD /2 | Mq,ST0'], semantics: storeFloat(false) }),
  ...instruction({ name: 'FST', rows: ['DD /2 | STi,ST0'], semantics: storeRegister(false) }),
  ...instruction({ name: 'FSTP', rows: ['D9 /3 | Md,ST0', 'DD /3 | Mq,ST0'], semantics: storeFloat(true) }),
  ...instruction({ name: 'FSTP', rows: ['DB /7 | M,ST0'], semantics: storeExtended }),
  ...instruction({
    name: 'FSTP',
    rows: ['DD /3 | STi,ST0', 'DF /2 | STi,ST0', 'DF /3 | STi,ST0'],
    semantics: storeRegister(true),
  }),
  ...instruction({ name: 'FIST', rows: ['DF /2 | Mw,ST0', 'DB /2 | Md,ST0'], semantics: storeInteger(0, false) }),
  ...instruction({
    name: 'FISTP',
    rows: ['DF /3 | Mw,ST0', 'DB /3 | Md,ST0', 'DF /7 | Mq,ST0'],
    semantics: storeInteger(0, true),
  }),
  ...instruction({
    name: 'FISTTP',
    rows: ['DF /1 | Mw,ST0', 'DB /1 | Md,ST0', 'DD /1 | Mq,ST0'],
    semantics: storeInteger(ENV.rcZero, true),
  }),
  ...instruction({
    name: 'FBSTP',
    rows: ['DF /6 | M,ST0'],
    semantics: store(
      () => x87StoreDecimal,
      [],
      () => TEN_BYTES,
      true,
    ),
  }),
  // An alias that does not report an empty register.
  ...instruction({
    name: 'FSTPNCE',
    rows: ['D9 /3 | STi,ST0'],
    semantics: computing((x, dst) => {
      x.if(
        isEmpty(x, 0),
        () => {},
        () => writeStack(x, dst.number(), readStack(x, 0)),
      );
      clearC1(x);
      popStack(x);
    }),
  }),
];

// --- the stack --------------------------------------------------------------------------------------------------------------------

/** Changes the sign of ST(0): no exceptions but an empty register. */
const changeSign = (change: (x: X86Builder, se: Value) => Value): Semantics =>
  computing((x) => {
    const flags = emptyStatus(x, 0);
    const { se, significand } = readStack(x, 0);
    const empty = x.ne(flags, 0);
    x.call(
      x87Finish,
      x.const('i32', 0),
      x.select(empty, x.const('i32', INDEFINITE_SE), change(x, se)),
      x.select(empty, x.const('i64', INDEFINITE_SIGNIFICAND), significand),
      flags,
    );
  });

const STACK = [
  ...instruction({
    name: 'FXCH',
    rows: ['D9 /1 | ST0,STi', 'DD /1 | ST0,STi', 'DF /1 | ST0,STi'],
    semantics: computing((x, _top, other) => {
      x.call(x87Exchange, other.number());
    }),
  }),
  ...instruction({ name: 'FCHS', rows: ['D9 E0'], semantics: changeSign((x, se) => x.xor(se, 0x8000)) }),
  ...instruction({ name: 'FABS', rows: ['D9 E1'], semantics: changeSign((x, se) => x.and(se, 0x7fff)) }),
  ...instruction({
    name: 'FFREE',
    rows: ['DD /0 | STi'],
    semantics: computing((x, i) => {
      freeStack(x, i.number());
      clearC1(x);
    }),
  }),
  ...instruction({
    name: 'FFREEP',
    rows: ['DF /0 | STi'],
    semantics: computing((x, i) => {
      freeStack(x, i.number());
      clearC1(x);
      popStack(x);
    }),
  }),
  ...instruction({
    name: 'FINCSTP',
    rows: ['D9 F7'],
    semantics: computing((x) => {
      rotateStack(x, 1);
      clearC1(x);
    }),
  }),
  ...instruction({
    name: 'FDECSTP',
    rows: ['D9 F6'],
    semantics: computing((x) => {
      rotateStack(x, -1);
      clearC1(x);
    }),
  }),
];

export const X87_MOVE: readonly Encoding[] = [...LOADS, ...LOAD_CONSTANTS, ...STORES, ...STACK];
