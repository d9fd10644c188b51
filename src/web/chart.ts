/** A line chart of the last minute, with its newest values as text. */
import { drawing, element } from './elements.ts';
import { axisTop, shortNumber } from './rates.ts';

/** Seconds across. */
const SHOWN = 60;
/** Of the drawing, which is stretched to the place there is. */
const HEIGHT = 100;
const SVG_LOOK = { viewBox: `0 0 ${SHOWN} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' };

interface Sample {
  /** Of the run. */
  readonly seconds: number;
  readonly values: readonly number[];
}

interface Series {
  readonly name: string;
  readonly line: SVGElement;
  readonly newest: HTMLElement;
}

export class Chart {
  readonly element: HTMLElement;
  readonly #series: readonly Series[];
  readonly #top = element('span');
  readonly #half = element('span');
  #samples: Sample[] = [];

  constructor(title: string, names: readonly string[]) {
    this.#series = names.map((name, i) => ({
      name,
      line: drawing('polyline', { class: `series-${i + 1}` }),
      newest: element('span', { class: `key series-${i + 1}` }, name),
    }));
    const legend = element('span', { class: 'legend' }, ...this.#series.map(({ newest }) => newest));
    const lines = drawing('svg', SVG_LOOK, drawing('path', { d: grid() }), ...this.#series.map(({ line }) => line));
    const label = `Chart of the last minute: ${title}`;
    this.element = element(
      'figure',
      {},
      element('figcaption', {}, element('strong', {}, title), legend),
      element(
        'div',
        { class: 'chart', role: 'img', 'aria-label': label },
        element('div', { class: 'scale' }, this.#top, this.#half, element('span', {}, '0')),
        lines,
        element('div', { class: 'times' }, element('span', {}, `${SHOWN} s ago`), element('span', {}, 'now')),
      ),
    );
  }

  add(sample: Sample): void {
    this.#samples = [...this.#samples, sample].filter(({ seconds }) => seconds > sample.seconds - SHOWN);
    const top = axisTop(Math.max(...this.#samples.flatMap(({ values }) => values)));
    this.#top.textContent = scaleNumber(top);
    this.#half.textContent = scaleNumber(top / 2);
    for (const [i, { name, line, newest }] of this.#series.entries()) {
      newest.textContent = `${name} ${shortNumber(sample.values[i]!)}`;
      const points = this.#samples.map(
        ({ seconds, values }) => `${SHOWN - (sample.seconds - seconds)},${HEIGHT * (1 - values[i]! / top)}`,
      );
      line.setAttribute('points', points.join(' '));
    }
  }

  clear(): void {
    this.#samples = [];
    this.#top.textContent = '';
    this.#half.textContent = '';
    for (const { name, line, newest } of this.#series) {
      line.removeAttribute('points');
      newest.textContent = name;
    }
  }
}

/** `20 M`: scales have no fractions that matter. */
const scaleNumber = (n: number): string => shortNumber(n).replace('.0 ', ' ');

/** Lines across at each label, and upwards every quarter of a minute. */
function grid(): string {
  const across = [0, HEIGHT / 2, HEIGHT].map((y) => `M0 ${y}H${SHOWN}`);
  const upwards = [0, 15, 30, 45, SHOWN].map((x) => `M${x} 0V${HEIGHT}`);
  return [...across, ...upwards].join('');
}
