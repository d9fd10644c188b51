/** What x87 instructions share: the checks at their start, pointers to the last instruction, operands from memory. */
import type { Value } from '../../ir/types.ts';
import type { Semantics } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import type { BoundOperand } from '../operands.ts';
import { floatFromInteger } from '../procedures/softfloat-convert.ts';
import { BINARY32, BINARY64, type Extended, unpackerOf } from '../procedures/softfloat-format.ts';
import { FSW_BITS } from '../procedures/x87-stack.ts';
import { FCS, FDP, FDS, FIP, FSW } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';

/**
 * #NM, then #MF where an unmasked exception waits; comes first in every waiting instruction (SDM vol. 1 §8.6, §8.7). With CR0.NE = 0 too:
 * no FERR# pin goes to an interrupt controller.
 */
export function requireX87(x: X86Builder): void {
  x.requireFpu('x87');
  x.raiseIf(x.ne(x.and(x.get(FSW), FSW_BITS.ES), 0), VECTOR.MF);
}

/** FIP and FDP of an instruction that is not a control instruction; after its last memory access. */
export function recordPointers(x: X86Builder): void {
  x.set(FIP, x.currentIp());
  x.set(FCS, 0);
  if (!x.parameters.memory) return;
  x.set(FDP, x.effectiveAddress());
  x.set(FDS, 0);
}

/** A waiting instruction on registers alone that is not a control instruction. */
export const computing =
  (semantics: Semantics): Semantics =>
  (x, ...operands) => {
    requireX87(x);
    recordPointers(x);
    semantics(x, ...operands);
  };

/** An operand in memory with what its conversion found: `FLOAT_FLAG.DE` for a denormal. */
interface MemoryNumber extends Extended {
  readonly status: Value;
}

export function loadFloat(x: X86Builder, operand: BoundOperand): MemoryNumber {
  const format = operand.type === 'i32' ? BINARY32 : BINARY64;
  const [se, significand, status] = x.call(unpackerOf(format), operand.get(), x.const('i32', 0));
  return { se, significand, status };
}

export function loadInteger(x: X86Builder, operand: BoundOperand): MemoryNumber {
  const [se, significand] = x.call(floatFromInteger, x.sext(operand.get(), 'i64'));
  return { se, significand, status: x.const('i32', 0) };
}
