/** Bar charts as inline SVG. Colours are classes, so that the page decides on them. */
import { element } from './markup.ts';

export interface Bar {
  /** Names the colour. */
  readonly series: string;
  readonly value: number;
  /** From the best to the worst repetition. */
  readonly range: readonly [low: number, high: number];
  readonly label: string;
}

export interface ChartGroup {
  readonly name: string;
  readonly bars: readonly Bar[];
}

export interface Chart {
  readonly title: string;
  readonly groups: readonly ChartGroup[];
  /** Logarithmic from 1 (bars of values below 1 go to the left), or linear from 0. */
  readonly scale: 'logarithmic' | 'linear';
  readonly tick: (value: number) => string;
}

const WIDTH = 900;
const NAMES = 170;
/** For the label behind the longest bar. */
const LABELS = 70;
const BAR = 13;
const GAP = 9;
const TOP = 22;
/** Steps between the lines of an axis, in powers of ten. */
const STEPS = [1, 2, 5];

/** Round numbers over the range: 1, 2, 5, 10, ... */
export function logarithmicTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const step of STEPS) {
      const value = step * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push(value);
    }
  return ticks;
}

/** Four to ten round numbers from 0. */
export function linearTicks(high: number): number[] {
  const power = 10 ** Math.floor(Math.log10(high / 4));
  const step = power * (STEPS.findLast((factor) => factor * power * 4 <= high) ?? 1);
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

interface Axis {
  readonly base: number;
  readonly ticks: readonly number[];
  /** Distance from the left. */
  x(value: number): number;
}

function axisOf({ groups, scale }: Chart): Axis {
  const values = groups.flatMap(({ bars }) => bars.flatMap(({ value, range }) => [value, ...range]));
  const place = (share: number): number => Math.round((NAMES + share * (WIDTH - NAMES - LABELS)) * 10) / 10;
  const high = Math.max(...values);
  if (scale === 'linear') return { base: 0, ticks: linearTicks(high), x: (value) => place(value / high) };
  const low = Math.min(1, ...values);
  const top = Math.max(high, 2);
  const span = Math.log(top / low);
  return { base: 1, ticks: logarithmicTicks(low, top), x: (value) => place(Math.log(value / low) / span) };
}

function barMarkup({ series, value, range, label }: Bar, axis: Axis, y: number, name: string): string {
  const [from, to] = [axis.base, value].map(axis.x).sort((a, b) => a - b);
  const middle = y + BAR / 2;
  const [low, high] = range.map(axis.x);
  return [
    element('rect', { class: `series ${series}`, x: from, y, width: Math.max(1, to - from), height: BAR - 2 }, [
      element('title', {}, [], `${name}, ${series}: ${label}`),
    ]),
    element('line', { class: 'range', x1: low, x2: high, y1: middle - 1, y2: middle - 1 }),
    element('text', { class: 'label', x: Math.max(to, high) + 4, y: middle + 3 }, [], label),
  ].join('');
}

function groupMarkup({ name, bars }: ChartGroup, axis: Axis, y: number): string {
  const middle = y + (bars.length * BAR) / 2 + 3;
  return [
    element('text', { class: 'name', x: NAMES - 8, y: middle }, [], name),
    ...bars.map((bar, i) => barMarkup(bar, axis, y + i * BAR, name)),
  ].join('');
}

function axisMarkup(axis: Axis, height: number, tick: Chart['tick']): string {
  return axis.ticks
    .map((value) => {
      const x = axis.x(value);
      const kind = value === axis.base ? 'base' : 'grid';
      return (
        element('line', { class: kind, x1: x, x2: x, y1: TOP - 6, y2: height }) +
        element('text', { class: 'tick', x, y: TOP - 10 }, [], tick(value))
      );
    })
    .join('');
}

export function chartMarkup(chart: Chart): string {
  const axis = axisOf(chart);
  let y = TOP + GAP / 2;
  const groups = chart.groups.map((group) => {
    const markup = groupMarkup(group, axis, y);
    y += group.bars.length * BAR + GAP;
    return markup;
  });
  const attributes = { viewBox: `0 0 ${WIDTH} ${y}`, role: 'img', 'aria-label': chart.title };
  return element('svg', attributes, [axisMarkup(axis, y, chart.tick), ...groups]);
}
