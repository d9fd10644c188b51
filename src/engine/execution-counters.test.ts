import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_HOST } from '../../test/support/silent-host.ts';
import { ExecutionCounters } from './execution-counters.ts';
import { createWasmEngine } from './wasm/engine.ts';

/** Executes real-mode code up to its HLT. */
function countsOf(code: readonly number[], chosen: ConstructorParameters<typeof ExecutionCounters>[0]) {
  const counters = new ExecutionCounters(chosen);
  const engine = createWasmEngine({ memoryBytes: 2 ** 20, tier: 'interpreter', instrument: counters });
  const vcpu = engine.createVcpu(SILENT_HOST);
  engine.memory.writable(0x100, code.length)!.set(code);
  vcpu.setRegister('CS.base', 0n);
  vcpu.setRegister('RIP', 0x100n);
  assert.deepEqual(vcpu.run(1000), { kind: 'halted' });
  const counts = counters.counts().map((c) => `${c.encoding.definition.name} ${c.operand} ${c.level} ${c.count}`);
  return { counts: counts.toSorted(), retired: vcpu.retired() };
}

// MOV CX,3; again: CLI; STI; MOV DS,AX; LOOP again; MOV ES,AX; HLT
const CODE = [0xb9, 3, 0, 0xfa, 0xfb, 0x8e, 0xd8, 0xe2, 0xfa, 0x8e, 0xc0, 0xf4];

test('chosen instructions are counted by system register and level, others run as ever', () => {
  const all = countsOf(CODE, ({ definition }) => definition.name !== 'LOOP');
  assert.deepEqual(all.counts, [
    'CLI 0 supervisor 3',
    'HLT 0 supervisor 1',
    'MOV 0 supervisor 1',
    'MOV 0 supervisor 1',
    'MOV 3 supervisor 3',
    'STI 0 supervisor 3',
  ]);
  const none = countsOf(CODE, () => false);
  assert.deepEqual(none.counts, []);
  assert.equal(none.retired, all.retired);
});
