import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dword, ENGINES, FlatGuest } from '../../../../test/support/flat-guest.ts';
import { GPR, XMM } from '../../../isa/x86/state.ts';
import { rareRegisters } from './rare-registers.ts';
import { type Graph, structureOf } from './structure.ts';

const RCX = GPR.offset + 8;
const XMM0 = XMM.offset;

/** Ten blocks in a row, the last of which leads to the first, and some further edges. */
function ring(...more: readonly (readonly [from: number, to: number])[]): Graph {
  const graph = Array.from({ length: 10 }, (_, n) => [(n + 1) % 10]);
  for (const [from, to] of more) graph[from].push(to);
  return graph;
}
/** The registers of those that are used rarely, where each is used by some blocks. */
function rareOf(graph: Graph, users: ReadonlyMap<number, readonly number[]>): number[] {
  const uses = graph.map((_, n) => ({
    read: [...users].filter(([, blocks]) => blocks.includes(n)).map(([register]) => register),
    written: [],
  }));
  return [...rareRegisters(uses, { graph, structure: structureOf(graph) })];
}

test('a register that few blocks of each loop use is used rarely', () => {
  const users = new Map([
    [RCX, [1, 2, 3]],
    [XMM0, [1, 2]],
  ]);
  assert.deepEqual(rareOf(ring(), users), [XMM0]);
});

test('a register that one block uses is not used rarely where that block is a loop, or part of a short one', () => {
  const users = new Map([
    [RCX, [5]],
    [XMM0, [7]],
  ]);
  assert.deepEqual(rareOf(ring([5, 5]), users), [XMM0]);
  assert.deepEqual(rareOf(ring([8, 6]), users), [RCX]);
});

test('registers that are used rarely, whole and in part, hold what was written to them', () => {
  const rounds = 300_000;
  const jumps = 10;
  const loop = [
    ...[0x42, 0xfe, 0xc7], // INC EDX; INC BH
    ...new Array(jumps).fill([0xeb, 0]).flat(), // JMP to what follows
    ...[0x49, 0x75, 0x100 - 2 * jumps - 6], // DEC ECX; JNZ to the first INC
  ];
  const guest = new FlatGuest(ENGINES.both(), [0xb9, ...dword(rounds), ...loop, 0xf4]);
  for (const name of ['RDX', 'RBX']) guest.vcpu.setRegister(name, 1n);
  assert.equal(guest.run(10_000_000), 'halted');
  assert.equal(guest.vcpu.register('RDX'), BigInt(rounds + 1));
  assert.equal(guest.vcpu.register('RBX'), BigInt((rounds % 256) * 256 + 1));
  const { translatedInstructions } = guest.vcpu.statistics().code!;
  assert(translatedInstructions > guest.vcpu.retired() * 0.7, `${translatedInstructions} instructions translated`);
});
