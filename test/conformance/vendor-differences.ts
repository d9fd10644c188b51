/** Where processors of different makers differ, or do what the manual leaves open: such cases are not compared. */
import type { GeneratedCase } from './case-generator.ts';
import type { Outcome } from './cpu-case.ts';
import type { Generated } from './instruction-generator.ts';

interface Difference {
  readonly reason: string;
  /** Of the case as a whole. */
  readonly applies: (c: GeneratedCase, native: Outcome) => boolean;
}

const PAGE_FAULT = 14;

const has = (c: GeneratedCase, names: RegExp, operands: RegExp): boolean =>
  c.instructions.some(({ encoding: e }) => names.test(e.definition.name) && operands.test(e.operands.join()));

/** The instruction at the end of the case. */
function lastInstruction(c: GeneratedCase, { rip }: Outcome): Generated | undefined {
  let at = Number(c.rip);
  return c.instructions.find(({ bytes }) => {
    const isHere = at === Number(rip);
    at += bytes.length;
    return isHere;
  });
}

const LARGE_STATE = /^(FLDENV|FRSTOR|FNSAVE|FNSTENV|FXSAVE|FXSAVE64|FXRSTOR|FXRSTOR64)$/;

const isWord = ({ bytes }: Generated): boolean => bytes.includes(0x66);

const MXCSR_AT = 24;
const MISALIGNED_MASK = 1 << 17;

function mxcsrOf({ fx }: Outcome): number {
  return new DataView(fx.buffer, fx.byteOffset).getUint32(MXCSR_AT, true);
}

const DIFFERENCES: readonly Difference[] = [
  {
    reason:
      'a segment register pushed as 32 bits: Intel leaves the upper half of the stack slot alone, AMD clears it (SDM vol. 2, PUSH)',
    applies: (c) => c.mode === 32 && has(c, /^PUSH$/, /^[C-GS]S$/),
  },
  {
    reason: 'MOVSXD with 16-bit operands reads 16 bits of memory on Intel processors, 32 on AMD (SDM vol. 2, MOVSXD)',
    applies: (c) => c.instructions.some((i) => i.encoding.definition.name === 'MOVSXD' && isWord(i)),
  },
  {
    reason: 'which address of a masked store faults, and whether the x87 tags have changed by then, is not defined',
    applies: (c, native) =>
      native.vector === PAGE_FAULT && /^MASKMOV/.test(lastInstruction(c, native)?.encoding.definition.name ?? ''),
  },
  {
    reason: 'which byte of a large operand is touched first, and so CR2, is not defined',
    applies: (c, native) =>
      native.vector === PAGE_FAULT && LARGE_STATE.test(lastInstruction(c, native)?.encoding.definition.name ?? ''),
  },
  {
    reason:
      "bit 17 of MXCSR, the misaligned exception mask, is AMD's (APM vol. 1 §4.2.2); to set it is #GP elsewhere, as here",
    applies: (_, native) => (mxcsrOf(native) & MISALIGNED_MASK) !== 0,
  },
];

export function vendorDifference(c: GeneratedCase, native: Outcome): boolean {
  return DIFFERENCES.some(({ applies }) => applies(c, native));
}
