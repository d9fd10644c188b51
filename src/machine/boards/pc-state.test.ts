/** The state of a whole board as a snapshot has it: complete, and harmless whatever is in it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Script } from '../../../test/support/scripted-engine.ts';
import { ScriptedEngine } from '../../../test/support/scripted-engine.ts';
import { tinyGuest } from '../../../test/support/tiny-guest.ts';
import type { EngineHost } from '../../engine/engine.ts';
import { nodeHost } from '../../host/node/time.ts';
import { restoreState } from '../../snapshot/state-reader.ts';
import { saveState } from '../../snapshot/state-writer.ts';
import { UserError } from '../../user-error.ts';
import type { Machine } from '../machine.ts';
import { createPcMachine } from './pc.ts';

const PORTS = [0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0xa0, 0xa1];
const MORE_PORTS = [0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x4d0, 0x600, 0x602, 0x608, 0x620, 0x622];
const WINDOWS = [0xc000_0000, 0xe000_8000, 0xfec0_0000, 0xfec0_0010, 0xfee0_0000, 0xfee0_0080, 0xfee0_0390];
const STEPS = 300;

/** Uses every device a little, so that their state is not that of power-on. */
const busy: Script = function* (host) {
  program(host);
  for (;;) yield 1000;
};

function program({ ports, mmio }: EngineHost): void {
  const out = (port: number, ...values: number[]): void => {
    for (const value of values) ports.write(port, 1, value);
  };
  out(0x20, 0x11);
  out(0x21, 0x20, 4, 1, 0);
  out(0x43, 0x34);
  out(0x40, 0xa9, 4);
  out(0x70, 0x0b);
  out(0x71, 0x72);
  out(0x64, 0x60);
  out(0x60, 0x47);
  out(0x60, 0xf2);
  out(0x3f9, 1);
  out(0x3f8, 0x68);
  ports.write(0x602, 2, 0x0101);
  mmio.write(0xfee0_0320, 4, 0x2_0040);
  mmio.write(0xfee0_0380, 4, 100_000);
  mmio.write(0xfec0_0000, 4, 0x12);
  mmio.write(0xfec0_0010, 4, 0x0000_8030);
}

/** Reads and writes everywhere, but for what ends the machine. */
const poke: Script = function* ({ ports, mmio, interrupts }) {
  for (let i = 0; i < STEPS; i++) {
    for (const port of [...PORTS, ...MORE_PORTS]) assert.ok(ports.read(port, 1) >= 0);
    for (const address of WINDOWS) assert.ok(mmio.read(address, 4) >= 0);
    if (interrupts.pending()) interrupts.acknowledge();
    yield 20_000;
  }
  yield { kind: 'shutdown' };
};

function pc(script: Script): Machine {
  return createPcMachine({
    engine: new ScriptedEngine(4 * 2 ** 20, script),
    host: nodeHost,
    clock: 'virtual',
    boot: { kernel: { name: 'kernel', bytes: tinyGuest([0xf4]) }, initrds: [], commandLine: '' },
    console: { write: () => {} },
  });
}

interface Saved {
  readonly parts: readonly { readonly name: string; readonly state: unknown }[];
  readonly time: Machine['time'];
  readonly cpu: ReturnType<Machine['vcpu']['state']>;
}

async function savedBusyMachine(): Promise<Saved> {
  const machine = pc(busy);
  const run = machine.run();
  machine.serialInput(new TextEncoder().encode('typed'));
  machine.consoleInput(new TextEncoder().encode('typed too'));
  const result = await machine.whileResting(async () => save(machine));
  machine.stop();
  await run;
  return result;
}

function save(machine: Machine): Saved {
  const parts = machine.sections().map(({ name, state }) => ({ name, state: saveState(state) }));
  return { parts: JSON.parse(JSON.stringify(parts)), time: machine.time, cpu: machine.vcpu.state() };
}

function restore(machine: Machine, { parts, time, cpu }: Saved): void {
  machine.vcpu.restore(cpu);
  for (const { name, state } of parts) {
    if (name !== 'machine') machine.restoreTime(time, false);
    restoreState(name, state, machine.sections().find((section) => section.name === name)!.state);
  }
  machine.restored();
}

test('a board that is restored has the state that was saved', async () => {
  const saved = await savedBusyMachine();
  const machine = pc(poke);
  restore(machine, saved);
  assert.deepEqual(save(machine).parts, saved.parts);
});

type Path = readonly (string | number)[];

function* leaves(value: unknown, path: Path = []): Generator<Path> {
  if (typeof value !== 'object' || value === null) yield path;
  else for (const [key, inner] of Object.entries(value)) yield* leaves(inner, [...path, key]);
}

function replaced(root: unknown, path: Path, value: unknown): unknown {
  const copy = structuredClone(root);
  let at = copy as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as typeof at;
  at[path.at(-1)!] = value;
  return copy;
}

const ANYTHING = fc.oneof(
  fc.nat(255),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt(-(2n ** 64n), 2n ** 64n).map(String),
  fc.bigInt(0n, 1_000_000n).map(String),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  fc.constantFrom('periodic', 'held', 'running', 'ICW4', 'silent', 'auxiliary'),
);

test('a field that is anything is refused in one line, or does no harm', async () => {
  const saved = await savedBusyMachine();
  const places = saved.parts.flatMap(({ state }, i) => [...leaves(state)].map((path) => [i, 'state', ...path]));
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...places), ANYTHING), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const parts = changes.reduce<unknown>((value, [path, leaf]) => replaced(value, path, leaf), saved.parts);
        const machine = pc(poke);
        try {
          restore(machine, { ...saved, parts: parts as Saved['parts'] });
        } catch (error) {
          assert.ok(error instanceof UserError, String(error));
          assert.match(error.message, /^the snapshot cannot be opened: [^\n]+$/);
          return;
        }
        accepted++;
        const { kind } = await machine.run();
        assert.ok(kind === 'shutdown' || kind === 'poweredOff', kind);
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(accepted > 0);
});
