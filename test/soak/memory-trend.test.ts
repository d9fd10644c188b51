import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, memoryTrend } from './memory-trend.ts';

test('the median of an even number of values lies between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([9, 1, 5]), 5);
});

test('memory that grows while caches fill, then stays, is flat', () => {
  assert.deepEqual(memoryTrend([10, 60, 99, 100, 101, 99, 100, 130, 100, 101, 100, 100]), {
    before: 100,
    after: 100,
    flat: true,
  });
});

test('memory that goes on growing is not', () => {
  const samples = Array.from({ length: 60 }, (_, minute) => 200 + minute);
  assert.equal(memoryTrend(samples)?.flat, false);
});

test('memory that shrinks by more than a tenth is not flat either', () => {
  assert.equal(memoryTrend([100, 100, 100, 100, 100, 80, 80, 80])?.flat, false);
});

test('too few samples say nothing', () => {
  assert.equal(memoryTrend([1, 2]), undefined);
});
