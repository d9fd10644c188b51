import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuestMemory } from '../devices/contract.ts';
import type { RegisterView } from './guest-view.ts';
import { readCode, translate } from './guest-view.ts';

const CR0_PG = 1n << 31n;
const PRESENT = 1;
const LARGE = 0x81;

function ram(size = 0x1_0000): GuestMemory & { readonly view: DataView } {
  const bytes = new Uint8Array(size);
  const part = (at: number, length: number): Uint8Array | undefined =>
    at + length <= size ? bytes.subarray(at, at + length) : undefined;
  return { size, readable: part, writable: part, view: new DataView(bytes.buffer) };
}

const cpu = (registers: Record<string, bigint>): RegisterView => ({ register: (name) => registers[name] ?? 0n });

test('without paging a linear address is physical', () => {
  assert.equal(translate(cpu({}), ram(), 0x1234n), 0x1234);
});

test('32-bit paging: 4 KiB pages, and 4 MiB pages only with CR4.PSE', () => {
  const memory = ram();
  const registers = { CR0: CR0_PG, CR3: 0x1000n };
  memory.view.setUint32(0x1000 + 4, 0x2000 | PRESENT, true);
  memory.view.setUint32(0x2000 + 4 * 3, 0x5000 | PRESENT, true);
  assert.equal(translate(cpu(registers), memory, 0x0040_3abcn), 0x5abc);
  assert.equal(translate(cpu(registers), memory, 0x0040_4abcn), undefined);
  memory.view.setUint32(0x1000 + 8, 0x0080_0000 | LARGE, true);
  assert.equal(translate(cpu({ ...registers, CR4: 1n << 4n }), memory, 0x0081_2345n), 0x0081_2345);
});

test('PAE paging: four pointers, then pages of 2 MiB or 4 KiB', () => {
  const memory = ram();
  const registers = cpu({ CR0: CR0_PG, CR3: 0x1020n, CR4: 1n << 5n });
  memory.view.setBigUint64(0x1020 + 8 * 3, 0x2001n, true);
  memory.view.setBigUint64(0x2000 + 8 * 511, BigInt(0x40_0000 | LARGE), true);
  assert.equal(translate(registers, memory, 0xffe1_2345n), 0x41_2345);
});

test('4-level paging: a canonical kernel address, NX and pages of 1 GiB', () => {
  const memory = ram();
  const registers = cpu({ CR0: CR0_PG, CR3: 0x1000n, IA32_EFER: 1n << 10n });
  memory.view.setBigUint64(0x1000 + 8 * 511, 0x2001n, true);
  memory.view.setBigUint64(0x2000 + 8 * 510, 0x3001n, true);
  memory.view.setBigUint64(0x2000 + 8 * 511, BigInt(0x4000_0000 | LARGE) | (1n << 63n), true);
  memory.view.setBigUint64(0x3000, 0x4001n, true);
  memory.view.setBigUint64(0x4000 + 8, 0x7001n, true);
  assert.equal(translate(registers, memory, 0xffff_ffff_8000_1fffn), 0x7fff);
  assert.equal(translate(registers, memory, 0xffff_ffff_c123_4567n), 0x4123_4567);
  assert.equal(translate(registers, memory, 0x1000n), undefined);
});

test('tables outside RAM translate nothing', () => {
  assert.equal(translate(cpu({ CR0: CR0_PG, CR3: 0xffff_f000n }), ram(), 0n), undefined);
});

test('code is read over a page border, as far as pages are there', () => {
  const memory = ram();
  const registers = cpu({ CR0: CR0_PG, CR3: 0x1000n, 'CS.base': 0x1000n, CODE_SIZE: 32n });
  memory.view.setUint32(0x1000, 0x2000 | PRESENT, true);
  memory.view.setUint32(0x2000 + 4, 0x8000 | PRESENT, true);
  memory.view.setUint32(0x2000 + 8, 0x3000 | PRESENT, true);
  memory.view.setUint8(0x8fff, 0xaa);
  memory.view.setUint8(0x3000, 0xbb);
  assert.deepEqual([...readCode(registers, memory, 0xfffn, 2)], [0xaa, 0xbb]);
  assert.equal(readCode(registers, memory, 0x1fffn, 4).length, 1);
});
