import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disassemble } from '../../src/isa/x86/disassemble.ts';
import { checkDecoder, formatDifference } from './decoder-check.ts';
import { seedOfTheDay } from './seed.ts';

const STRINGS = 60_000;

test('lengths and text of random byte strings agree with iced-x86', (t) => {
  const seed = seedOfTheDay();
  t.diagnostic(`seed ${seed}`);
  const report = checkDecoder(STRINGS, seed);
  assert.deepEqual(report.differences.map(formatDifference), [], `seed ${seed}`);
  assert.ok(
    report.valid > STRINGS / 2,
    `only ${report.valid} of ${STRINGS} strings are instructions: is the generator broken?`,
  );
});

test('what is no instruction is (bad), one byte long', () => {
  const bad = { text: '(bad)', length: 1 };
  assert.deepEqual(disassemble(Uint8Array.of(0x0f, 0x04), 64, 0n), bad);
  assert.deepEqual(disassemble(Uint8Array.of(0x48), 64, 0n), bad);
  assert.deepEqual(disassemble(new Uint8Array(20).fill(0x66), 64, 0n), bad);
});
