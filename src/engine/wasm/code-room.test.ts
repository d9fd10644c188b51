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

/** More functions than regions are kept. */
const FUNCTIONS = 5000;
const FIRST = 0x10000;
const DISTANCE = 16;

test('a guest with more hot code than there is room for runs on', () => {
  const code = [
    ...[0xbe, ...dword(2)], // MOV ESI, 2
    ...[0xbf, ...dword(FIRST)], // 1005: MOV EDI, FIRST
    ...[0xff, 0xd7], // 100a: CALL EDI
    ...[0x83, 0xc7, DISTANCE], // ADD EDI, DISTANCE
    ...[0x81, 0xff, ...dword(FIRST + FUNCTIONS * DISTANCE)], // CMP EDI, end
    ...[0x75, 0xf3], // JNE 100a
    0x4e, // DEC ESI
    ...[0x75, 0xeb], // JNZ 1005
    0xf4, // HLT
  ];
  const functions = Array.from({ length: FUNCTIONS }, (_, i) => {
    const body = [0x81, 0xc2, ...dword(i), 0xc3]; // ADD EDX, i; RET
    return [...body, ...new Array<number>(DISTANCE - body.length).fill(0x90)];
  });
  const gap = new Array<number>(FIRST - 0x1000 - code.length).fill(0x90);
  const guest = new FlatGuest(ENGINES.translator(), [...code, ...gap, ...functions.flat()]);
  guest.vcpu.setRegister('RDX', 0n);
  assert.equal(guest.run(), 'halted');
  assert.equal(guest.vcpu.register('RDX'), BigInt(FUNCTIONS * (FUNCTIONS - 1)));
  const { regionsMade, regionsDropped } = guest.vcpu.statistics().code!;
  assert(regionsMade > FUNCTIONS, `${regionsMade} regions made`);
  assert(regionsDropped > FUNCTIONS / 10, `${regionsDropped} regions dropped`);
});

test('code that is rewritten until records run out costs other code nothing', () => {
  const rounds = 500_000;
  const called = 0x4000;
  const code = [
    0x43, // 1000: INC EBX
    ...[0x89, 0x1d, ...dword(0x1009)], // MOV [0x1009], EBX: the constant of the next instruction
    ...[0x81, 0xc2, ...dword(0)], // ADD EDX, constant
    ...[0xe8, ...dword(called - 0x1012)], // CALL: the other code
    ...[0x81, 0xfb, ...dword(rounds)], // CMP EBX, rounds
    ...[0x75, 0xe6], // JNE 1000
    0xf4, // HLT
  ];
  const guest = new FlatGuest(ENGINES.both(), code);
  guest.write(called, [0xb9, ...dword(3), 0x49, 0x75, 0xfd, 0xc3]); // MOV ECX, 3; DEC ECX; JNZ; RET
  guest.vcpu.setRegister('RDX', 0n);
  guest.vcpu.setRegister('RBX', 0n);
  assert.equal(guest.run(20_000_000), 'halted');
  assert.equal(guest.vcpu.register('RDX'), BigInt.asUintN(32, (BigInt(rounds) * BigInt(rounds + 1)) / 2n));
  const { regionsMade, regionsDropped } = guest.vcpu.statistics().code!;
  assert(regionsMade > 0);
  assert.equal(regionsDropped, 0);
});
