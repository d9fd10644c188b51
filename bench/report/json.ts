/** The results for programs: every sample, and what was computed from them. */
import { median, spread } from '../statistics.ts';
import type { Report } from './report.ts';
import { summarize } from './summary.ts';

export function jsonReport(report: Report): string {
  const versions = Object.fromEntries(report.peers.map(({ name, version }) => [name, version]));
  const rows = report.rows.map((row) => {
    const each = Object.entries(row.samples).map(([name, values]) => [
      name,
      { median: median(values), spread: spread(values), samples: values },
    ]);
    return { name: row.name, group: row.group, unit: row.unit, peers: Object.fromEntries(each) };
  });
  const { info, runs, repeats, problems } = report;
  return `${JSON.stringify({ info, versions, runs, repeats, rows, summary: summarize(report), problems }, null, 2)}\n`;
}
