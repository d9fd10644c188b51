import assert from 'node:assert/strict';
import test from 'node:test';
import { Results } from './results.ts';

test('peers that compute different things are told of', () => {
  const results = new Results();
  const sample = { name: 'sort', group: 'workload', unit: { kind: 'seconds' }, value: 1 } as const;
  results.add('native', { ...sample, checksum: 'aa' });
  results.add('qemu-tcg', { ...sample, checksum: 'aa' });
  assert.deepEqual(results.problems, []);
  results.add('v86', { ...sample, checksum: 'bb' });
  assert.deepEqual(results.problems, ['sort: v86 computed bb, native aa']);
});
