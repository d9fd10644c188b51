import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDecoder, formatDifference } from './decoder-check.ts';
import { shortRunSeed } from './seed.ts';

const STRINGS = 60_000;

test('lengths and text of random byte strings agree with iced-x86', (t) => {
  const seed = shortRunSeed();
  t.diagnostic(`seed ${seed}`);
  const report = checkDecoder(STRINGS, seed);
  assert.deepEqual(report.differences.map(formatDifference), [], `seed ${seed}`);
  assert.ok(
    report.valid > STRINGS / 2,
    `only ${report.valid} of ${STRINGS} strings are instructions: is the generator broken?`,
  );
});
