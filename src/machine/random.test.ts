import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillFrom, splitMix64, wordsFrom } from './random.ts';

test('SplitMix64 gives the published sequence', () => {
  const next = splitMix64(1234567n);
  assert.deepEqual([next(), next(), next()], [6457827717110365317n, 3203168211198807973n, 9817491932198370423n]);
});

test('bytes and words are the same stream', () => {
  const bytes = new Uint8Array(20);
  fillFrom(splitMix64(7n))(bytes);
  const next = wordsFrom(fillFrom(splitMix64(7n)));
  const words = BigUint64Array.of(next(), next(), next());
  assert.deepEqual(bytes, new Uint8Array(words.buffer, 0, 20));
});

test('words go on when the pool is used up', () => {
  const expected = splitMix64(9n);
  const next = wordsFrom(fillFrom(splitMix64(9n)));
  for (let i = 0; i < 300; i++) assert.equal(next(), expected());
});
