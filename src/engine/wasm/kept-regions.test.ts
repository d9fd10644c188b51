import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dword, FlatGuest } from '../../../test/support/flat-guest.ts';
import { keptIn } from '../../../test/support/kept-bytes.ts';
import { calleeName, IMPORTS } from './assembly.ts';
import { OP } from './encoder.ts';
import { createWasmEngine } from './engine.ts';
import type { KeptMakers, KeptRegion, KeptRegions } from './kept-regions.ts';
import { ModuleBuilder } from './module-builder.ts';
import { readParts } from './module-merge.ts';

const ROUNDS = 70_000;

/** A loop with a call in it, whose flags are asked for behind it; `step` is an immediate operand. */
const code = (step: number): number[] => [
  ...[0xb9, ...dword(ROUNDS)], // 1000: MOV ECX, ROUNDS
  ...[0xe8, ...dword(7)], // 1005: CALL 1011
  0x49, // DEC ECX
  ...[0x75, 0xf8], // JNZ 1005
  0x9c, // PUSHF
  0x58, // POP EAX
  0xf4, // HLT
  0x90,
  ...[0x81, 0xc2, ...dword(step)], // 1011: ADD EDX, step
  ...[0x11, 0xd3], // ADC EBX, EDX
  0xc3, // RET
];

function run(kept: KeptRegions | undefined, bytes = code(3), prepare: (guest: FlatGuest) => void = () => {}) {
  const guest = new FlatGuest(createWasmEngine({ memoryBytes: 2 ** 20, kept }), bytes);
  for (const name of ['RBX', 'RDX']) guest.vcpu.setRegister(name, 0n);
  prepare(guest);
  assert.equal(guest.run(), 'halted');
  const { regionsMade, regionsKept } = guest.vcpu.statistics().code!;
  return { registers: guest.registers(), retired: guest.vcpu.retired(), made: regionsMade - regionsKept, regionsKept };
}
function contentOf(bytes = code(3)): Uint8Array {
  const kept = keptIn();
  run(kept, bytes);
  assert.ok(kept.changed);
  return kept.content();
}
const whatItDoes = ({ registers, retired }: ReturnType<typeof run>) => ({ registers, retired });

test('the regions of one run are those of the next, which does the same', () => {
  const first = run(undefined);
  assert.ok(first.made > 0);
  const kept = keptIn(contentOf());
  const second = run(kept);
  assert.deepEqual(whatItDoes(second), whatItDoes(first));
  assert.deepEqual([second.made, second.regionsKept > 0, kept.changed], [0, true, false]);
});

test('what was used is kept on, what was not as well', () => {
  const kept = keptIn(contentOf(code(3)));
  run(kept, code(5));
  const both = kept.content();
  for (const step of [3, 5]) assert.equal(run(keptIn(both), code(step)).made, 0);
});

test('other code is translated anew', () => {
  const content = contentOf();
  for (const step of [4, 0x03000003]) {
    const { made, ...other } = run(keptIn(content), code(step));
    assert.ok(made > 0);
    assert.deepEqual(whatItDoes({ ...other, made }), whatItDoes(run(undefined, code(step))));
  }
});

test('regions of an earlier run hear of stores to their code', () => {
  // The loop; then the step is written anew, and the loop once more.
  const bytes = [
    ...code(3).slice(0, 13),
    ...[0xfe, 0x05, ...dword(0x8000)], // INC BYTE [8000]
    ...[0x80, 0x3d, ...dword(0x8000), 2], // CMP BYTE [8000], 2
    ...[0x74, 0x0c], // JE to HLT
    ...[0xc6, 0x05, ...dword(0x102b), 9], // MOV BYTE [102b], 9: the step
    ...[0xe9, ...dword(0xffffffd8)], // JMP 1000
    0xf4,
    ...code(3).slice(17),
  ];
  bytes.splice(6, 4, ...dword(0x1029 - 0x100a));
  const expected = run(undefined, bytes);
  assert.equal(expected.registers.RDX, BigInt(ROUNDS * 12));
  const kept = keptIn(contentOf(bytes));
  assert.deepEqual(whatItDoes(run(kept, bytes)), whatItDoes(expected));
});

test('a damaged file is as none where it is damaged', () => {
  const content = contentOf();
  const expected = whatItDoes(run(undefined));
  const damage = fc.record({ at: fc.nat({ max: content.length - 1 }), by: fc.integer({ min: 1, max: 255 }) });
  fc.assert(
    fc.property(damage, ({ at, by }) => {
      const damaged = content.slice();
      damaged[at] ^= by;
      assert.deepEqual(whatItDoes(run(keptIn(damaged))), expected);
    }),
    { numRuns: 25 },
  );
  for (const length of [0, 3, 100, content.length - 1])
    assert.deepEqual(whatItDoes(run(keptIn(content.subarray(0, length)))), expected);
});

const region = (code: number, bytes: number): KeptRegion => ({
  blocks: [{ offset: 0, length: 1 }],
  instructions: 1,
  records: [],
  makers: [],
  imports: [],
  note: null,
  code: Uint8Array.of(code),
  wasm: new Uint8Array(bytes),
});

test('of one key the newest are kept, and one run does not keep more than its share', () => {
  const kept = keptIn();
  for (let i = 0; i < 10; i++) kept.add(1, region(i, 1));
  const found: number[] = [];
  keptIn(kept.content()).find(1, (r) => found.push(r.code[0]) === 0);
  assert.deepEqual(found, [9, 8, 7]);
  for (let key = 2; key < 100; key++) kept.add(key, region(0, 2 ** 20));
  const { length } = kept.content();
  assert.ok(length > 6 * 2 ** 20 && length < 9 * 2 ** 20, `${length} bytes`);
});

/** A module of functions that do nothing. */
function makers(numbers: readonly number[], imports: readonly string[] = []): KeptMakers {
  const type = { parameters: [], results: [] };
  const m = new ModuleBuilder();
  for (const name of imports) m.importFunction(IMPORTS, name, type);
  for (const i of numbers.keys()) {
    const index = m.declare(type);
    m.define(index, Uint8Array.of(0, OP.end));
    m.exportFunction(calleeName(i), index);
  }
  return { bytes: m.finish(), imports, numbers };
}

test('functions that make flags are one module in the next run, but for those that need others', () => {
  const kept = keptIn();
  for (const m of [makers([0, 4]), makers([1], ['other']), makers([3])]) kept.addMakers(m);
  const next = keptIn(kept.content());
  // What is kept is looked at first where a region is looked for.
  assert.ok(!next.has(0));
  next.addMakers(makers([7]));
  for (const [again, numbers] of [
    [next, [0, 4, 3]],
    [keptIn(next.content()), [0, 4, 3, 7]],
  ] as const) {
    assert.ok(!again.has(0));
    const found = again.makersWith(4)!;
    assert.deepEqual(found.numbers, numbers);
    const exported = readParts(found.bytes).exports.map(({ name }) => name);
    assert.deepEqual(
      exported,
      numbers.map((_, i) => calleeName(i)),
    );
    assert.deepEqual(again.makersWith(1)!.numbers, [1]);
  }
});
