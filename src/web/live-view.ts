/** The view of what the hypervisor does. */
import plotStyle from 'uplot/dist/uPlot.min.css';
import type { Statistics } from '../api/statistics.ts';
import { Chart, type Plot } from './chart.ts';
import { element } from './elements.ts';
import { type Rates, type RatesByName, ratesBetween, shortNumber, total } from './rates.ts';

/** Charts, and what each shows of the rates. */
const CHARTS: readonly {
  readonly title: string;
  readonly names: readonly string[];
  readonly values: (rates: Rates) => readonly number[];
}[] = [
  {
    title: 'Instructions a second',
    names: ['translated', 'interpreted'],
    values: (r) => [r.translator, r.interpreter],
  },
  {
    title: 'Exits and interrupts a second',
    names: ['exits', 'interrupts'],
    values: (r) => [total(r.exits), total(r.interrupts)],
  },
  { title: 'TLB misses a second', names: ['misses'], values: (r) => [r.tlbMisses] },
  {
    title: 'Translated regions',
    names: ['there are', 'made a second'],
    values: (r) => [r.regions, r.translations],
  },
];

const TABLES: readonly { readonly caption: string; readonly rates: (rates: Rates) => RatesByName }[] = [
  { caption: 'Exits by cause', rates: (r) => r.exits },
  { caption: 'Interrupts by vector', rates: (r) => r.interrupts },
  { caption: 'Exceptions', rates: (r) => r.exceptions },
  { caption: 'Device accesses', rates: (r) => r.devices },
];

export class LiveView {
  readonly #charts: readonly { readonly chart: Chart; readonly values: (rates: Rates) => readonly number[] }[];
  readonly #tables: readonly {
    readonly table: HTMLElement;
    readonly body: HTMLElement;
    readonly rates: (rates: Rates) => RatesByName;
  }[];
  readonly #fetched = emptyTable('Fetched from servers since the start', ['disk', 'requests', 'bytes', 'failed']);
  #earlier: Statistics | undefined;

  constructor(plot: Plot, place: HTMLElement) {
    this.#charts = CHARTS.map(({ title, names, values }) => ({ chart: new Chart(plot, title, names), values }));
    const tables = TABLES.map(({ caption, rates }) => ({ ...emptyTable(caption, ['kind', 'a second']), rates }));
    this.#tables = tables;
    place.replaceChildren(
      element('style', {}, plotStyle),
      ...this.#charts.map(({ chart }) => chart.element),
      ...tables.map((t) => t.table),
      this.#fetched.table,
    );
  }

  add(statistics: Statistics): void {
    this.#showFetched(statistics);
    const earlier = this.#earlier;
    this.#earlier = statistics;
    const rates = earlier && ratesBetween(earlier, statistics);
    if (rates === undefined) return;
    for (const { chart, values } of this.#charts) chart.add(statistics.wallSeconds, values(rates));
    for (const { table, body, rates: of } of this.#tables) {
      fill(body, of(rates));
      table.hidden = body.childElementCount === 0;
    }
  }

  /** Another run begins. */
  clear(): void {
    this.#earlier = undefined;
    for (const { chart } of this.#charts) chart.clear();
    for (const { table } of [...this.#tables, this.#fetched]) table.hidden = true;
  }

  recolour(): void {
    for (const { chart } of this.#charts) chart.recolour();
  }

  #showFetched({ disks }: Statistics): void {
    const rows = disks.flatMap((figures, i) =>
      figures === null
        ? []
        : [tableRow([`disk ${i + 1}`, figures.requests, `${shortNumber(figures.bytes)}B`, figures.failures])],
    );
    this.#fetched.body.replaceChildren(...rows);
    this.#fetched.table.hidden = rows.length === 0;
  }
}

function emptyTable(
  caption: string,
  columns: readonly string[],
): { readonly table: HTMLElement; readonly body: HTMLElement } {
  const body = element('tbody');
  const head = element('tr', {}, ...columns.map((text) => element('th', { scope: 'col' }, text)));
  const table = element('table', { hidden: '' }, element('caption', {}, caption), element('thead', {}, head), body);
  return { body, table };
}

const tableRow = (cells: readonly (string | number)[]): HTMLElement =>
  element('tr', {}, ...cells.map((cell) => element('td', {}, `${cell}`)));

function fill(body: HTMLElement, rates: RatesByName): void {
  const rows = Object.entries(rates).map(([name, rate]) => tableRow([spaced(name), shortNumber(rate)]));
  body.replaceChildren(...rows);
}

/** `computedJump`: computed jump. */
const spaced = (name: string): string => name.replaceAll(/(?<=[a-z])[A-Z]/g, (c) => ` ${c.toLowerCase()}`);
