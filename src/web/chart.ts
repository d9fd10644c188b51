/** A line chart of the last minute, with its newest values as text. */
import type uPlot from 'uplot';
import { element } from './elements.ts';
import { shortNumber } from './rates.ts';

/** What draws; loaded when the first chart is shown. */
export type Plot = typeof uPlot;

/** Samples shown. */
const KEPT = 120;
const HEIGHT = 96;
const SERIES_COLOURS = ['--series-1', '--series-2'];

export class Chart {
  readonly element: HTMLElement;
  readonly #plot: uPlot;
  readonly #legend = element('span');
  readonly #names: readonly string[];
  readonly #data: number[][];

  constructor(plot: Plot, title: string, names: readonly string[]) {
    this.#names = names;
    this.#data = [[], ...names.map(() => [])];
    const place = element('div', { role: 'img', 'aria-label': `Chart of the last minute: ${title}` });
    this.element = element('figure', {}, element('figcaption', {}, element('strong', {}, title), this.#legend), place);
    this.#plot = new plot(options(names), this.#data as uPlot.AlignedData, place);
    new ResizeObserver(() => this.#fit(place)).observe(place);
  }

  /** `seconds`: of the run. */
  add(seconds: number, values: readonly number[]): void {
    for (const [i, value] of [seconds, ...values].entries()) {
      const series = this.#data[i]!;
      series.push(value);
      if (series.length > KEPT) series.shift();
    }
    this.#plot.setData(this.#data as uPlot.AlignedData);
    this.#legend.textContent = this.#names.map((name, i) => `${name} ${shortNumber(values[i]!)}`.trim()).join(' · ');
  }

  clear(): void {
    for (const series of this.#data) series.length = 0;
    this.#plot.setData(this.#data as uPlot.AlignedData);
    this.#legend.textContent = '';
  }

  /** The page's colours have changed. */
  recolour(): void {
    this.#plot.redraw(false, true);
  }

  #fit(place: HTMLElement): void {
    if (place.clientWidth > 0) this.#plot.setSize({ width: place.clientWidth, height: HEIGHT });
  }
}

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(names: readonly string[]): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => colour('--quiet'),
    grid: { stroke: () => colour('--border'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  };
  return {
    width: 300,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      { ...axis, size: 20, values: (_plot, splits) => splits.map((s) => `${s} s`) },
      { ...axis, size: 52, values: (_plot, splits) => splits.map((n) => (Number.isInteger(n) ? shortNumber(n) : '')) },
    ],
    series: [
      {},
      ...names.map((label, i) => ({
        label,
        stroke: () => colour(SERIES_COLOURS[i]!),
        width: 2,
        points: { show: false },
        ...(i === 0 ? {} : { dash: [6, 3] }),
      })),
    ],
  };
}
