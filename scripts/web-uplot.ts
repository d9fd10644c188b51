/** uPlot as pages have it: without scales of times and logarithms, cursors and marks of points, and without what is for programs that draw with its parts. */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'esbuild';

/** What its charts of lines over plain numbers do not call. */
const UNUSED = [
  ...[
    'fmtDate',
    'tzDate',
    'mkDate',
    'timeAxisStamps',
    'timeAxisVals',
    'timeAxisVal',
    'timeSeriesStamp',
    'timeSeriesVal',
  ],
  ...['rangeLog', 'rangeAsinh', 'logAxisSplits', 'asinhAxisSplits', 'log10AxisValsFilt', 'log2AxisValsFilt'],
  ...['snapLogY', 'snapAsinhY', 'stepped', 'bars', 'monotoneCubic', 'join'],
  ...[
    'cursorPointShow',
    'cursorPointFill',
    'cursorPointStroke',
    'cursorPointSize',
    'cursorMove',
    'filtBtn0',
    'filtTarg',
    'points',
  ],
];

/** The file with other functions in place of some of its own. */
function replaced(file: string, name: string, body: string): string {
  const start = file.indexOf(`\nfunction ${name}(`);
  const end = file.indexOf('\n}\n', start);
  if (start < 0 || end < 0) throw new Error(`uPlot has no function ${name} now: see scripts/web-uplot.ts`);
  return `${file.slice(0, start)}\nfunction ${name}() {${body}}${file.slice(end + 2)}`;
}

function withoutUnused(file: string): string {
  const empty = UNUSED.reduce((text, name) => replaced(text, name, ''), file);
  return replaced(empty, 'genTimeStuffs', 'return [[], [], () => {}]');
}

export const UPLOT: Plugin = {
  name: 'uplot',
  setup({ onLoad }) {
    onLoad({ filter: /uPlot\.esm\.js$/ }, ({ path }) => ({ contents: withoutUnused(readFileSync(path, 'utf8')) }));
  },
};
