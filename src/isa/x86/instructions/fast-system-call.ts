/** Fast system calls (SDM vol. 1 §5.20, vol. 3 §5.8.7, §5.8.8). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { ARITHMETIC_FLAGS, OTHER_FLAGS, RFLAGS, SYSTEM_FLAGS } from '../flags.ts';
import { DR6_BITS } from '../procedures/debug.ts';
import {
  enteredFlat64,
  isProtected,
  isSet,
  modeChanged,
  requestAttention,
  setFlatSegment,
} from '../procedures/segments.ts';
import {
  CPL,
  CS_AT,
  DEBUG_PENDING,
  EFER,
  FLAGS_OTHER,
  FMASK,
  LSTAR,
  RETIRED_LIMIT,
  RIP,
  RSP,
  SS_AT,
  STAR,
  SYSENTER_CS,
  SYSENTER_EIP,
  SYSENTER_ESP,
  TRAP_ARMED,
} from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';

const FLAT_CODE_64 = 0xa09b;
const FLAT_CODE_32 = 0xc09b;
const FLAT_DATA = 0xc093;
/** Loads CS and SS as the fast system calls do: fixed, flat, without reading descriptors. */
function setFlat(x: X86Builder, selector: Value, stackSelector: Value, level: number, code: number): void {
  setFlatSegment(x, CS_AT, x.or(x.and(selector, 0xfffc), level), code | (level << 5));
  setFlatSegment(x, SS_AT, x.or(x.and(stackSelector, 0xfffc), level), FLAT_DATA | (level << 5));
  x.set(CPL, level);
  if (code === FLAT_CODE_64) enteredFlat64(x);
  else x.call(modeChanged);
}
const EFER_SCE = 1n;
/** SYSCALL and SYSRET trap where TF is set behind them, not before (SDM vol. 2, SYSRET). */
function trapIfStepping(x: X86Builder): void {
  x.set(TRAP_ARMED, 0);
  x.if(isSet(x, x.get(FLAGS_OTHER), RFLAGS.TF), () => {
    x.set(DEBUG_PENDING, x.or(x.get(DEBUG_PENDING), DR6_BITS.BS));
    x.set(RETIRED_LIMIT, 0);
  });
}

export const FAST_SYSTEM_CALLS: readonly Encoding[] = [
  ...instruction({
    name: 'SYSCALL',
    rows: ['0F 05 | | o64'],
    endsBlock: true,
    semantics: (x) => {
      x.raiseIf(x.eq(x.and(x.get(EFER), EFER_SCE), 0), VECTOR.UD);
      const flags = x.flags.image();
      x.setRegister(1, x.nextIp());
      x.setRegister(11, x.zext(x.and(flags, ~RFLAGS.RF), 'i64'));
      const target = x.get(LSTAR);
      x.flags.write(
        x.and(flags, x.not(x.trunc(x.get(FMASK), 'i32'))),
        x.const('i32', ARITHMETIC_FLAGS | OTHER_FLAGS | SYSTEM_FLAGS),
      );
      const selector = x.trunc(x.shrU(x.get(STAR), 32), 'i16');
      setFlat(x, selector, x.add(x.and(selector, 0xfffc), 8), 0, FLAT_CODE_64);
      trapIfStepping(x);
      x.jump(target);
    },
  }),
  ...instruction({
    name: 'SYSRET',
    rows: ['0F 07 | | o64'],
    endsBlock: true,
    semantics: (x) => {
      x.raiseIf(x.eq(x.and(x.get(EFER), EFER_SCE), 0), VECTOR.UD);
      x.requireCpl0();
      const long = x.parameters.operandSize === 64;
      const target = long ? x.register(1, 'i64') : x.zext(x.register(1, 'i32'), 'i64');
      if (long) x.checkCanonical(target);
      const changeable = ARITHMETIC_FLAGS | (OTHER_FLAGS & ~RFLAGS.RF) | (SYSTEM_FLAGS & ~RFLAGS.VM);
      x.flags.write(x.register(11, 'i32'), x.const('i32', changeable));
      const star = x.trunc(x.shrU(x.get(STAR), 48), 'i16');
      setFlat(x, long ? x.add(star, 16) : star, x.add(star, 8), 3, long ? FLAT_CODE_64 : FLAT_CODE_32);
      x.call(requestAttention);
      trapIfStepping(x);
      x.jump(target);
    },
  }),
  ...instruction({
    name: 'SYSENTER',
    rows: ['0F 34'],
    endsBlock: true,
    semantics: (x) => {
      const selector = x.trunc(x.get(SYSENTER_CS), 'i16');
      x.raiseIf(x.or(x.xor(isProtected(x), x.const('i1', 1)), x.eq(x.and(selector, 0xfffc), 0)), VECTOR.GP, 0);
      x.flags.write(x.and(x.flags.image(), ~(RFLAGS.VM | RFLAGS.IF)), x.const('i32', RFLAGS.VM | RFLAGS.IF));
      const long = x.ne(x.and(x.get(EFER), 1n << 10n), 0);
      x.if(
        long,
        () => setFlat(x, selector, x.add(selector, 8), 0, FLAT_CODE_64),
        () => setFlat(x, selector, x.add(selector, 8), 0, FLAT_CODE_32),
      );
      const mask = x.select(long, x.const('i64', -1n), 0xffffffffn);
      x.set(RSP, x.and(x.get(SYSENTER_ESP), mask));
      x.set(RIP, x.and(x.get(SYSENTER_EIP), mask));
      x.jump(x.get(RIP));
    },
  }),
  ...instruction({
    name: 'SYSEXIT',
    rows: ['0F 35'],
    endsBlock: true,
    semantics: (x) => {
      const selector = x.trunc(x.get(SYSENTER_CS), 'i16');
      x.raiseIf(x.or(x.xor(isProtected(x), x.const('i1', 1)), x.eq(x.and(selector, 0xfffc), 0)), VECTOR.GP, 0);
      x.requireCpl0();
      const long = x.parameters.operandSize === 64;
      const type = long ? 'i64' : 'i32';
      const target = x.zext(x.register(2, type), 'i64');
      const stack = x.zext(x.register(1, type), 'i64');
      if (long) {
        x.checkCanonical(target);
        x.checkCanonical(stack);
      }
      setFlat(
        x,
        x.add(selector, long ? 32 : 16),
        x.add(selector, long ? 40 : 24),
        3,
        long ? FLAT_CODE_64 : FLAT_CODE_32,
      );
      x.set(RSP, stack);
      x.jump(target);
    },
  }),
];
