import assert from 'node:assert/strict';
import test from 'node:test';
import { chartMarkup, linearTicks, logarithmicTicks } from './chart.ts';

test('axes have round numbers within their range', () => {
  assert.deepEqual(logarithmicTicks(0.5, 30), [0.5, 1, 2, 5, 10, 20]);
  assert.deepEqual(linearTicks(10.9), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(linearTicks(0.41), [0, 0.1, 0.2, 0.3, 0.4]);
});

test('a bar of a logarithmic chart starts at 1, whichever way it goes', () => {
  const bar = (value: number) => ({ series: 'v86', value, range: [value, value] as const, label: `${value}` });
  const markup = chartMarkup({
    title: 'test',
    groups: [{ name: 'work', bars: [bar(0.1), bar(10)] }],
    scale: 'logarithmic',
    tick: String,
  });
  const [left, right] = [...markup.matchAll(/<rect class="series v86" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g)];
  assert.equal(Number(left[1]) + Number(left[2]), Number(right[1]));
  assert.equal(left[2], right[2]);
});
