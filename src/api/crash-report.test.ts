import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuestMemory } from '../devices/contract.ts';
import { codeDump, registerDump } from './crash-report.ts';
import type { RegisterView } from './guest-view.ts';

const cpu = (registers: Record<string, bigint>): RegisterView => ({
  register: (name) => registers[name] ?? (name === 'CODE_SIZE' ? 64n : 0n),
});

function ram(code: readonly number[], at: number): GuestMemory {
  const bytes = new Uint8Array(0x1000);
  bytes.set(code, at);
  const part = (from: number, length: number): Uint8Array | undefined =>
    from + length <= bytes.length ? bytes.subarray(from, from + length) : undefined;
  return { size: bytes.length, readable: part, writable: part };
}

test('every register is named, 16 digits each', () => {
  const dump = registerDump(
    cpu({ RAX: 0xffff_ffff_ffff_ffffn, R8: 8n, CR2: 0xdeadn, RIP: 0x1234n, 'CS.selector': 0x10n }),
  );
  assert.match(dump, /RAX=ffffffffffffffff RBX=0000000000000000/);
  assert.match(dump, / R8=0000000000000008/);
  assert.match(dump, /RIP=0000000000001234 .*64-bit/);
  assert.match(dump, /\nCS +0010 base=/);
  assert.match(dump, /CR2=0000dead/);
});

test('an arrow marks the instruction pointer; the instructions before it are found', () => {
  // mov rbx,rsp; push rax; call; add eax,ebx; add eax,12345678h; add ecx,edx
  const call = [0x48, 0x89, 0xe3, 0x50, 0xe8, 0x11, 0x22, 0x00, 0x00];
  const memory = ram([...call, ...call, 0x01, 0xd8, 0x05, 0x78, 0x56, 0x34, 0x12, 0x01, 0xd1], 0x100 - 18);
  const lines = codeDump(cpu({ RIP: 0x107n }), memory).split('\n');
  const arrow = lines.findIndex((line) => line.startsWith('=> '));
  assert.match(lines[arrow]!, /^=> 00000107 {2}01 d1 +add/);
  assert.match(lines[arrow - 1]!, /^ {3}00000102 {2}05 78 56 34 12 +add/);
  assert.match(lines[arrow - 2]!, /^ {3}00000100 {2}01 d8 +add/);
});

test('an instruction pointer outside memory is said to be so', () => {
  assert.match(codeDump(cpu({ RIP: 0xdead_beefn }), ram([], 0)), /no memory/);
});
