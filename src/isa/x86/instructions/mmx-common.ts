/** What MMX instructions share: the checks at their start and what each does to the x87 registers. */
import type { Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import type { BoundOperand } from '../operands.ts';
import { FSW, FTOP, FTW, X87 } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';

/** The error summary of the x87 status word: an unmasked exception waits. */
const FSW_ES = 1 << 7;
/** Byte position of sign and exponent in a register of `X87`. */
const EXPONENT_AT = 8;

/** #UD, #NM or #MF where MMX instructions are not allowed now (SDM vol. 3 §12.1, §12.5); comes first in every MMX instruction. */
export function requireMmx(x: X86Builder): void {
  x.requireFpu('mmx');
  x.raiseIf(x.ne(x.and(x.get(FSW), FSW_ES), 0), VECTOR.MF);
}

/** Every MMX instruction but EMMS: TOP is 0 and all registers are in use (SDM vol. 3 table 12-3). After the last memory access. */
export function enterMmx(x: X86Builder): void {
  x.set(FTOP, 0);
  x.set(FTW, 0xff);
}

/** Writes an MMX register: sign and exponent become all ones; includes `enterMmx`. */
export function setMmx(x: X86Builder, operand: BoundOperand, value: Value): void {
  enterMmx(x);
  x.setAt(X87, operand.number(), value);
  x.setAt(X87, x.add(operand.number(), EXPONENT_AT), x.const('i16', 0xffff));
}
