/** Under the virtual clock a restored run is the run that was never saved: instructions, registers, RAM, devices, text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Tier } from '../../src/engine/wasm/tier.ts';
import { Machine } from '../../src/host/node/index.ts';
import { contents, restored, saved, transcript } from '../support/snapshots.ts';

const OPTIONS = { memory: '64M', clock: 'virtual' } as const;
/** The shell's prompt; the guest then waits for ever. */
const END = 'trapeze:~# ';
const POINTS = 4;

interface Outcome {
  readonly text: string;
  readonly instructions: number;
  readonly state: readonly string[];
}

/** Behind the snapshot the machine executes nothing more. */
function savedAndHeld(machine: Machine): Promise<Uint8Array> {
  void machine.pause();
  return saved(machine);
}

/** Lets a machine run to the prompt and takes a snapshot at the boundary behind it. */
async function finish(machine: Machine, before: string): Promise<Outcome> {
  const text = transcript(machine);
  const atEnd = new Promise<Uint8Array>((resolve, reject) => {
    machine.onOutput(() => {
      if ((before + text()).endsWith(END)) savedAndHeld(machine).then(resolve, reject);
    });
  });
  const run = machine.run();
  const snapshot = await Promise.race([atEnd, run.then(() => assert.fail('the run ended early'))]);
  const { instructions } = machine.statistics();
  machine.stop();
  await run;
  return { text: before + text(), instructions, state: await contents(snapshot) };
}

/** Runs a machine for some turns of the event loop, saves it and pulls the plug. */
async function saveAfter(machine: Machine, turns: number): Promise<{ snapshot: Uint8Array; text: string } | undefined> {
  const text = transcript(machine);
  const run = machine.run();
  for (let i = 0; i < turns; i++) await turn();
  const snapshot = await savedAndHeld(machine);
  const shown = text();
  machine.stop();
  await run;
  return shown.includes(END) ? undefined : { snapshot, text: shown };
}

test('a boot that is saved at random points and goes on elsewhere is the boot that was not', async () => {
  const whole = await finish(await Machine.create(OPTIONS), '');
  assert.match(whole.text, /Trapeze: Linux/);
  const tiers: readonly Tier[] = ['both', 'both', 'interpreter'];
  for (let i = 0; i < POINTS; i++) {
    let turns = 1 + Math.floor(Math.random() * 60 * (i + 1));
    const save = async (): ReturnType<typeof saveAfter> =>
      saveAfter(await Machine.create({ ...OPTIONS, tier: tiers[i % 3]! }), turns);
    let before = await save();
    // How far the guest comes in one depends on the host.
    for (; before === undefined; before = await save()) turns = Math.floor(turns / 2);
    const second = await restored(before.snapshot, { tier: tiers[(i + 1) % 3]! });
    const outcome = await finish(second, before.text);
    assert.equal(outcome.text, whole.text);
    assert.deepEqual(outcome, whole, `saved after ${turns} turns`);
  }
});

test('saving does not change the run that goes on', async () => {
  const whole = await finish(await Machine.create(OPTIONS), '');
  const machine = await Machine.create(OPTIONS);
  const saves: Promise<Uint8Array>[] = [];
  machine.onOutput(() => {
    if (saves.length < 3) saves.push(saved(machine));
  });
  assert.deepEqual(await finish(machine, ''), whole);
  assert.equal((await Promise.all(saves)).length, 3);
});
