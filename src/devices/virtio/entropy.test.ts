import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioGuest } from '../../../test/support/virtio-guest.ts';
import { EntropyDevice } from './entropy.ts';

test('buffers are filled across their borders, long ones in part', () => {
  let next = 0;
  const largest: number[] = [];
  const device = new EntropyDevice((bytes) => {
    largest.push(bytes.length);
    for (const i of bytes.keys()) bytes[i] = next++;
  });
  const guest = new VirtioGuest(device);
  guest.start();
  guest.send(0, { in: [3, 2] });
  const [first] = guest.queues[0]!.pollAll();
  assert.deepEqual([first?.length, [...first!.data]], [5, [0, 1, 2, 3, 4]]);
  guest.send(0, { in: [100_000] });
  const [second] = guest.queues[0]!.pollAll();
  assert.equal(second?.length, 65_536);
  assert.equal(second.data[65_535], 4 + 65_536 - 256 * 256);
  assert.deepEqual([...new Set(second.data.subarray(65_536))], [0]);
  assert.deepEqual(largest, [5, 65_536]);
});

test('a request without room for an answer is given back', () => {
  const guest = new VirtioGuest(new EntropyDevice((bytes) => bytes.fill(1)));
  guest.start();
  guest.send(0, { out: [Uint8Array.of(9)] });
  assert.deepEqual(
    guest.queues[0]!.pollAll().map((used) => used.length),
    [0],
  );
});
