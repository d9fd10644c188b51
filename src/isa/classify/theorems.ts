/**
 * The theorems of Popek and Goldberg as checks, each with its proof: the instructions that offend and why, or that there are none.
 *
 * 1. A virtual machine monitor may be constructed for any conventional third-generation computer whose sensitive instructions are all
 *    privileged.
 * 2. Such a computer is recursively virtualizable if it is virtualizable and a monitor without timing dependencies can be constructed
 *    for it: here, if besides no unprivileged instruction shows a clock.
 * 3. A hybrid monitor, which interprets all of supervisor mode, may be constructed if its user-sensitive instructions are all privileged.
 */
import { isSensitive, type Verdict } from './verdict.ts';

export type TheoremName = '1' | '2' | '3' | 'root';

export interface Theorem {
  readonly name: TheoremName;
  readonly statement: string;
  readonly holds: boolean;
  readonly offenders: readonly Verdict[];
}

const STATEMENTS: Readonly<Record<TheoremName, string>> = {
  '1': 'An efficient virtual machine monitor can be built: every sensitive instruction is privileged.',
  '2': 'It can be virtualized recursively: theorem 1 holds, and no unprivileged instruction shows a clock.',
  '3': 'A hybrid virtual machine monitor can be built: every user-sensitive instruction is privileged.',
  root: "A monitor in root mode can be built: every instruction of non-root mode that touches state that stays the monitor's causes a VM exit.",
};

const OFFENDS: Readonly<Record<TheoremName, (v: Verdict) => boolean>> = {
  '1': (v) => isSensitive(v) && !v.privileged,
  '2': (v) => (isSensitive(v) && !v.privileged) || v.timingDependent,
  '3': (v) => v.userSensitive && !v.privileged,
  root: (v) => isSensitive(v) && !v.privileged,
};

export function check(name: TheoremName, verdicts: readonly Verdict[]): Theorem {
  const offenders = verdicts.filter(OFFENDS[name]);
  return { name, statement: STATEMENTS[name], holds: offenders.length === 0, offenders };
}

/** Mnemonics, each once, in the order of the definitions. */
export const mnemonics = (verdicts: readonly Verdict[]): readonly string[] => [...new Set(verdicts.map((v) => v.name))];
