import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine, EngineHost, Vcpu } from '../engine/engine.ts';
import { EngineMemory } from '../engine/memory.ts';
import { estimate, type InstructionCount, type RunCounts } from './estimates.ts';
import { PageTableWatch } from './page-table-watch.ts';

const kind = (name: string, count: number, more: Partial<InstructionCount> = {}): InstructionCount => ({
  name,
  case: '',
  class: '',
  sensitive: true,
  privileged: true,
  level: 'supervisor',
  count,
  exits: { withEpt: false, withoutEpt: false },
  ...more,
});

test('each technique counts what enters its monitor', () => {
  const run: RunCounts = {
    instructions: 1_000_000,
    kinds: [
      kind('CLI', 100),
      kind('POPF', 7, { privileged: false }),
      kind('HLT', 3, { exits: { withEpt: true, withoutEpt: true } }),
      kind('MOV', 20, { case: 'Cr,Rr · CR3', exits: { withEpt: false, withoutEpt: true } }),
      kind('SYSCALL', 50, { privileged: false, level: 'user' }),
    ],
    pageTableWrites: 1000,
    pageFaults: 5,
    exceptions: 6,
    interrupts: 4,
    deviceAccesses: 0,
  };
  const entries = Object.fromEntries(
    estimate(run).map((e) => [
      e.technique.split(/[ (]/)[0] + (e.technique.includes('with EPT') ? ' EPT' : ''),
      e.entries,
    ]),
  );
  assert.deepEqual(entries, {
    'trap-and-emulate': 123 + 50 + 6 + 4 + 1000,
    binary: 50 + 6 + 4 + 20 + 1000,
    paravirtualization: 50 + 6 + 4 + 20 + 1000 + 3,
    'VT-x': 23 + 4 + 5 + 1000,
    'VT-x EPT': 3 + 4,
  });
  assert.match(estimate(run)[0].caveat, /7 sensitive instructions of the kernel and 0 of programs/);
});

test('changes of page tables count, those of accessed and dirty bits do not', () => {
  const memory = new EngineMemory(2 ** 20);
  const [root, middle, directory, table] = [0x1000, 0x2000, 0x3000, 0x4000];
  const put = (at: number, value: number): void => {
    new DataView(memory.writable(at, 8)!.buffer, memory.writable(at, 8)!.byteOffset).setUint32(0, value, true);
  };
  put(root, middle | 3);
  put(middle, directory | 3);
  put(directory, table | 3);
  put(table, 0x5003);
  let step = 0;
  const steps = [() => put(table, 0x5063), () => put(table + 8, 0x6003), () => put(table, 0)];
  const registers: Readonly<Record<string, bigint>> = { CR0: 1n << 31n, IA32_EFER: 1n << 10n, CR3: BigInt(root) };
  const vcpu: Vcpu = {
    run: () => {
      steps[step++]?.();
      return { kind: 'halted' };
    },
    kick() {},
    retired: () => 0,
    register: (name) => registers[name],
    setRegister() {},
    reset() {},
    state: () => ({ registers: new Map(), halted: true, retired: 0 }),
    restore() {},
    statistics: () => ({ vectors: new Map(), decodedInstructions: 0 }),
  };
  const engine: Engine = { name: 'wasm', memory, createVcpu: () => vcpu };
  const watch = new PageTableWatch();
  const watched = watch.wrap(engine).createVcpu({} as EngineHost);
  const seen = [1, 2, 3].map(() => {
    watched.run(1);
    return watch.changes;
  });
  // Four entries when the tables are first seen; then one appears, and one goes.
  assert.deepEqual(seen, [4, 5, 6]);

  // What a snapshot has is no change.
  const later = new PageTableWatch();
  const restored = later.wrap(engine).createVcpu({} as EngineHost);
  restored.restore(vcpu.state());
  step = 1;
  put(table + 8, 0);
  restored.run(1);
  assert.equal(later.changes, 1);
});
