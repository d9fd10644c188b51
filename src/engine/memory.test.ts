import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PAGE_SIZE } from './layout.ts';
import { EngineMemory } from './memory.ts';

const page = (value: number): Uint8Array => new Uint8Array(PAGE_SIZE).fill(value);

test('a page that has not come is brought once, by whatever first looks at it', () => {
  const memory = new EngineMemory(2 ** 20);
  const brought: number[] = [];
  memory.late.expect([3, 4, 5, 9], (at) => {
    brought.push(at);
    memory.late.fill(at, page(at));
    return true;
  });
  assert.deepEqual([memory.readable(0, 3 * PAGE_SIZE)?.[0], brought], [0, []]);
  assert.deepEqual([...memory.readable(4 * PAGE_SIZE - 1, 2)!], [3, 4]);
  memory.writable(5 * PAGE_SIZE + 7, 1)![0] = 1;
  memory.late.fill(5, page(0));
  assert.deepEqual([...memory.readable(5 * PAGE_SIZE + 6, 3)!], [5, 1, 5], 'what came is not brought again');
  memory.arrive(9 * PAGE_SIZE + 1);
  assert.deepEqual(brought, [3, 4, 5, 9]);
  assert.equal(memory.readable(9 * PAGE_SIZE, 1)![0], 9);
});

test('what cannot come is no memory to a device, and stops a processor', () => {
  const memory = new EngineMemory(2 ** 20);
  memory.late.expect([1], () => false);
  assert.equal(memory.readable(PAGE_SIZE - 1, 2), undefined);
  assert.equal(memory.writable(PAGE_SIZE, 1), undefined);
  assert.throws(() => memory.arrive(PAGE_SIZE), /page 1 did not come/);
  assert.equal(memory.readable(0, PAGE_SIZE)?.length, PAGE_SIZE);
});
