import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillFrom, SplitMix64, WordPool } from './random.ts';

const source = (seed: bigint) => {
  const random = new SplitMix64(seed);
  return () => random.next();
};

test('SplitMix64 gives the published sequence', () => {
  const random = new SplitMix64(1234567n);
  const next = () => random.next();
  assert.deepEqual([next(), next(), next()], [6457827717110365317n, 3203168211198807973n, 9817491932198370423n]);
});

test('bytes and words are the same stream', () => {
  const bytes = new Uint8Array(20);
  fillFrom(source(7n))(bytes);
  const pool = new WordPool(fillFrom(source(7n)));
  const next = () => pool.next();
  const words = BigUint64Array.of(next(), next(), next());
  assert.deepEqual(bytes, new Uint8Array(words.buffer, 0, 20));
});

test('words go on when the pool is used up', () => {
  const random = new SplitMix64(9n);
  const expected = () => random.next();
  const pool = new WordPool(fillFrom(source(9n)));
  const next = () => pool.next();
  for (let i = 0; i < 300; i++) assert.equal(next(), expected());
});
