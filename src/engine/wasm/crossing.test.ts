import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dword } from '../../../test/support/flat-guest.ts';
import { keptIn } from '../../../test/support/kept-bytes.ts';
import { PLACE, SystemGuest } from '../../../test/support/system-guest.ts';
import { createWasmEngine } from './engine.ts';
import type { KeptRegions } from './kept-regions.ts';

const PAGES = -(1n << 39n);
const START = 0xffb;
const [FIRST, SECOND, OTHER] = [0x90000, 0x91000, 0x92000];
const ROUNDS = 70_000;
const PRESENT = 3;
const tableOf = (level: number): number => 0x60000 + level * 0x1000;

/**
 * A loop over two pages with an addition on both, which is called with either of two frames as the second page, and again when that was
 * written to.
 */
function run(kept: KeptRegions | undefined) {
  const guest = new SystemGuest(createWasmEngine({ memoryBytes: 2 ** 20, kept }));
  const code: number[] = [];
  const map = (frame: number): void => {
    // MOV QWORD [table], frame; INVLPG [RSI].
    code.push(0x48, 0xc7, 0x04, 0x25, ...dword(tableOf(2) + 8), ...dword(frame | PRESENT), 0x0f, 0x01, 0x3e);
  };
  // MOV ECX, ROUNDS; CALL RDI.
  const call = (): void => void code.push(0xb9, ...dword(ROUNDS), 0xff, 0xd7);
  for (const frame of [SECOND, OTHER]) {
    map(frame);
    call();
  }
  // MOV BYTE [OTHER], 2.
  code.push(0xc6, 0x04, 0x25, ...dword(OTHER), 2);
  call();
  const registers = { RDI: PAGES + BigInt(START), RSI: PAGES + 0x1000n, RAX: 0n, RDX: 0n, CR4: 0x20n };
  guest.start('long', code, { registers });
  guest.setNumber(PLACE.tables + 8 * 511, 8, tableOf(0) | PRESENT);
  for (let level = 0; level < 2; level++) guest.setNumber(tableOf(level), 8, tableOf(level + 1) | PRESENT);
  guest.setNumber(tableOf(2), 8, FIRST | PRESENT);
  // INC EDX; ADD EAX, imm32, of which a byte is on this page.
  guest.write(FIRST + START, [0xff, 0xc2, 0x81, 0xc0, 1]);
  // The rest; DEC ECX; JNZ to the start; RET.
  for (const [i, frame] of [SECOND, OTHER].entries()) guest.write(frame, [i, 0, 0, 0xff, 0xc9, 0x75, 0x100 - 12, 0xc3]);
  assert.equal(guest.vcpu.run(10_000_000).kind, 'halted');
  const { regionExits, regionsMade, regionsKept } = guest.vcpu.statistics().code!;
  return { sum: guest.get('RAX'), rounds: guest.get('RDX'), barrier: regionExits.barrier!, regionsMade, regionsKept };
}
const expected = { sum: BigInt(ROUNDS * (0x001 + 0x101 + 0x201)), rounds: BigInt(3 * ROUNDS) };

test('an instruction on two pages is part of a region, which is left when its second page is another', () => {
  const { sum, rounds, barrier, regionsMade } = run(undefined);
  assert.deepEqual({ sum, rounds }, expected);
  assert.ok(regionsMade >= 3);
  assert.ok(barrier < 10, `${barrier} exits`);
});

test('regions with such an instruction are those of the next run', () => {
  const kept = keptIn();
  run(kept);
  const { sum, rounds, regionsMade, regionsKept } = run(keptIn(kept.content()));
  assert.deepEqual({ sum, rounds }, expected);
  assert.equal(regionsKept, regionsMade);
});
