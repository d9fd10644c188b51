/**
 * Which flags the manual leaves undefined in one execution: the definition's mask, made exact for shifts, where it depends on the count
 * (SDM vol. 2, "Flags Affected").
 */
import { type Decoded, decode } from '../../src/isa/x86/decoder.ts';
import { RFLAGS } from '../../src/isa/x86/flags.ts';
import { operandWidth } from '../../src/isa/x86/operands.ts';
import type { GeneratedCase } from './case-generator.ts';
import type { Outcome } from './cpu-case.ts';
import { NOTHING_UNKNOWN, type Unknown, unknownBetween } from './cpu-compare.ts';
import type { EmulatedRunner } from './emulated-run.ts';
import { CODE_PAGE } from './native-layout.ts';
import type { Random } from './random.ts';

/** Not only flags are undefined. */
const EVERYTHING = -1;

/** The count of a shift or rotation, masked as the processor does. */
function shiftCount(d: Decoded, runner: EmulatedRunner): number {
  const last = d.encoding.operands.at(-1);
  const raw = last === '1' ? 1 : last === 'CL' ? runner.count() : Number(d.fields.immediate);
  return raw & (d.parameters.operandSize === 64 && !d.encoding.operands[0].endsWith('b') ? 63 : 31);
}

function undefinedByShift(d: Decoded, count: number): number {
  const width = operandWidth(d.encoding.operands[0], d.parameters);
  if (count === 0) return 0;
  let mask = d.encoding.definition.undefinedFlags ?? 0;
  if (count === 1) mask &= ~RFLAGS.OF;
  if (count < width) mask &= ~RFLAGS.CF;
  // A double shift by more than the operand has: the result too (SDM vol. 2, SHLD).
  return /^SH[LR]D$/.test(d.encoding.definition.name) && count > width ? EVERYTHING : mask;
}

const SHIFTS = /^(SHL|SHR|SAR|ROL|ROR|RCL|RCR|SHLD|SHRD)$/;

function undefinedFlags(d: Decoded, runner: EmulatedRunner): number {
  const { name } = d.encoding.definition;
  return SHIFTS.test(name) ? undefinedByShift(d, shiftCount(d, runner)) : (d.encoding.definition.undefinedFlags ?? 0);
}

interface Run {
  /** Absent where some result was undefined altogether. */
  readonly outcome: Outcome | undefined;
  /** Some instruction left a flag undefined. */
  readonly met: boolean;
}

/** Executes the case step by step; `disturb` is given the undefined flags after each instruction that leaves some. */
function execute(runner: EmulatedRunner, c: GeneratedCase, disturb: (mask: number) => number): Run {
  runner.load(c);
  let met = false;
  let rip = runner.step();
  while (rip !== undefined) {
    const decoded = decode(c.code.subarray(Number(rip) - CODE_PAGE), c.mode);
    const mask = typeof decoded === 'string' ? 0 : undefinedFlags(decoded, runner);
    if (mask === EVERYTHING) {
      runner.finish();
      return { outcome: undefined, met: true };
    }
    const next = runner.step();
    if (mask !== 0 && next !== undefined && next !== rip) {
      met = true;
      runner.setFlags(runner.flags() ^ disturb(mask));
    }
    rip = next;
  }
  return { outcome: runner.finish(), met };
}

/**
 * What of the outcome depends on undefined flags: the case is run again `tries` times with others. Undefined where even its end depends
 * on them.
 */
export function unknownOutcome(
  runner: EmulatedRunner,
  c: GeneratedCase,
  random: Random,
  tries: number,
): { outcome: Outcome; unknown: Unknown } | undefined {
  const { outcome, met } = execute(runner, c, () => 0);
  if (outcome === undefined) return undefined;
  let unknown: Unknown | undefined = NOTHING_UNKNOWN;
  if (!met) return { outcome, unknown };
  for (let i = 0; i < tries; i++) {
    const other = execute(runner, c, (mask) => (i === 0 ? mask : mask & random.u32())).outcome;
    unknown = other && unknown && unknownBetween(outcome, other, unknown);
  }
  return unknown && { outcome, unknown };
}
