/** What SSE instructions share: the checks at their start, aligned access, and widening of narrow values into vectors. */
import type { Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import type { BoundOperand } from '../operands.ts';
import type { X86Builder } from '../x86-builder.ts';

/** #UD or #NM where CR0 and CR4 do not allow SSE (SDM vol. 3 §2.5); comes first in every SSE instruction. */
export function requireSse(x: X86Builder): void {
  x.requireFpu('sse');
}

/** #GP(0) unless the linear address is a multiple of `bytes`, a power of two. */
export function requireAlignment(x: X86Builder, address: Value, bytes: number): void {
  x.raiseIf(x.ne(x.and(address, bytes - 1), 0), VECTOR.GP, 0);
}

/**
 * The value of a source operand. 128 bits in memory must be aligned, as in every legacy SSE instruction that is not named as an exception
 * (SDM vol. 2 §2.4.4); those use `operand.get()`. Narrower ones need not.
 */
export function alignedGet(x: X86Builder, operand: BoundOperand): Value {
  if (!operand.memory || operand.type !== 'i128') return operand.get();
  const address = x.operandAddress(16, 'read');
  requireAlignment(x, address, 16);
  return x.load('i128', address);
}

/** Writes a destination, which in memory must be aligned if it is 128 bits wide. */
export function alignedSet(x: X86Builder, operand: BoundOperand, value: Value): void {
  if (!operand.memory || operand.type !== 'i128') {
    operand.set(value);
    return;
  }
  const address = x.operandAddress(16, 'write');
  requireAlignment(x, address, 16);
  x.store(address, value);
}

/** A vector whose low part is `value` and whose other bits are zero. */
export function zeroExtended(x: X86Builder, value: Value): Value {
  switch (value.type) {
    case 'i128':
      return value;
    case 'i64':
      return x.op('i64x2.replace', [x.const('i128', 0), value], [0]);
    case 'i32':
      return x.op('i32x4.replace', [x.const('i128', 0), value], [0]);
    case 'i16':
      return x.op('i16x8.replace', [x.const('i128', 0), value], [0]);
    default:
      throw new Error(`no vector of ${value.type}`);
  }
}

/** The 8-bit immediate operand as `i32`. */
export function immediate8(x: X86Builder, operand: BoundOperand): Value {
  return x.zext(operand.get(), 'i32');
}

/** A constant vector of lanes of `width` bits, lane 0 first. */
export function lanes(x: X86Builder, width: 8 | 16 | 32 | 64, values: readonly (number | bigint)[]): Value {
  const joined = values.reduce<bigint>(
    (all, v, i) => all | (BigInt.asUintN(width, BigInt(v)) << BigInt(i * width)),
    0n,
  );
  return x.const('i128', joined);
}
