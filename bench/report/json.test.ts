import assert from 'node:assert/strict';
import test from 'node:test';
import { jsonReport } from './json.ts';
import { sampleReport } from './sample-report.ts';

test('every sample is kept, with medians, spreads and means', () => {
  const { rows, versions, summary } = JSON.parse(jsonReport(sampleReport()));
  assert.deepEqual(rows[0].peers['qemu-tcg'], { median: 1.6, spread: 1, samples: [1.6, 1.6, 1.6] });
  assert.equal(versions.trapeze, 'Trapeze 1');
  assert.deepEqual(summary.slowerThanTcg, ['busybox-sort']);
  assert.equal(summary.means.length, 4);
});
