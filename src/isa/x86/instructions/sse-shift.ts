/** Packed shifts by a register, memory or immediate count (SDM vol. 1 §5.4.6, §5.6.3). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import type { BoundOperand } from '../operands.ts';
import type { X86Builder } from '../x86-builder.ts';
import { requireMmx, setMmx } from './mmx-common.ts';
import { alignedGet, immediate8, lanes, requireSse } from './sse-common.ts';
import { half, inBothHalves, isMmx } from './sse-packed.ts';

type Direction = 'shl' | 'shr_u' | 'shr_s';

interface Shift {
  readonly shape: string;
  readonly width: number;
  readonly direction: Direction;
}

/** Counts beyond the lane clear it, or fill it with its sign. `count` is of any integer type, unsigned. */
function shiftLanes(x: X86Builder, { shape, width, direction }: Shift, value: Value, count: Value): Value {
  const fits = x.ltU(count, width);
  const small = x.trunc(count, 'i32');
  if (direction === 'shr_s') return x.op(`${shape}.shr_s`, [value, x.select(fits, small, width - 1)]);
  return x.select(fits, x.op(`${shape}.${direction}`, [value, small]), x.const('i128', 0));
}

/** Shifts the register `dst` by what `count` gives after the checks. */
function shiftRegister(x: X86Builder, shift: Shift, dst: BoundOperand, count: () => Value): void {
  if (isMmx(dst)) {
    requireMmx(x);
    const by = count();
    setMmx(x, dst, half(x, shiftLanes(x, shift, inBothHalves(x, dst.get()), by), 'low'));
    return;
  }
  requireSse(x);
  const by = count();
  dst.set(shiftLanes(x, shift, dst.get(), by));
}

/** The count is the low 64 bits of the source. */
const byOperand =
  (shift: Shift): Semantics =>
  (x, dst, src) =>
    shiftRegister(x, shift, dst, () => (isMmx(src) ? src.get() : half(x, alignedGet(x, src), 'low')));

const byImmediate =
  (shift: Shift): Semantics =>
  (x, dst, count) =>
    shiftRegister(x, shift, dst, () => immediate8(x, count));

const SHIFTS = (
  [
    ['PSRLW', 'D1', '71 /2', { shape: 'i16x8', width: 16, direction: 'shr_u' }],
    ['PSRLD', 'D2', '72 /2', { shape: 'i32x4', width: 32, direction: 'shr_u' }],
    ['PSRLQ', 'D3', '73 /2', { shape: 'i64x2', width: 64, direction: 'shr_u' }],
    ['PSRAW', 'E1', '71 /4', { shape: 'i16x8', width: 16, direction: 'shr_s' }],
    ['PSRAD', 'E2', '72 /4', { shape: 'i32x4', width: 32, direction: 'shr_s' }],
    ['PSLLW', 'F1', '71 /6', { shape: 'i16x8', width: 16, direction: 'shl' }],
    ['PSLLD', 'F2', '72 /6', { shape: 'i32x4', width: 32, direction: 'shl' }],
    ['PSLLQ', 'F3', '73 /6', { shape: 'i64x2', width: 64, direction: 'shl' }],
  ] as const
).flatMap(([name, opcode, immediateOpcode, shift]) => [
  ...instruction({
    name,
    rows: [`NP 0F ${opcode} /r | Pq,Qq`, `66 0F ${opcode} /r | Vx,Wx`],
    semantics: byOperand(shift),
  }),
  ...instruction({ name, rows: [`NP 0F ${immediateOpcode} | Nq,Ib`], semantics: byImmediate(shift) }),
  ...instruction({ name, rows: [`66 0F ${immediateOpcode} | Ux,Ib`], semantics: byImmediate(shift) }),
]);

export const IDENTITY_BYTES: readonly number[] = Array.from({ length: 16 }, (_, i) => i);

/** `value` moved by `count` (`i32`, at most 255) whole bytes towards the top; zeros follow. */
export function shiftBytesLeft(x: X86Builder, value: Value, count: Value): Value {
  const by = x.select(x.ltU(count, 16), count, 16);
  const indices = x.op('i8x16.sub', [lanes(x, 8, IDENTITY_BYTES), x.op('i8x16.splat', [x.trunc(by, 'i8')])]);
  return x.op('i8x16.swizzle', [value, indices]);
}
/** As `shiftBytesLeft`, towards the bottom. */
export function shiftBytesRight(x: X86Builder, value: Value, count: Value): Value {
  const by = x.select(x.ltU(count, 16), count, 16);
  const indices = x.op('i8x16.add', [lanes(x, 8, IDENTITY_BYTES), x.op('i8x16.splat', [x.trunc(by, 'i8')])]);
  return x.op('i8x16.swizzle', [value, indices]);
}

const BYTE_SHIFTS = (
  [
    ['PSRLDQ', '/3', shiftBytesRight],
    ['PSLLDQ', '/7', shiftBytesLeft],
  ] as const
).flatMap(([name, extension, shift]) =>
  instruction({
    name,
    rows: [`66 0F 73 ${extension} | Ux,Ib`],
    semantics: (x, dst, count) => {
      requireSse(x);
      dst.set(shift(x, dst.get(), immediate8(x, count)));
    },
  }),
);

export const SSE_SHIFT: readonly Encoding[] = [...SHIFTS, ...BYTE_SHIFTS];
