/** Contents that go from one thread to another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Staging } from './staging.ts';

function taken(staging: Staging): [number, string][] {
  const found: [number, string][] = [];
  staging.take((number, content) => found.push([number, Buffer.from(content).toString()]));
  return found;
}

test('what one end puts the other takes, once', () => {
  const here = Staging.for(100);
  const there = new Staging(here.shared, here.slotBytes);
  assert.deepEqual(taken(there), []);
  assert.ok(here.put(7, Buffer.from('seven')) && here.put(0, new Uint8Array(0)));
  assert.deepEqual(taken(there), [
    [7, 'seven'],
    [0, ''],
  ]);
  assert.deepEqual(taken(there), []);
});

test('there is room for two contents of any size, for many small ones, and it comes back', () => {
  for (const [bytes, most] of [
    [8 * 2 ** 20, 2],
    [262_404, 15],
    [1, 16],
  ] as const) {
    const here = Staging.for(bytes);
    const there = new Staging(here.shared, here.slotBytes);
    for (let round = 0; round < 2; round++) {
      let count = 0;
      while (here.put(count, new Uint8Array(bytes).fill(count))) count += 1;
      assert.equal(count, most);
      assert.deepEqual(
        [...Array(count).keys()],
        taken(there).map(([number]) => number),
      );
    }
  }
});
