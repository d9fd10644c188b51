import assert from 'node:assert/strict';
import test from 'node:test';
import { parseBenchLines } from './bench-lines.ts';

test('results are found between what a guest prints, with the line ends of a terminal', () => {
  const output = [
    '[    0.1] Linux version',
    'BENCH integer-sort 1000 ns ab12 500 instructions',
    'BENCH broken ns',
    'BENCH system-pipe 20 ns 0 3 round-trips',
    '[    2.2] reboot: Power down',
  ].join('\r\n');
  assert.deepEqual(parseBenchLines(output), [
    { name: 'integer-sort', nanoseconds: 1000, checksum: 'ab12', count: 500, unit: 'instructions' },
    { name: 'system-pipe', nanoseconds: 20, checksum: '0', count: 3, unit: 'round-trips' },
  ]);
});
