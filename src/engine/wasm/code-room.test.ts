import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dword, ENGINES, FlatGuest } from '../../../test/support/flat-guest.ts';

/** Rewrites of a page of code, each of which makes its regions anew. */
const ROUNDS = 4500;

test('a guest that rewrites its code over and over does not fill the host with modules', () => {
  const code = [
    0x43, // 1000: INC EBX
    ...[0x89, 0x1d, ...dword(0x1009)], // MOV [0x1009], EBX: the constant of the next instruction
    ...[0x81, 0xc2, ...dword(0)], // ADD EDX, constant
    ...[0x81, 0xfb, ...dword(ROUNDS)], // CMP EBX, ROUNDS
    ...[0x75, 0xeb], // JNE 1000
    0xf4, // HLT
  ];
  const guest = new FlatGuest(ENGINES.translator(), code);
  guest.vcpu.setRegister('RDX', 0n);
  assert.equal(guest.run(), 'halted');
  assert.equal(guest.vcpu.register('RDX'), BigInt((ROUNDS * (ROUNDS + 1)) / 2));
  const { regionsMade, modulesDropped } = guest.vcpu.statistics().code!;
  assert(regionsMade > ROUNDS, `${regionsMade} regions made`);
  assert(modulesDropped > regionsMade / 2, `${modulesDropped} modules dropped of ${regionsMade}`);
});
