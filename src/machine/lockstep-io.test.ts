import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlockBackend } from '../devices/contract.ts';
import { nodeTime } from '../host/node/time.ts';
import { LockstepIo } from './lockstep-io.ts';

/** A disk whose request at `offset` is answered after `delays[offset / 512]` milliseconds; one at 5120 fails. */
const moody = (delays: readonly number[]): BlockBackend => ({
  size: 8192,
  readOnly: false,
  async read(offset) {
    await delay(delays[offset / 512] ?? 0);
    if (offset === 5120) throw new Error('bad sector');
  },
  write: () => delay(3).then(() => {}),
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
});

test('answers come in the order of asking, only while settling', async () => {
  const orders: string[] = [];
  for (const delays of [
    [9, 0, 4],
    [0, 7, 1],
  ]) {
    let asked = 0;
    const io = new LockstepIo(nodeTime, () => (asked += 1));
    const disk = io.wrap(moody(delays));
    const order: string[] = [];
    const follow = (): void => void disk.write(0, new Uint8Array(0)).then(() => order.push('consequence'));
    for (const i of [0, 1, 2])
      void disk.read(i * 512, new Uint8Array(0)).then(() => {
        order.push(`read ${i}`);
        if (i === 1) follow();
      });
    await delay(15);
    assert.deepEqual(order, []);
    await io.settle();
    assert.equal(asked, 4);
    assert.equal(io.settle(), undefined);
    orders.push(order.join());
  }
  assert.deepEqual(orders, Array(2).fill('read 0,read 1,read 2,consequence'));
});

test('whoever asks while answers are on their way waits for them too', async () => {
  const io = new LockstepIo(nodeTime, () => {});
  let answered = false;
  void io
    .wrap(moody([20]))
    .read(0, new Uint8Array(0))
    .then(() => (answered = true));
  void io.settle();
  assert.notEqual(io.settle(), undefined);
  await io.settle();
  assert.ok(answered);
  assert.equal(io.settle(), undefined);
});

test('a failed request rejects in its turn', async () => {
  const io = new LockstepIo(nodeTime, () => {});
  const disk = io.wrap(moody([]));
  const failed = assert.rejects(disk.read(5120, new Uint8Array(0)), /bad sector/);
  await io.settle();
  await failed;
});
