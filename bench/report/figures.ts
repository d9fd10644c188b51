/** Figures of one row, as numbers and as text. */
import type { Unit } from '../measurements.ts';
import type { PeerName } from '../peers/peer.ts';
import type { Row } from '../results.ts';
import { median, spread } from '../statistics.ts';

/** Repetitions that differ by more than this factor are marked. */
const NOISY = 1.25;

/** Instructions come by the million, what a kernel does for a program by the thousand. */
function scaleOf(unit: Unit): { readonly prefix: string; readonly divisor: number } {
  if (unit.kind !== 'rate') return { prefix: '', divisor: 1 };
  return unit.of === 'instructions' ? { prefix: 'M ', divisor: 1e6 } : { prefix: 'k ', divisor: 1e3 };
}

export function unitText(unit: Unit): string {
  switch (unit.kind) {
    case 'seconds':
      return 's';
    case 'megabytes':
      return 'MB';
    case 'rate':
      return `${scaleOf(unit).prefix}${unit.of}/s`;
    default:
      return unit satisfies never;
  }
}

/** Three significant digits or so. */
export function figure(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

/** A value of the row in its unit for people. */
export const inUnit = (value: number, unit: Unit): string => figure(value / scaleOf(unit).divisor);

/** The median, with a mark where repetitions do not agree. */
export function cell({ samples, unit }: Row, peer: PeerName): string {
  const values = samples[peer];
  if (values === undefined) return '-';
  return `${spread(values) > NOISY ? '~' : ''}${inUnit(median(values), unit)}`;
}

/** How much more a value is worth than another: above 1 it is faster, or takes less. */
export const better = ({ kind }: Unit, value: number, than: number): number =>
  kind === 'rate' ? value / than : than / value;

/** How many times better the first peer is than the second, of medians. */
export function ratio({ unit, samples }: Row, first: PeerName, second: PeerName): number | undefined {
  const [a, b] = [samples[first], samples[second]];
  return a === undefined || b === undefined ? undefined : better(unit, median(a), median(b));
}

export function ratioText(row: Row, other: PeerName): string {
  const value = ratio(row, 'trapeze', other);
  return value === undefined ? '-' : `${figure(value)}x`;
}
