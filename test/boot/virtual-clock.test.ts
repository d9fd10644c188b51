/** Under the virtual clock a run is a function of its inputs: not of the host's load, its timers or the process it is in. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { TIERS } from '../../src/engine/wasm/tier.ts';
import { bootAgain, bootOnTier } from '../conformance/tier-boots.ts';
import { boot } from '../support/boot.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

const APPEND = 'trapeze.poweroff';
const BUSY_WORKERS = 3;
const HICCUP_MS = 7;

interface Run {
  readonly text: string;
  readonly instructions: number;
  readonly guestSeconds: number;
  readonly interrupts: Readonly<Record<string, number>>;
  readonly exceptions: Readonly<Record<string, number>>;
}

async function run(): Promise<Run> {
  const { result, text, statistics } = await boot({ memory: '64M', clock: 'virtual', append: APPEND });
  assert.deepEqual(result, { kind: 'poweredOff' });
  const { instructions, guestSeconds, interrupts, exceptions } = statistics;
  return { text, instructions, guestSeconds, interrupts, exceptions };
}

/** Runs `act` while other threads take the processors and this one's event loop is held up time and again. */
async function underLoad<T>(act: () => Promise<T>): Promise<T> {
  const workers = Array.from({ length: BUSY_WORKERS }, () => new Worker('for (;;);', { eval: true }));
  const hiccups = setInterval(() => {
    for (const until = performance.now() + HICCUP_MS; performance.now() < until; );
  }, HICCUP_MS * 3);
  try {
    return await act();
  } finally {
    clearInterval(hiccups);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

test('two runs, the second on a busy host', async () => {
  const first = await run();
  assert.match(first.text, /Trapeze: Linux/);
  assert(first.instructions > 1e7);
  assert.deepEqual(await underLoad(run), first);
});

test('every tier leaves the same machine behind, with regions of an earlier boot too', async () => {
  const [first, ...others] = await Promise.all([...TIERS.map((tier) => bootOnTier(tier)), bootAgain()]);
  assert.deepEqual(first.result, { kind: 'poweredOff' });
  assert.match(first.text, /Trapeze: Linux/);
  for (const other of others) assert.deepEqual(other, first);
});

test('the command in a process of its own does the same', async (t) => {
  const stats = scratch(t)('stats.json');
  const words = ['run', '--memory', '64M', '--clock', 'virtual', '--append', APPEND, '--stats', stats];
  const [{ code, stdout, stderr }, inHere] = await Promise.all([trapeze(words), run()]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(stdout, inHere.text);
  const { instructions, guestSeconds } = JSON.parse(readFileSync(stats, 'utf8'));
  assert.deepEqual([instructions, guestSeconds], [inHere.instructions, inHere.guestSeconds]);
});
