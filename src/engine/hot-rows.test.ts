import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENCODINGS } from '../isa/x86/instruction-set.ts';
import { hotPairs, PAIR_COUNT } from './hot-pairs.ts';
import { HOT_NAMES, hotName, hotParameters } from './hot-rows.ts';

const rowsOf = (long: boolean) =>
  ENCODINGS.flatMap((encoding) => hotParameters(encoding, long).map((parameters) => ({ encoding, parameters })));

test('every name of the table is that of a row, which some mode has in its main loop', () => {
  const known = new Set([true, false].flatMap(rowsOf).map(({ encoding }) => hotName(encoding)));
  assert.deepEqual(
    HOT_NAMES.filter((name) => !known.has(name)),
    [],
  );
});

test('both instructions of every pair are in the main loop of 64-bit code', () => {
  assert.equal(hotPairs(rowsOf(true), true).length, PAIR_COUNT);
});
