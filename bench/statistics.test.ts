import assert from 'node:assert/strict';
import test from 'node:test';
import { geometricMean, median, spread } from './statistics.ts';

test('the median of odd and even counts does not depend on order', () => {
  assert.equal(median([9, 1, 3]), 3);
  assert.equal(median([10, 1, 3, 4]), 3.5);
  assert.throws(() => median([]));
});

test('spread and geometric mean are ratios', () => {
  assert.equal(spread([2, 8, 4]), 4);
  assert.ok(Math.abs(geometricMean([0.5, 2, 8]) - 2) < 1e-12);
});
