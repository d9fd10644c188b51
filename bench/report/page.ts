/** The results as one HTML page that needs nothing else: charts and the figures as a table, in light and in dark. */
import type { PeerName } from '../peers/peer.ts';
import type { Row } from '../results.ts';
import { median } from '../statistics.ts';
import { type Bar, type Chart, type ChartGroup, chartMarkup } from './chart.ts';
import { better, figure, inUnit, unitText } from './figures.ts';
import { element } from './markup.ts';
import type { Report } from './report.ts';
import { heading, LEGEND, summaryLines, table } from './text.ts';

const STYLE = `
:root { color-scheme: light dark; --ground: #fcfcfb; --ink: #1d1d1b; --soft: #5e5d59; --line: #dddcd6;
  --trapeze: #2a6fdb; --page: #8a4fd3; --qemu-tcg: #d9730d; --v86: #0f8f7e; --native: #8a8984; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #191918; --ink: #f1f0ec; --soft: #a9a8a2; --line: #3a3a37;
    --trapeze: #5b9bf5; --page: #b98cf2; --qemu-tcg: #f0953f; --v86: #35bda9; --native: #94938d; } }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; }
p, li, figcaption { color: var(--soft); margin: 0; } figure { margin: 0; }
ul { padding-left: 1.2rem; } .summary li { color: var(--ink); } .problem { color: #d03b3b; font-weight: 600; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; } .label { font-size: 10px; }
.series.trapeze, .key.trapeze { fill: var(--trapeze); background: var(--trapeze); }
.series.page, .key.page { fill: var(--page); background: var(--page); }
.series.qemu-tcg, .key.qemu-tcg { fill: var(--qemu-tcg); background: var(--qemu-tcg); }
.series.v86, .key.v86 { fill: var(--v86); background: var(--v86); }
.series.native, .key.native { fill: var(--native); background: var(--native); }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 1em; border-radius: 2px; }
.grid { stroke: var(--line); } .base { stroke: var(--soft); } .range { stroke: var(--ink); stroke-width: 1; opacity: .55; }
.name { text-anchor: end; fill: var(--ink); } .label, .tick { fill: var(--soft); } .tick { text-anchor: middle; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td:nth-child(2) { text-align: left; }
`;

/** What the others' times are multiples of: the fastest that there is. */
const BASES: readonly PeerName[] = ['native', 'qemu-tcg', 'v86', 'trapeze', 'page'];

const BASE_NAMES: Record<PeerName, string> = {
  native: "the host's processor",
  'qemu-tcg': 'QEMU TCG',
  v86: 'v86',
  trapeze: 'Trapeze',
  page: 'Trapeze in a page',
};

type Named = Report['peers'];

function rangeOf(values: readonly number[], convert: (value: number) => number): [number, number] {
  const converted = values.map(convert);
  return [Math.min(...converted), Math.max(...converted)];
}

function barsOf({ samples, unit }: Row, peers: Named, base: PeerName | undefined): Bar[] {
  const based = base === undefined ? undefined : samples[base];
  return peers.flatMap(({ name }) => {
    const values = samples[name];
    if (values === undefined || name === base) return [];
    if (base === undefined) {
      const [value, range] = [median(values), rangeOf(values, (each) => each)];
      return [{ series: name, value, range, label: `${inUnit(value, unit)} ${unitText(unit)}` }];
    }
    if (based === undefined) return [];
    const multiple = (each: number): number => better(unit, median(based), each);
    const value = multiple(median(values));
    return [{ series: name, value, range: rangeOf(values, multiple), label: `${figure(value)}×` }];
  });
}

function groupsOf(rows: readonly Row[], peers: Named, base?: PeerName): ChartGroup[] {
  return rows.map((row) => ({ name: row.name, bars: barsOf(row, peers, base) })).filter(({ bars }) => bars.length > 0);
}

/** Work, as multiples of the time that the fastest peer takes. */
function workloadChart({ rows, peers }: Report): Chart | undefined {
  const base = BASES.find((name) => peers.some((peer) => peer.name === name))!;
  const workloads = rows.filter(({ group }) => group === 'workload');
  const groups = groupsOf(workloads, peers, base);
  const title = `Time of each workload, as a multiple of what ${BASE_NAMES[base]} takes`;
  return groups.length === 0 ? undefined : { title, groups, scale: 'logarithmic', tick: (value) => `${value}×` };
}

function bootChart({ rows, peers }: Report): Chart | undefined {
  const boots = rows.filter(({ group, unit }) => group === 'boot' && unit.kind === 'seconds');
  const groups = groupsOf(boots, peers);
  const title = 'Seconds from starting the process to the prompt, or to the first process of the guest';
  return groups.length === 0 ? undefined : { title, groups, scale: 'linear', tick: (value) => `${value} s` };
}

function figureMarkup(heading: string, chart: Chart | undefined, peers: Named): string {
  if (chart === undefined) return '';
  const shown = peers.filter(({ name }) => chart.groups.some(({ bars }) => bars.some(({ series }) => series === name)));
  const keys = shown.map(({ name }) => element('span', { class: `key ${name}` }) + element('span', {}, [], name));
  const caption = element('figcaption', {}, [element('div', {}, [], `${chart.title}; shorter is better.`), ...keys]);
  return element('h2', {}, [], heading) + element('figure', {}, [caption, chartMarkup(chart)]);
}

function tableMarkup(report: Report): string {
  const [head, ...body] = table(report);
  const line = (cells: readonly string[], kind: 'td' | 'th'): string =>
    element(
      'tr',
      {},
      cells.map((text) => element(kind, {}, [], text)),
    );
  const parts = [
    element('thead', {}, [line(head, 'th')]),
    element(
      'tbody',
      {},
      body.map((cells) => line(cells, 'td')),
    ),
  ];
  return element('div', { class: 'scroll' }, [element('table', {}, parts)]);
}

const listMarkup = (kind: string, lines: readonly string[]): string =>
  lines.length === 0
    ? ''
    : element(
        'ul',
        { class: kind },
        lines.map((line) => element('li', {}, [], line)),
      );

export function htmlReport(report: Report): string {
  const { peers } = report;
  const head = [
    '<meta charset="utf-8"/>',
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    element('title', {}, [], 'Trapeze: benchmark'),
    `<style>${STYLE}</style>`,
  ];
  const body = [
    element('h1', {}, [], 'Trapeze: benchmark'),
    ...heading(report).map((line) => element('p', {}, [], line)),
    listMarkup('summary', summaryLines(report)),
    listMarkup('problem', report.problems),
    figureMarkup('Workloads', workloadChart(report), peers),
    figureMarkup('Boots', bootChart(report), peers),
    element('h2', {}, [], 'All figures'),
    element('p', {}, [], `Medians. ${LEGEND}`),
    tableMarkup(report),
  ];
  const root = element('html', { lang: 'en' }, [element('head', {}, head), element('body', {}, body)]);
  return `<!DOCTYPE html>\n${root}\n`;
}
