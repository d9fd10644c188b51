import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dword, ENGINES, FlatGuest } from '../../../../test/support/flat-guest.ts';

test('a loop near a region with a computed jump, which never goes there, is translated by itself', () => {
  const [jumps, rounds] = [100_000, 300_000];
  const code = [
    ...[0xb9, ...dword(jumps)], // 1000: MOV ECX, jumps
    ...[0xbf, ...dword(0x100c)], // MOV EDI, 100c
    ...[0xff, 0xe7], // 100a: JMP EDI
    ...[0x49, 0x75, 0xfb], // 100c: DEC ECX; JNZ 100a
    ...[0xe9, ...dword(0x3000 - 0x1014)], // JMP 3000
    ...[0x40, 0x49, 0x75, 0xfc], // 1014: INC EAX; DEC ECX; JNZ 1014
    0xf4, // HLT
  ];
  const guest = new FlatGuest(ENGINES.both(), code);
  guest.write(0x3000, [0xb9, ...dword(rounds), 0xe9, ...dword(0x1014 - 0x300a)]); // MOV ECX, rounds; JMP 1014
  guest.vcpu.setRegister('RAX', 0n);
  assert.equal(guest.run(10_000_000), 'halted');
  assert.equal(guest.vcpu.register('RAX'), BigInt(rounds));
  const { translatedInstructions, regionsMade, regionsDropped } = guest.vcpu.statistics().code!;
  assert.deepEqual({ regionsMade, regionsDropped }, { regionsMade: 2, regionsDropped: 0 });
  const retired = guest.vcpu.retired();
  assert(translatedInstructions > retired * 0.9, `${translatedInstructions} of ${retired} instructions translated`);
});
