import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runStreamCheck } from './random-streams.ts';
import { shortRunSeed } from './seed.ts';

const STREAMS = 2100;

test('random bytes as code, in every mode and at both privilege levels, neither throw nor hang', (t) => {
  const seed = shortRunSeed();
  const { failures, instructions, ends } = runStreamCheck(STREAMS, seed);
  t.diagnostic(`seed ${seed}, ${instructions} instructions, ends ${JSON.stringify(ends)}`);
  assert.deepEqual(failures, [], `seed ${seed}`);
  assert.ok(instructions > STREAMS);
});
