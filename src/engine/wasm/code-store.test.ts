import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dword, FlatGuest } from '../../../test/support/flat-guest.ts';
import { SystemGuest } from '../../../test/support/system-guest.ts';
import { walk } from '../../isa/ir/statements.ts';
import type { Procedure, Statement } from '../../isa/ir/types.ts';
import { bodyOf } from '../../isa/x86/body.ts';
import type { Parameters } from '../../isa/x86/definition.ts';
import { ENCODINGS } from '../../isa/x86/instruction-set.ts';
import { deliverProtected } from '../../isa/x86/procedures/deliver-legacy.ts';
import { handlerKey, handlerName, TOO_LONG, UNDEFINED } from '../bodies.ts';
import { packHints, unpackHints } from './branch-hints.ts';
import { CodeStore } from './code-store.ts';
import { createWasmEngine } from './engine.ts';

/** mov ecx, 100000; then as often: add eax, 3; dec ecx; jnz; then bsf edx, eax; cpuid; hlt */
const CODE = [0xb9, ...dword(100_000), 0x83, 0xc0, 3, 0x49, 0x75, 0xfa, 0x0f, 0xbc, 0xd0, 0x0f, 0xa2, 0xf4];

function run(store: CodeStore) {
  const guest = new FlatGuest(createWasmEngine({ memoryBytes: 2 ** 20, store }), CODE);
  assert.equal(guest.run(), 'halted');
  return guest.registers();
}

test('an engine whose own code was kept does the same and makes none', () => {
  const first = new CodeStore();
  const registers = run(first);
  assert.ok(first.changed);
  const second = CodeStore.from(first.content());
  assert.deepEqual(run(second), registers);
  assert.ok(!second.changed);
  assert.deepEqual(second.content(), first.content());
});

test('modules of the engine that one run made are few in the next', () => {
  const modulesOf = (store: CodeStore): number => {
    const guest = new FlatGuest(createWasmEngine({ memoryBytes: 2 ** 20, store, tier: 'interpreter' }), CODE);
    guest.run();
    return guest.vcpu.statistics().code!.modulesMade;
  };
  const store = new CodeStore();
  const first = modulesOf(store);
  assert.ok(first > 5, `${first}`);
  assert.equal(modulesOf(CodeStore.from(store.content(false))), first);
  // What stands for procedures to come and the main loop, and what was made before and behind that.
  assert.equal(modulesOf(CodeStore.from(store.content())), 4);
});

test('hints about branches are in the code that was kept as they were made', () => {
  const store = new CodeStore();
  run(store);
  const { bytes } = store.get('main loop of 16 and 32 bits')!;
  const packed = packHints(bytes);
  assert.ok(packed.length < bytes.length);
  assert.deepEqual(unpackHints(packed), bytes);
  const none = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  assert.equal(unpackHints(packHints(none)), none);
});

test('what hardly any guest calls is made when one does', () => {
  const store = new CodeStore();
  const runs = (code: readonly number[]): string =>
    new FlatGuest(createWasmEngine({ memoryBytes: 2 ** 20, store }), [...code]).run();
  const made = (): boolean => store.whatHas(deliverProtected.name) !== undefined;
  assert.deepEqual([runs([0xf4]), made()], ['halted', false]);
  // INT3 without an interrupt descriptor table.
  assert.deepEqual([runs([0xcc]), made()], ['shutdown', true]);
  assert.deepEqual([runs([0xcc]), made()], ['shutdown', true]);
});

test('an engine adds to the code that was kept what it needs besides', () => {
  const store = new CodeStore();
  new FlatGuest(createWasmEngine({ memoryBytes: 2 ** 20, store }), [0xf4]).run();
  const more = CodeStore.from(store.content());
  const registers = run(more);
  assert.ok(more.changed);
  assert.deepEqual(registers, run(new CodeStore()));
});

test('an engine makes anew what is left out of the code that was kept, and what needs that', () => {
  const all = new CodeStore();
  const registers = run(all);
  for (const wanted of [/^main loop/, /^procedure/, /^(?!main loop)/, / R/]) {
    const some = CodeStore.from(all.content(false)).only((key) => wanted.test(key));
    assert.deepEqual(run(CodeStore.from(some.content())), registers);
  }
});

test('a guest of 64-bit code does not need what was made for 32-bit code', () => {
  const bytesIn = (store: CodeStore): number => {
    const guest = new SystemGuest(createWasmEngine({ memoryBytes: 2 ** 20, store }));
    guest.start('long', []).run();
    return guest.vcpu.statistics().code!.wasmBytes;
  };
  const alone = bytesIn(new CodeStore());
  const store = new CodeStore();
  run(store);
  assert.equal(bytesIn(store), alone);
});

const P: Parameters = { operandSize: 32, addressSize: 32, long: false, memory: false, segmented: false, rep: 'none' };
/** Parameters that differ from each other in one way. */
const SOME: readonly Parameters[] = [
  P,
  { ...P, operandSize: 16 },
  { ...P, operandSize: 64 },
  { ...P, addressSize: 64 },
  { ...P, long: true },
  { ...P, memory: true },
  { ...P, segmented: true },
  { ...P, rep: 'F2' },
  { ...P, rep: 'F3' },
];

test('no two handlers have one name', () => {
  const names = new Map<string, number>();
  for (const encoding of [...ENCODINGS, UNDEFINED, TOO_LONG])
    for (const parameters of SOME) {
      const [name, key] = [handlerName(encoding, parameters), handlerKey(encoding, parameters)];
      assert.equal(names.get(name) ?? key, key, name);
      names.set(name, key);
    }
});

test('no two procedures have one name', () => {
  const known = new Map<string, Procedure>();
  const visit = (body: readonly Statement[]): void => {
    for (const s of walk(body)) if (s.kind === 'call' && s.target.kind === 'procedure') meet(s.target);
  };
  const meet = (p: Procedure): void => {
    const same = known.get(p.name);
    assert.ok(same === undefined || same === p, p.name);
    if (same !== undefined) return;
    known.set(p.name, p);
    visit(p.body());
  };
  for (const encoding of ENCODINGS)
    for (const memory of [false, true])
      for (const operandSize of [16, 32, 64] as const)
        for (const long of [false, true]) {
          let body: readonly Statement[] = [];
          try {
            body = bodyOf(encoding, { ...P, memory, operandSize, long, addressSize: long ? 64 : 32 });
          } catch {
            // Not every row has every form.
          }
          visit(body);
        }
  assert.ok(known.size > 100);
});
