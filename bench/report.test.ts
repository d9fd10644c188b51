import assert from 'node:assert/strict';
import test from 'node:test';
import { ratio, table } from './report.ts';
import { Results } from './results.ts';

const SECONDS = { kind: 'seconds' } as const;
const RATE = { kind: 'rate', of: 'instructions' } as const;

test('a ratio above 1 means that the first peer is better, of times as of speeds', () => {
  const results = new Results();
  for (const value of [1, 2, 30]) results.add('trapeze', { name: 'boot', unit: SECONDS, value });
  results.add('qemu-tcg', { name: 'boot', unit: SECONDS, value: 4 });
  results.add('trapeze', { name: 'sort', unit: RATE, value: 3e8 });
  results.add('qemu-tcg', { name: 'sort', unit: RATE, value: 1e8 });
  const [boot, sort] = results.rows;
  assert.equal(ratio(boot, 'trapeze', 'qemu-tcg'), 2);
  assert.equal(ratio(sort, 'trapeze', 'qemu-tcg'), 3);
  assert.equal(ratio(boot, 'trapeze', 'native'), undefined);
});

test('peers that compute different things are told of once for each pair of results', () => {
  const results = new Results();
  results.add('native', { name: 'sort', unit: RATE, value: 1, checksum: 'aa' });
  results.add('qemu-tcg', { name: 'sort', unit: RATE, value: 1, checksum: 'aa' });
  assert.deepEqual(results.problems, []);
  results.add('trapeze', { name: 'sort', unit: RATE, value: 1, checksum: 'bb' });
  assert.deepEqual(results.problems, ['sort: trapeze computed bb, native aa']);
});

test('the table shows medians in units for people and marks noise', () => {
  const results = new Results();
  for (const value of [1e8, 2e8, 3e8]) results.add('trapeze', { name: 'sort', unit: RATE, value });
  results.add('native', { name: 'sort', unit: RATE, value: 4e9 });
  const peers = (['trapeze', 'native'] as const).map((name) => ({ name, version: '', command: () => undefined }));
  const [, row] = table(results.rows, peers);
  assert.match(row, /^sort {2}M instructions\/s +~200 +4000 +0\.050x$/);
});
