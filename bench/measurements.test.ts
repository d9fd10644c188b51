import assert from 'node:assert/strict';
import test from 'node:test';
import type { GuestFiles } from './guest-files.ts';
import { measurements, names } from './measurements.ts';
import type { Guest } from './peers/peer.ts';

const GUEST: Guest = { bits: 64, kernel: 'k', initrd: 'i', append: 'a', memoryMiB: 512, console: 'virtio' };
const FILES: GuestFiles = {
  embedded: GUEST,
  debian: [],
  program: { program: 'bench', guest: GUEST, workloads: ['integer-sort', 'busybox-sort', 'float-nbody'] },
  missing: [],
};
const LINES = 'BENCH integer-sort 2000 ns ab 500 instructions\nFAILED busybox-sort\n';

test('all workloads that were chosen are one run, and what it must print is known', () => {
  const [program, ...others] = measurements(FILES, { only: ['sort'], repeats: 3 });
  assert.deepEqual(others, []);
  assert.deepEqual(program.results, ['integer-sort', 'busybox-sort']);
  assert.deepEqual(program.job.kind === 'program' && program.job.repeats, 3);
});

test('what a run printed before it failed counts, but no time of a failed boot', () => {
  const [program] = measurements(FILES, { only: ['sort'], repeats: 1 });
  const run = { seconds: 1, output: LINES, failure: 'ended with 1' };
  const unit = { kind: 'rate', of: 'instructions' };
  assert.deepEqual(program.read(run), [
    { name: 'integer-sort', group: 'workload', unit, value: 2.5e8, checksum: 'ab' },
  ]);
  const [boot] = measurements(FILES, { only: ['boot'], repeats: 1 });
  assert.deepEqual(boot.read(run), []);
  assert.equal(boot.read({ seconds: 1, output: '' }).length, 1);
});

test('runs of a program are told as the time that one takes', () => {
  const [program] = measurements(FILES, { only: ['busybox'], repeats: 1 });
  const [sample] = program.read({ seconds: 9, output: 'BENCH busybox-sort 4000000000 ns ab 8 runs\n' });
  assert.deepEqual({ unit: sample.unit, value: sample.value }, { unit: { kind: 'seconds' }, value: 0.5 });
});

test('what took no time is told as a size', () => {
  const [part] = measurements(FILES, { only: ['page-boot'], repeats: 1 });
  const [sample] = part.read({ seconds: 9, output: 'BENCH page-download 0 ns 0 250000 bytes\n' });
  assert.deepEqual({ unit: sample.unit, value: sample.value }, { unit: { kind: 'megabytes' }, value: 0.25 });
});

test('the list has everything that --only can choose', () => {
  for (const name of names(FILES)) assert.equal(measurements(FILES, { only: [name], repeats: 1 }).length, 1, name);
});
