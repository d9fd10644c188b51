import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OVERSHOOT } from '../../run-loop.ts';
import { controlFlowOf, nodesOf } from './control-flow.ts';
import { KnownCode } from './known-code.ts';
import { readsFlags } from './known-flags.ts';
import { narrowAt } from './narrow-registers.ts';
import { LONGEST_WAY, readRegion } from './region.ts';

const LINEAR = 0x400000n;

/** Code at the start of a page, all of it executed often. `target`: where its computed jumps went last; `indirect`: where such went at all. */
function codeOf(bytes: readonly number[], target = 0n, indirect: readonly number[] = []): KnownCode {
  const page = {
    frame: 1,
    bytes: Uint8Array.from(bytes),
    indirect: () => indirect,
    record: (offset: number): number => offset,
    entered: () => Number.MAX_SAFE_INTEGER,
    target: () => target,
  };
  const elsewhere = (): undefined => undefined;
  const near = { least: 0, follow: elsewhere, offsetOf: (linear: bigint) => Number(linear - LINEAR) };
  return new KnownCode(page, elsewhere, near, true);
}

test('what runs into a loop ends where the loop starts', () => {
  // xor eax,eax; inc eax; cmp eax,10; jne to the INC; hlt
  const { blocks } = readRegion(codeOf([0x31, 0xc0, 0xff, 0xc0, 0x83, 0xf8, 10, 0x75, 0xf9, 0xf4]), 0, 64);
  assert.deepEqual(
    blocks.map(({ offset, instructions, taken, next }) => ({ offset, count: instructions.length, taken, next })),
    [
      { offset: 0, count: 1, taken: undefined, next: 2 },
      { offset: 2, count: 3, taken: 2, next: 9 },
    ],
  );
});

test('a jump through a table finds its targets itself, and shares none with another through the switch', () => {
  const cases = [0x10, 0x20, 0x30, 0x40];
  const bytes = new Array<number>(0x50).fill(0x90);
  // jmp rax; in each case: jmp to it
  bytes.splice(0, 2, 0xff, 0xe0);
  for (const at of cases) bytes.splice(at, 2, 0xeb, -at - 2);
  const own = readRegion(codeOf(bytes, 0n, cases), 0, 64);
  assert.deepEqual(own.targets, []);
  assert.deepEqual([...own.guesses], [[0, cases]]);
  // In one case: jmp rcx
  bytes.splice(cases[1], 2, 0xff, 0xe1);
  const shared = readRegion(codeOf(bytes, 0n, cases), 0, 64);
  assert.deepEqual(shared.targets, cases);
  assert.deepEqual([...shared.guesses], []);
});

test('what a pointer led to last is part of the region, however far away, and so is the way back', () => {
  const [callee, behind] = [0xf00, 4];
  const bytes = new Array<number>(0x1000).fill(0x90);
  // inc ecx; call rax; jmp to the INC
  bytes.splice(0, 6, 0xff, 0xc1, 0xff, 0xd0, 0xeb, 0xfa);
  // ret
  bytes[callee] = 0xc3;
  const { blocks, targets, guesses } = readRegion(codeOf(bytes, LINEAR + BigInt(callee), [callee, behind]), 0, 64);
  assert.deepEqual(
    blocks.map(({ offset }) => offset),
    [0, callee, behind],
  );
  assert.deepEqual(targets, []);
  assert.deepEqual(
    [...guesses],
    [
      [0, [callee]],
      [callee, [behind]],
    ],
  );
});

test('a function that is called at two places returns through the switch', () => {
  // 0: call 12  5: call 12  10: jmp 0  12: ret
  const code = [0xe8, 7, 0, 0, 0, 0xe8, 2, 0, 0, 0, 0xeb, 0xf4, 0xc3];
  const { targets, guesses } = readRegion(codeOf(code, 0n, [5, 10]), 0, 64);
  assert.deepEqual([...targets].sort(), [10, 5]);
  assert.equal(guesses.size, 0);
});

test('a return goes behind the calls of its own function, and not of others', () => {
  // 0: call 12  5: call 13  10: jmp 0  12: ret  13: ret
  const code = [0xe8, 7, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0xeb, 0xf4, 0xc3, 0xc3];
  const { targets, guesses } = readRegion(codeOf(code, 0n, [5, 10]), 0, 64);
  assert.deepEqual(targets, []);
  assert.deepEqual([...guesses].sort(), [
    [12, [5]],
    [13, [10]],
  ]);
});

test('a return of the function that a region begins in leaves it', () => {
  // 0: dec eax; je 5; ret  5: ret
  const { blocks, targets, guesses } = readRegion(codeOf([0xff, 0xc8, 0x74, 0x01, 0xc3, 0xc3], 0n, [2]), 0, 64);
  assert.equal(blocks.length, 3);
  assert.deepEqual(targets, []);
  assert.deepEqual([...guesses.values()].flat(), []);
});

test('a call through a pointer is compared with the functions nearby that pointers led to, but not with what is no function', () => {
  // 0: call rax  2: jmp 0  4: nop; jmp 0  7: ret  8: ret
  const code = [0xff, 0xd0, 0xeb, 0xfc, 0x90, 0xeb, 0xf9, 0xc3, 0xc3];
  const { targets, guesses } = readRegion(codeOf(code, LINEAR + 8n, [2, 4, 7, 8]), 0, 64);
  assert.deepEqual(targets, []);
  assert.deepEqual([...guesses].sort(), [
    [0, [8, 7]],
    [7, [2]],
    [8, [2]],
  ]);
});

test('a pointer that led to code that is not known leaves the region', () => {
  const { blocks, targets } = readRegion(codeOf([0xff, 0xd0], LINEAR + 0x5000n), 0, 64);
  assert.equal(blocks.length, 1);
  assert.deepEqual(targets, []);
});

test('no way through a region is longer than what a run may be too long', () => {
  assert.ok(LONGEST_WAY <= OVERSHOOT);
});

/** By the offsets of blocks, whether they read flags that were computed before them. */
const readFlags = (...bytes: number[]): ReadonlyMap<number, boolean> =>
  new Map(readRegion(codeOf(bytes), 0, 64).blocks.map((b) => [b.offset, readsFlags(b.statements)]));

test('blocks behind a comparison know what was compared', () => {
  // 0: cmp eax,ecx; je 8  4: jb 8  6: dec edx  8: ret
  assert.deepEqual(
    [...readFlags(0x39, 0xc8, 0x74, 0x04, 0x72, 0x02, 0xff, 0xca, 0xc3)].sort(),
    [0, 4, 6, 8].map((offset) => [offset, false]),
  );
});
test('a block that is reached with different flags reads them', () => {
  // 0: cmp eax,ecx; je 6  4: test edx,edx  6: setb al; ret
  assert.equal(readFlags(0x39, 0xc8, 0x74, 0x02, 0x85, 0xd2, 0x0f, 0x92, 0xc0, 0xc3).get(6), true);
});
test('a block that is reached behind two comparisons knows what either compared', () => {
  // 0: test eax,eax; je 8  4: cmp eax,ecx; jmp 10  8: cmp edx,ebx  10: setb al; ret
  const code = [0x85, 0xc0, 0x74, 0x04, 0x39, 0xc8, 0xeb, 0x02, 0x39, 0xda, 0x0f, 0x92, 0xc0, 0xc3];
  assert.equal(readFlags(...code).get(10), false);
});
test('a loop whose rounds change the flags does not know them at its start', () => {
  // 0: cmp eax,ecx  2: setb dl; inc eax; jne 2  9: ret
  assert.equal(readFlags(0x39, 0xc8, 0x0f, 0x92, 0xc2, 0xff, 0xc0, 0x75, 0xf9, 0xc3).get(2), true);
});

test('registers are narrow where all ways to a block wrote 32 bits of them last', () => {
  const [rax, rcx, rdx, rsp] = [1, 2, 4, 16];
  // Where the blocks start, of four registers.
  const narrow = (bytes: readonly number[]): readonly number[] => {
    const region = readRegion(codeOf(bytes), 0, 64);
    const [nodes, targets] = nodesOf(region);
    return narrowAt(region.blocks, nodes, controlFlowOf(nodes, targets)).map((bits) => bits & (rax | rcx | rdx | rsp));
  };
  // xor eax,eax; mov ecx,edx;  2: mov dl,cl; inc eax; cmp eax,10; jne 2; hlt
  const loop = [0x88, 0xca, 0xff, 0xc0, 0x83, 0xf8, 10, 0x75, 0xf7, 0xf4];
  assert.deepEqual(narrow([0x31, 0xc0, 0x89, 0xd1, ...loop]), [0, rax | rcx]);
  // mov rcx,rdx; xor edx,edx
  assert.deepEqual(narrow([0x31, 0xc0, 0x48, 0x89, 0xd1, 0x31, 0xd2, ...loop]), [0, rax | rdx]);
  // xor eax,eax; xor ecx,ecx;  4: inc rax; inc ecx; cmp eax,10; jne 4; hlt
  assert.deepEqual(narrow([0x31, 0xc0, 0x31, 0xc9, 0x48, 0xff, 0xc0, 0xff, 0xc1, 0x83, 0xf8, 10, 0x75, 0xf6, 0xf4]), [
    0,
    rcx,
  ]);
  // mov esp,edx; xor eax,eax;  4: push rdx; dec eax; jne 4; hlt
  assert.deepEqual(narrow([0x89, 0xd4, 0x31, 0xc0, 0x52, 0xff, 0xc8, 0x75, 0xfb, 0xf4]), [0, rax]);
  // rep movsb with 32-bit addresses, which need not write ecx;  3: inc eax; jne 3; hlt
  assert.deepEqual(narrow([0x67, 0xf3, 0xa4, 0xff, 0xc0, 0x75, 0xfc, 0xf4]), [0, 0]);
  // xor eax,eax; xor ecx,ecx; test edx,edx; jz 16;  8: cmovz eax,edx; mov rcx,rdx; jmp 16;  16: inc eax; hlt
  const join = [0x31, 0xc0, 0x31, 0xc9, 0x85, 0xd2, 0x74, 0x08, 0x0f, 0x44, 0xc2, 0x48, 0x89, 0xd1, 0xeb, 0x00];
  assert.deepEqual(narrow([...join, 0xff, 0xc0, 0xf4]), [0, rax, rax | rcx]);
});

test('numbers that a block finds in registers are looked at together', () => {
  // addsd xmm0, xmm1; mulsd xmm2, xmm3; subsd xmm4, xmm0; comisd xmm0, xmm5; hlt
  const bytes = [0xf2, 0x0f, 0x58, 0xc1, 0xf2, 0x0f, 0x59, 0xd3, 0xf2, 0x0f, 0x5c, 0xe0, 0x66, 0x0f, 0x2f, 0xc5, 0xf4];
  const { blocks } = readRegion(codeOf(bytes), 0, 64);
  const looks = blocks[0].statements.filter((s) => s.kind === 'op' && s.op === 'i32x4.bitmask');
  // That of the comparison is its own.
  assert.equal(looks.length, 2);
});
