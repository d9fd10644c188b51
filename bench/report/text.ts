/** The results on a terminal. */
import type { PeerName } from '../peers/peer.ts';
import { cell, figure, ratioText, unitText } from './figures.ts';
import type { Report } from './report.ts';
import { type Mean, summarize } from './summary.ts';

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

/** Peers that Trapeze is compared with; none if it was not measured. */
export function othersOf({ peers }: Pick<Report, 'peers'>): PeerName[] {
  const names = peers.map(({ name }) => name);
  return names.includes('trapeze') ? names.filter((name) => name !== 'trapeze') : [];
}

/** Medians, and how many times as good Trapeze is as each other peer. */
export function table(report: Pick<Report, 'peers' | 'rows'>): string[][] {
  const names = report.peers.map(({ name }) => name);
  const others = othersOf(report);
  return [
    ['', '', ...names, ...others.map((name) => `/ ${name}`)],
    ...report.rows.map((row) => [
      row.name,
      unitText(row.unit),
      ...names.map((name) => cell(row, name)),
      ...others.map((name) => ratioText(row, name)),
    ]),
  ];
}

export function meanText({ of, peer, count, value }: Mean): string {
  const beside = peer === 'native' ? `: ${figure(1 / value)} times slower` : '';
  return `geometric mean of ${count} ${of}: ${figure(value)}x of ${peer}${beside}`;
}

export function summaryLines(report: Report): string[] {
  const { means, slowerThanTcg } = summarize(report);
  const slower = slowerThanTcg.length === 0 ? [] : [`slower than qemu-tcg: ${slowerThanTcg.join(', ')}`];
  return [...means.map(meanText), ...slower];
}

/** What the numbers are of. */
export function heading({ info, peers, runs, repeats }: Report): string[] {
  const busy = info.load > info.processors / 2 ? ': the machine is busy with other work, which costs all peers' : '';
  return [
    `${info.processor}, ${info.processors} processors, ${info.memoryMiB} MiB, ${info.system}, ${info.date}`,
    ...peers.map(({ name, version }) => `${name}: ${version}`),
    `medians of ${runs}, each workload ${repeats} times; load average at the start ${info.load.toFixed(1)}${busy}`,
  ];
}

export const LEGEND =
  '~: repetitions differ by more than a quarter. x: how many times as fast Trapeze is (of seconds and MB: as little), more is better.';

export function textReport(report: Report): string[] {
  return [...heading(report), '', ...align(table(report)), ...summaryLines(report), LEGEND];
}
