/** Where iced's text or its choice of instruction is not what this processor has; each with its reason. */
import type { CodeSize } from '../../src/isa/x86/prefixes.ts';
import type { Oracle } from './iced-oracle.ts';

interface Deviation {
  readonly reason: string;
  readonly code?: RegExp;
  /** In iced's text; the whole instruction where absent. */
  readonly text?: RegExp;
  /** Only where this holds of the code size and our text. */
  readonly when?: (mode: CodeSize, ours: string) => boolean;
  /** `=`: whatever ours is. */
  readonly ours: string;
}

const DEVIATIONS: readonly Deviation[] = [
  {
    reason:
      'prefixes that mean something to MPX, CET, TSX or the Pentium 4 alone: none of them is there, and others ignore them',
    text: /\b(bnd|notrack|hint-taken|hint-not-taken|xacquire|xrelease) /g,
    ours: '',
  },
  { reason: 'a REP that RET ignores', code: /^Ret/, text: /\brep /, ours: '' },
  {
    reason: 'the destination of MASKMOVQ and MASKMOVDQU is not among their operands',
    code: /^Maskmov/,
    text: /,[a-z]s$|^addr\d+ /g,
    ours: '',
  },
  {
    reason: 'outside 64-bit mode these raise #UD on Intel processors',
    code: /^(Syscall|Sysret)/,
    when: (mode) => mode !== 64,
    ours: '(bad)',
  },
  {
    reason: 'with REX.B silicon takes F3 90 as XCHG',
    code: /^Pause/,
    when: (_mode, ours) => ours.startsWith('xchg r8'),
    ours: '=',
  },
  {
    reason: 'exchanging the accumulator with itself at 90 does nothing at any size',
    code: /^Nop[wdq]$/,
    text: /^xchg .*/,
    ours: 'nop',
  },
  { reason: 'reserved NOPs do not read their register operand', code: /^Reservednop/, text: /,[^,\]]*$/, ours: '' },
  {
    reason: 'the hints of 0F 0D that are not PREFETCHW are one',
    code: /^Prefetch(_m8|reserved|wt1)/,
    text: /^prefetch\w*/,
    ours: 'prefetch',
  },
];

/** Iced's text as this project has it. */
export function acceptedText({ text, code }: Oracle, mode: CodeSize, ours: string): string {
  let result = text;
  for (const deviation of DEVIATIONS) {
    if (deviation.code?.test(code) === false || deviation.when?.(mode, ours) === false) continue;
    if (deviation.ours === '=') return ours;
    result = deviation.text === undefined ? deviation.ours : result.replace(deviation.text, deviation.ours);
  }
  return result;
}
