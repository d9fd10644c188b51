/**
 * How soon a guest out of a large snapshot answers, from starting the process: with its memory coming on demand and read whole, from a file
 * and from a server on this machine. And how large the snapshot is.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { saveToFile } from '../../src/host/node/index.ts';
import { StaticFiles } from '../../src/host/node/static-server.ts';
import { noisyMachine } from '../../test/support/noisy-guest.ts';
import { shown, start } from '../../test/support/trapeze.ts';

const MEMORY = 512 * 2 ** 20;
const NOISE_MB = 224;
const NS_PER_MS = 1e6;

const folder = mkdtempSync(path.join(tmpdir(), 'trapeze-restore-'));
const file = path.join(folder, 'noise.snap');
const files = new StaticFiles(folder);
const server = createServer((request, response) => void files.answer(request, response));
try {
  await save();
  console.log(`BENCH restore-size 0 ns 0 ${statSync(file).size} bytes`);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/noise.snap`;
  for (const load of ['demand', 'whole']) {
    await measure(`restore-file-${load}`, file, load);
    await measure(`restore-server-${load}`, address, load);
  }
} finally {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}

async function save(): Promise<void> {
  const { machine, ended } = await noisyMachine(MEMORY, NOISE_MB);
  await saveToFile(machine, file);
  machine.stop();
  await ended;
}

async function measure(name: string, snapshot: string, load: string): Promise<void> {
  const begin = performance.now();
  const { child, outcome } = start(['run', '--snapshot', snapshot, '--load', load]);
  child.stdin!.write('echo $((6*7))\n');
  await shown(child.stdout!, '\n42\r\n');
  console.log(`BENCH ${name} ${Math.round((performance.now() - begin) * NS_PER_MS)} ns 0 1 runs`);
  child.kill('SIGTERM');
  await outcome;
}
