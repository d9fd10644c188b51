/** The results for people. */
import type { MachineInfo } from './machine-info.ts';
import type { Unit } from './measurements.ts';
import type { Peer } from './peers/peer.ts';
import type { Row } from './results.ts';
import { geometricMean, median, spread } from './statistics.ts';

/** Repetitions that differ by more than this factor are marked. */
const NOISY = 1.25;

function unitText(unit: Unit): string {
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

/** Instructions come by the million, what a kernel does for a program by the thousand. */
function scaleOf(unit: Unit): { readonly prefix: string; readonly divisor: number } {
  if (unit.kind !== 'rate') return { prefix: '', divisor: 1 };
  return unit.of === 'instructions' ? { prefix: 'M ', divisor: 1e6 } : { prefix: 'k ', divisor: 1e3 };
}

/** Three significant digits or so. */
function figure(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

function cell(values: readonly number[] | undefined, unit: Unit): string {
  if (values === undefined) return '-';
  return `${spread(values) > NOISY ? '~' : ''}${figure(median(values) / scaleOf(unit).divisor)}`;
}

/** How many times better the first peer is than the second: above 1 it is faster, or takes less. */
export function ratio({ unit, samples }: Row, first: Peer['name'], second: Peer['name']): number | undefined {
  const [a, b] = [samples[first], samples[second]];
  if (a === undefined || b === undefined) return undefined;
  return unit.kind === 'rate' ? median(a) / median(b) : median(b) / median(a);
}

function ratioText(row: Row, other: Peer['name']): string {
  const value = ratio(row, 'trapeze', other);
  return value === undefined ? '-' : `${figure(value)}x`;
}

/** Columns as wide as their widest cell; the first two to the left, figures to the right. */
function align(lines: readonly (readonly string[])[]): string[] {
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) =>
    line
      .map((text, i) => (i < 2 ? text.padEnd(widths[i]) : text.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  );
}

function summary(rows: readonly Row[]): string[] {
  const ratios = rows
    .filter(({ unit }) => unit.kind === 'rate')
    .map((row) => ratio(row, 'trapeze', 'qemu-tcg'))
    .filter((value) => value !== undefined);
  if (ratios.length < 2) return [];
  return [`geometric mean of the ${ratios.length} speeds: ${figure(geometricMean(ratios))}x of qemu-tcg`];
}

/** The table: medians, and how many times as good Trapeze is as each other peer. */
export function table(rows: readonly Row[], peers: readonly Peer[]): string[] {
  const names = peers.map(({ name }) => name);
  const others = names.includes('trapeze') ? names.filter((name) => name !== 'trapeze') : [];
  const head = ['', '', ...names, ...others.map((name) => `/ ${name}`)];
  const body = rows.map((row) => [
    row.name,
    unitText(row.unit),
    ...names.map((name) => cell(row.samples[name], row.unit)),
    ...others.map((name) => ratioText(row, name)),
  ]);
  return [...align([head, ...body]), ...summary(rows)];
}

/** What the numbers are of. */
export function heading(info: MachineInfo, peers: readonly Peer[], runs: number): string[] {
  const busy = info.load > info.processors / 2 ? ': the machine is busy with other work, which costs all peers' : '';
  return [
    `${info.processor}, ${info.processors} processors, ${info.memoryMiB} MiB, ${info.system}`,
    ...peers.map(({ name, version }) => `${name}: ${version}`),
    `medians of ${runs}; load average at the start ${info.load.toFixed(1)}${busy}`,
  ];
}

export const LEGEND =
  '~: repetitions differ by more than a quarter. x: how many times as fast Trapeze is (of seconds and MB: as little), more is better.';
