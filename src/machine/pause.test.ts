import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Script } from '../../test/support/scripted-engine.ts';
import { ScriptedEngine } from '../../test/support/scripted-engine.ts';
import { tinyGuest } from '../../test/support/tiny-guest.ts';
import type { EngineHost } from '../engine/engine.ts';
import { nodeHost } from '../host/node/time.ts';
import type { PcOptions } from './boards/pc.ts';
import { createPcMachine } from './boards/pc.ts';

const HALT = { kind: 'halted' } as const;
const CLOCKS = ['real', 'virtual'] as const;

function pc(script: Script, options: Partial<PcOptions> = {}) {
  return createPcMachine({
    engine: new ScriptedEngine(4 * 2 ** 20, script),
    host: nodeHost,
    clock: 'virtual',
    boot: { kernel: { name: 'kernel', bytes: tinyGuest([0xf4]) }, initrds: [], commandLine: '' },
    timeoutMs: 20_000,
    ...options,
  });
}

const softOff = ({ ports }: EngineHost): void => ports.write(0x604, 2, (1 << 13) | (5 << 10));

for (const clock of CLOCKS) {
  test(`a paused machine executes nothing and its time stands still (${clock} clock)`, async () => {
    let host: EngineHost | undefined;
    let steps = 0;
    const machine = pc(
      function* (given) {
        for (host = given; ; steps++) yield 100;
      },
      { clock },
    );
    assert.equal(machine.state, 'off');
    const result = machine.run();
    assert.equal(machine.state, 'running');
    await machine.pause();
    assert.equal(machine.state, 'paused');
    const before = [steps, host?.timestamp(), machine.statistics().instructions];
    await delay(30);
    assert.deepEqual([steps, host?.timestamp(), machine.statistics().instructions], before);
    const pausedAt = host!.timestamp();
    machine.resume();
    const first = await new Promise<bigint>((resolve) => {
      const look = (): void => void (host!.timestamp() > pausedAt ? resolve(host!.timestamp()) : setImmediate(look));
      look();
    });
    assert.ok(first - pausedAt < 25_000_000n, `${first - pausedAt} ns went by`);
    assert.equal(machine.state, 'running');
    machine.stop();
    assert.deepEqual(await result, { kind: 'stopped' });
    assert.equal(machine.state, 'ended');
  });

  test(`what is typed during a pause waits for its end (${clock} clock)`, async () => {
    const taken: number[] = [];
    const machine = pc(
      function* (host) {
        host.ports.write(0x3f9, 1, 1);
        while (taken.length < 2) {
          if (host.ports.read(0x3fd, 1) & 1) taken.push(host.ports.read(0x3f8, 1));
          yield 10;
        }
        softOff(host);
        for (;;) yield 1;
      },
      { clock },
    );
    const result = machine.run();
    await machine.pause();
    machine.serialInput(Uint8Array.of(0x68, 0x71));
    await delay(10);
    assert.deepEqual(taken, []);
    machine.resume();
    assert.deepEqual(await result, { kind: 'poweredOff' });
    assert.deepEqual(taken, [0x68, 0x71]);
  });

  test(`a machine asleep can be paused and goes on asleep (${clock} clock)`, async () => {
    const machine = pc(
      function* () {
        for (;;) yield HALT;
      },
      { clock },
    );
    const result = machine.run();
    await delay(5);
    await machine.pause();
    machine.resume();
    await machine.pause();
    machine.stop();
    assert.deepEqual(await result, { kind: 'stopped' });
  });
}

test('a pause before the run holds the first instruction back', async () => {
  let steps = 0;
  const machine = pc(function* () {
    for (; ; steps++) yield 100;
  });
  await machine.pause();
  const result = machine.run();
  await delay(10);
  assert.deepEqual([steps, machine.state], [0, 'paused']);
  machine.resume();
  await delay(5);
  await machine.pause();
  assert.ok(steps > 0);
  machine.stop();
  await result;
});

test('a pause that is overtaken by the end or by resume resolves', async () => {
  const machine = pc(function* () {
    for (;;) yield 100;
  });
  const result = machine.run();
  const pause = machine.pause();
  machine.resume();
  await pause;
  const last = machine.pause();
  machine.stop();
  await Promise.all([last, result]);
  await machine.pause();
  assert.equal(machine.state, 'ended');
});

test('a paused run is still ended by its time limit', async () => {
  const machine = pc(
    function* () {
      for (;;) yield 100;
    },
    { timeoutMs: 20 },
  );
  await machine.pause();
  assert.deepEqual(await machine.run(), { kind: 'timedOut' });
});

test('reset restarts the guest, also where its own resets end the run, and after a pause', async () => {
  let starts = 0;
  const machine = pc(
    function* () {
      for (starts++; ; ) yield 100;
    },
    { noReboot: true },
  );
  const result = machine.run();
  await delay(5);
  machine.reset();
  await delay(5);
  await machine.pause();
  assert.equal(starts, 2);
  machine.reset();
  await delay(5);
  const before = starts;
  assert.equal(machine.state, 'paused');
  machine.resume();
  await delay(5);
  await machine.pause();
  assert.equal(starts, before + 1);
  assert.equal(machine.statistics().restarts, 2);
  machine.stop();
  assert.deepEqual(await result, { kind: 'stopped' });
});

test('reset wakes a guest that sleeps for ever', async () => {
  let starts = 0;
  const machine = pc(
    function* (host) {
      if (++starts === 2) softOff(host);
      for (;;) yield HALT;
    },
    { clock: 'real' },
  );
  const result = machine.run();
  await delay(5);
  machine.reset();
  assert.deepEqual(await result, { kind: 'poweredOff' });
});

test('under a virtual clock a pause changes nothing that the guest can see', async () => {
  const trace = async (pauses: number): Promise<bigint[]> => {
    const times: bigint[] = [];
    let machine = pc(function* () {});
    machine = pc(function* (host) {
      host.ports.write(0x43, 1, 0x34);
      host.ports.write(0x40, 1, 0xff);
      host.ports.write(0x40, 1, 0x7f);
      while (times.length < 40) {
        yield 333;
        if (host.interrupts.pending()) {
          host.interrupts.acknowledge();
          times.push(host.timestamp());
          host.ports.write(0x20, 1, 0x20);
          // From inside a slice, as a listener to output would.
          if (times.length <= pauses) void machine.pause().then(() => machine.resume());
        }
      }
      softOff(host);
      for (;;) yield 1;
    });
    assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
    return times;
  };
  assert.deepEqual(await trace(20), await trace(0));
});
