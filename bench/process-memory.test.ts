import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import process from 'node:process';
import test from 'node:test';
import { memoryBeyondRam } from './process-memory.ts';

const MIB = 2 ** 20;
const RAM = 64 * MIB;
/** Like an engine: tables before the RAM in one memory. Touches as much of both as it is told. */
const CHILD = `
const [tables, ram] = process.argv.slice(1).map(Number);
const bytes = new Uint8Array(new WebAssembly.Memory({ initial: 96 * 16, maximum: 96 * 16 }).buffer);
bytes.fill(1, 0, tables);
bytes.fill(1, 32 * 1048576, 32 * 1048576 + ram);
console.log('ready');
setInterval(() => bytes, 1000);
`;

const skip = existsSync('/proc/self/pagemap') ? false : 'needs /proc/PID/pagemap, which only Linux has';
if (skip !== false) process.stderr.write(`SKIPPED: ${skip}\n`);

/** MiB beyond RAM of a process that touched so much of its tables and of its RAM. */
async function measure(tablesMiB: number, ramMiB: number): Promise<number> {
  const child = spawn(process.execPath, ['-e', CHILD, `${tablesMiB * MIB}`, `${ramMiB * MIB}`]);
  try {
    await once(child.stdout, 'data');
    return memoryBeyondRam(child.pid!, RAM)! / MIB;
  } finally {
    child.kill('SIGKILL');
  }
}

test('touched guest RAM does not count, what lies before it does', { skip }, async () => {
  const base = await measure(0, 0);
  assert.ok(base > 10 && base < 200, `${base} MiB`);
  assert.ok(Math.abs((await measure(0, 48)) - base) < 8);
  assert.ok(Math.abs((await measure(24, 48)) - base - 24) < 8);
});

test('a process without guest RAM has no such figure', { skip }, () => {
  assert.equal(memoryBeyondRam(process.pid, 2 ** 45), undefined);
});
