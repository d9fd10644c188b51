/** What a machine does in a second, from two looks at its statistics. */
import type { Statistics } from '../api/statistics.ts';

/** Events in a second by name. */
export type RatesByName = Readonly<Record<string, number>>;

export interface Rates {
  /** Instructions in a second, by the tier that executed them. */
  readonly interpreter: number;
  readonly translator: number;
  /** Times in a second that translated code was left, or the processor went back to the machine. */
  readonly exits: RatesByName;
  /** By vector, in hexadecimal. */
  readonly interrupts: RatesByName;
  readonly exceptions: RatesByName;
  /** Register accesses by device. */
  readonly devices: RatesByName;
  readonly tlbMisses: number;
  /** Translations in a second. */
  readonly translations: number;
  /** Translated regions that there are. */
  readonly regions: number;
}

/** `earlier` may be of another run. Undefined when no time went by. */
export function ratesBetween(earlier: Statistics, later: Statistics): Rates | undefined {
  const seconds = later.wallSeconds - earlier.wallSeconds;
  if (seconds <= 0) return undefined;
  const [was, is] = [codeOf(earlier), codeOf(later)];
  const rate = (before: number, now: number): number => Math.max(0, now - before) / seconds;
  const each = (before: RatesByName, now: RatesByName): RatesByName =>
    Object.fromEntries(Object.entries(now).map(([name, count]) => [name, rate(before[name] ?? 0, count)]));
  return {
    interpreter: rate(earlier.instructions - was.translated, later.instructions - is.translated),
    translator: rate(was.translated, is.translated),
    exits: each(was.exits, is.exits),
    interrupts: each(byVector(earlier), byVector(later)),
    exceptions: each(earlier.exceptions, later.exceptions),
    devices: each(accesses(earlier), accesses(later)),
    tlbMisses: rate(was.tlbMisses, is.tlbMisses),
    translations: rate(was.made, is.made),
    regions: is.live,
  };
}

function codeOf({ instructions, instructionsBefore, vcpus }: Statistics) {
  const code = vcpus[0]?.code;
  if (code == null) return { translated: 0, exits: {}, tlbMisses: 0, made: 0, live: 0 };
  return {
    translated: (instructions - instructionsBefore) * code.tiers.translator,
    exits: { ...code.regionExits, ...code.exits },
    tlbMisses: code.tlbMisses,
    made: code.regions.made,
    live: code.regions.live,
  };
}

const byVector = ({ interrupts }: Statistics): RatesByName =>
  Object.fromEntries(Object.entries(interrupts).map(([vector, n]) => [`0x${Number(vector).toString(16)}`, n]));

const accesses = ({ devices }: Statistics): RatesByName =>
  Object.fromEntries(Object.entries(devices).map(([name, { reads, writes }]) => [name, reads + writes]));

export const total = (rates: RatesByName): number => Object.values(rates).reduce((sum, n) => sum + n, 0);

/** Where a chart's scale ends that has to show `n`: it and its half are short numbers. */
export function axisTop(n: number): number {
  const least = Math.max(n, 2);
  const scale = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 4, 6, 8, 10].map((step) => step * scale).find((top) => top >= least)!;
}

/** A count for people: `12.3 M`. */
export function shortNumber(n: number): string {
  for (const [unit, scale] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const)
    if (n >= scale) return `${(n / scale).toFixed(n >= 100 * scale ? 0 : 1)} ${unit}`;
  return n.toFixed(0);
}
