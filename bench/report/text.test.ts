import assert from 'node:assert/strict';
import test from 'node:test';
import { sampleReport } from './sample-report.ts';
import { heading, summaryLines, table, textReport } from './text.ts';

test('the table shows medians in units for people, marks noise, and how many times as good Trapeze is', () => {
  const lines = table(sampleReport());
  assert.deepEqual(lines[0], ['', '', 'trapeze', 'qemu-tcg', 'native', '/ qemu-tcg', '/ native']);
  assert.deepEqual(lines[1], ['boot-embedded', 's', '~0.800', '1.60', '-', '2.00x', '-']);
  assert.deepEqual(lines[2], ['integer-sort', 'M instructions/s', '1000', '500', '4000', '2.00x', '0.250x']);
  assert.deepEqual(lines[3], ['busybox-sort', 's', '0.500', '0.250', '0.125', '0.500x', '0.250x']);
});

test('means are of workloads alone, and what is slower than QEMU is named', () => {
  assert.deepEqual(summaryLines(sampleReport()), [
    'geometric mean of 3 workloads: 1.00x of qemu-tcg',
    'geometric mean of 2 compute workloads: 1.41x of qemu-tcg',
    'geometric mean of 3 workloads: 0.250x of native: 4.00 times slower',
    'geometric mean of 2 compute workloads: 0.250x of native: 4.00 times slower',
    'slower than qemu-tcg: busybox-sort',
  ]);
});

test('the heading tells the machine, the peers and that others use the machine', () => {
  const text = heading(sampleReport()).join('\n');
  assert.match(text, /^Some processor, 2 processors, 1024 MiB/);
  assert.match(text, /^qemu-tcg: QEMU <7\.2>$/m);
  assert.match(text, /medians of 3, each workload 5 times; load average at the start 1\.5: the machine is busy/);
});

test('columns of the printed table are in line', () => {
  const lines = textReport(sampleReport());
  const ends = lines
    .filter((line) => /^(boot-embedded|integer-sort|busybox-sort) /.test(line))
    .map((line) => line.length);
  assert.equal(new Set(ends).size, 1);
});
