import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KnownCode } from './known-code.ts';
import { readRegion } from './region.ts';

/** Code at the start of a page, all of it executed often. */
function codeOf(...bytes: number[]): KnownCode {
  const page = {
    frame: 1,
    bytes: Uint8Array.of(...bytes),
    indirect: [],
    record: (offset: number): number => offset,
    entered: () => Number.MAX_SAFE_INTEGER,
  };
  const elsewhere = (): undefined => undefined;
  return new KnownCode(page, elsewhere, elsewhere, true);
}

test('what runs into a loop ends where the loop starts', () => {
  // xor eax,eax; inc eax; cmp eax,10; jne to the INC; hlt
  const { blocks } = readRegion(codeOf(0x31, 0xc0, 0xff, 0xc0, 0x83, 0xf8, 10, 0x75, 0xf9, 0xf4), 0, 64);
  assert.deepEqual(
    blocks.map(({ offset, instructions, taken, next }) => ({ offset, count: instructions.length, taken, next })),
    [
      { offset: 0, count: 1, taken: undefined, next: 2 },
      { offset: 2, count: 3, taken: 2, next: 9 },
    ],
  );
});
