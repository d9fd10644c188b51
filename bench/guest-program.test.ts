import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { type BenchLine, parseBenchLines } from './bench-lines.ts';
import { guestProgram } from './guest-program.ts';

/** Short ones without a kernel's part, and those that the two builds compute by quite different instructions. */
const WORKLOADS = ['integer-arithmetic', 'integer-sha256', 'integer-mix', 'float-nbody', 'simd-integer', 'simd-float'];

const unavailable = spawnSync('gcc', ['--version']).error === undefined ? false : 'there is no gcc here';
if (unavailable !== false) process.stderr.write(`SKIPPED: the guest benchmark: ${unavailable}\n`);

const run = (program: string, words: readonly string[]): BenchLine[] =>
  parseBenchLines(execFileSync(program, words, { encoding: 'utf8' }));

const MASK = (1n << 64n) - 1n;
const mix = (checksum: bigint, value: bigint): bigint => ((checksum ^ value) * 0x1_0000_0001_b3n) & MASK;

/** What `integer_sha256` in `bench/guest/sha256.c` computes, by Node's SHA-256. */
function sha256Checksum(): bigint {
  let [state, checksum] = [5n, 0n];
  const data = Buffer.alloc(1 << 16);
  for (let i = 0; i < data.length; i++) {
    state ^= (state << 13n) & MASK;
    state ^= state >> 7n;
    state ^= (state << 17n) & MASK;
    data[i] = Number(state & 0xffn);
  }
  for (let round = 0; round < 32; round++) {
    data[round] ^= Number(checksum & 0xffn);
    checksum = mix(checksum, createHash('sha256').update(data).digest().readBigUInt64BE());
  }
  return checksum;
}

test('the builds for 64-bit and 32-bit processors compute the same, and SHA-256 right', {
  skip: unavailable,
}, async () => {
  const [wide, narrow] = [await guestProgram('x86_64'), await guestProgram('i386')];
  const lines = run(wide.program, ['1', ...WORKLOADS]);
  assert.deepEqual(
    lines.map(({ name }) => name),
    WORKLOADS,
  );
  const checksums = (found: readonly BenchLine[]) => found.map(({ name, checksum }) => `${name} ${checksum}`);
  assert.deepEqual(checksums(run(narrow.program, ['1', ...WORKLOADS])), checksums(lines));
  assert.equal(lines[1].checksum, mix(0n, sha256Checksum()).toString(16));
});

test('work that cannot be done is told of instead of timed', { skip: unavailable }, async () => {
  const { program } = await guestProgram('x86_64');
  // Where this file is, there is no BusyBox.
  const argv0 = `${import.meta.dirname}/bench`;
  const { stdout } = spawnSync(program, ['1', 'busybox-sort'], { encoding: 'utf8', argv0 });
  assert.equal(stdout, 'FAILED busybox-sort\n');
});
