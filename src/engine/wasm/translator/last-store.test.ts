import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../../../isa/x86/decoder.ts';
import { BlockBuilder } from './block-builder.ts';
import { lastStoreIn } from './last-store.ts';

/** Whether an instruction of 64-bit code has a store behind which it does nothing. */
function storesLast(...bytes: readonly number[]): boolean {
  const b = new BlockBuilder(undefined);
  const decoded = decode(Uint8Array.from(bytes), 64, 0);
  assert.ok(typeof decoded !== 'string');
  b.instruction(decoded, 0);
  return lastStoreIn(b.statements) !== undefined;
}

test('MOV and MOVUPS to memory do nothing behind their store', () => {
  assert.ok(storesLast(0x48, 0x89, 0x03)); // mov [rbx],rax
  assert.ok(storesLast(0x0f, 0x11, 0x03)); // movups [rbx],xmm0
});

test('what writes registers behind its store, stores twice or stores in a loop is not left in its store', () => {
  assert.ok(!storesLast(0x50)); // push rax
  assert.ok(!storesLast(0x48, 0x01, 0x03)); // add [rbx],rax
  assert.ok(!storesLast(0xc8, 0x10, 0x00, 0x01)); // enter 16,1
  assert.ok(!storesLast(0xf3, 0xaa)); // rep stosb
  assert.ok(!storesLast(0x48, 0x8b, 0x03)); // mov rax,[rbx]
});
