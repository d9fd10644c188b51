/** A line chart of the last minute, with its newest values as text. */
import type uPlot from 'uplot';
import { element } from './elements.ts';
import { axisTop, shortNumber } from './rates.ts';

/** What draws; loaded when the first chart is shown. */
export type Plot = typeof uPlot;

/** Seconds across. */
const SHOWN = 60;
const TICKS = [0, 15, 30, 45, SHOWN];
const HEIGHT = 96;

interface Series {
  readonly name: string;
  readonly newest: HTMLElement;
}

export class Chart {
  readonly element: HTMLElement;
  readonly #plot: uPlot;
  readonly #series: readonly Series[];
  /** Seconds of the run, then values of each series. */
  readonly #data: number[][];

  constructor(plot: Plot, title: string, names: readonly string[]) {
    this.#series = names.map((name, i) => ({
      name,
      newest: element('span', { class: `key series-${i + 1}` }, name),
    }));
    this.#data = [[], ...names.map(() => [])];
    const legend = element('span', { class: 'legend' }, ...this.#series.map(({ newest }) => newest));
    const place = element('div', { role: 'img', 'aria-label': `Chart of the last minute: ${title}` });
    this.element = element('figure', {}, element('figcaption', {}, element('strong', {}, title), legend), place);
    this.#plot = new plot(options(names), this.#data as uPlot.AlignedData, place);
    new ResizeObserver(() => this.#fit(place)).observe(place);
  }

  /** `seconds`: of the run. */
  add(seconds: number, values: readonly number[]): void {
    for (const [i, value] of [seconds, ...values].entries()) this.#data[i]!.push(value);
    const old = this.#data[0]!.findIndex((at) => at > seconds - SHOWN);
    for (const series of this.#data) series.splice(0, old);
    this.#plot.setData(this.#data as uPlot.AlignedData);
    for (const [i, { name, newest }] of this.#series.entries())
      newest.textContent = `${name} ${shortNumber(values[i]!)}`;
  }

  clear(): void {
    for (const series of this.#data) series.length = 0;
    this.#plot.setData(this.#data as uPlot.AlignedData);
    for (const { name, newest } of this.#series) newest.textContent = name;
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

/** The minute that ends with the newest sample. */
function minute({ data }: uPlot): [number, number] {
  const newest = data[0].at(-1) ?? SHOWN;
  return [newest - SHOWN, newest];
}

function options(names: readonly string[]): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => colour('--quiet'),
    grid: { stroke: () => colour('--border'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  };
  const times: uPlot.Axis = {
    ...axis,
    size: 20,
    splits: (_plot, _axis, oldest) => TICKS.map((tick) => oldest + tick),
    values: () => TICKS.map((tick) => (tick === SHOWN ? 'now' : `−${SHOWN - tick} s`)),
  };
  const scale: uPlot.Axis = {
    ...axis,
    size: 52,
    splits: (_plot, _axis, _least, top) => [0, top / 2, top],
    // Scales have no fractions that matter: `20 M`.
    values: (_plot, splits) => splits.map((n) => shortNumber(n).replace('.0 ', ' ')),
  };
  return {
    width: 300,
    height: HEIGHT,
    // Room for half of the last label.
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: minute }, y: { range: (_plot, _least, most) => [0, axisTop(most ?? 0)] } },
    axes: [times, scale],
    series: [{}, ...names.map((label, i) => look(label, i))],
  };
}

const look = (label: string, i: number): uPlot.Series => ({
  label,
  stroke: () => colour(`--series-${i + 1}`),
  width: 2,
  points: { show: false },
  ...(i === 0 ? {} : { dash: [6, 3] }),
});
