/** Where processors of different makers differ and this one follows the manual of the other: such cases are not compared. */
import type { GeneratedCase } from './case-generator.ts';
import type { Outcome } from './cpu-case.ts';

interface Difference {
  readonly reason: string;
  readonly applies: (c: GeneratedCase, native: Outcome) => boolean;
}

const DIFFERENCES: readonly Difference[] = [];

export function vendorDifference(c: GeneratedCase, native: Outcome): boolean {
  return DIFFERENCES.some(({ applies }) => applies(c, native));
}
