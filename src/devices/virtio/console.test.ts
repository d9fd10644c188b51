import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COMMON, VirtioGuest } from '../../../test/support/virtio-guest.ts';
import { Transcript } from '../../../test/support/wires.ts';
import { ConsoleDevice } from './console.ts';

const RECEIVE = 0;
const TRANSMIT = 1;
const bytes = (text: string) => new TextEncoder().encode(text);

function setUp() {
  const output = new Transcript();
  const device = new ConsoleDevice(output);
  const guest = new VirtioGuest(device);
  return { output, device, guest };
}

const received = (guest: VirtioGuest) =>
  guest.queues[RECEIVE]!.pollAll()
    .map(({ data, length }) => new TextDecoder().decode(data.subarray(0, length)))
    .join('|');

test('what the guest sends is printed in order', () => {
  const { guest, output } = setUp();
  guest.start();
  guest.send(TRANSMIT, { out: [bytes('hel'), bytes('lo ')] });
  guest.send(TRANSMIT, { out: [bytes('world')] });
  assert.equal(output.text, 'hello world');
  assert.deepEqual(
    guest.queues[TRANSMIT]!.pollAll().map((used) => used.length),
    [0, 0],
  );
});

test('input fills buffers as they come, across their borders', () => {
  const { guest, device } = setUp();
  guest.start();
  assert.equal(device.input(bytes('abc')), 3);
  assert.equal(device.input(bytes('defgh')), 5);
  guest.send(RECEIVE, { in: [2, 2] });
  assert.equal(received(guest), 'abcd');
  guest.send(RECEIVE, { in: [2] });
  guest.send(RECEIVE, { in: [10] });
  guest.send(RECEIVE, { in: [10] });
  assert.equal(received(guest), 'ef|gh');
  device.input(bytes('later'));
  assert.equal(received(guest), 'later');
});

test('input typed before the driver is ready waits, and more than the backlog is not taken', () => {
  const { guest, device } = setUp();
  assert.equal(device.input(bytes('early')), 5);
  assert.equal(device.input(new Uint8Array(100_000)), 65_531);
  assert.equal(device.input(bytes('x')), 0);
  guest.start();
  guest.send(RECEIVE, { in: [5] });
  assert.equal(received(guest), 'early');
  assert.equal(device.input(bytes('123456')), 5);
});

test('the size of the terminal is in the configuration and changes are announced', () => {
  const { guest, device } = setUp();
  assert.deepEqual([guest.config(0, 2), guest.config(2, 2), guest.config(4, 4)], [80, 25, 1]);
  device.resize(132, 43);
  assert.deepEqual([guest.config(0, 2), guest.config(2, 2)], [132, 43]);
  guest.start();
  const generation = guest.common(COMMON.generation, 1);
  device.resize(100, 30);
  assert.equal(guest.isr(), 2);
  assert.notEqual(guest.common(COMMON.generation, 1), generation);
  guest.start({ features: 0n });
  device.resize(90, 20);
  assert.equal(guest.isr(), 0, 'a driver without F_SIZE is left alone');
});

test('emergency output works without queues; other configuration is read-only', () => {
  const { guest, output } = setUp();
  guest.setConfig(8, 4, 0x41);
  guest.setConfig(8, 1, 0x42);
  guest.setConfig(0, 2, 1);
  assert.equal(output.text, 'AB');
  assert.equal(guest.config(0, 2), 80);
});

test('an absurd amount of output breaks the device instead of stopping the host', () => {
  const { guest, output } = setUp();
  guest.start({ features: 0n });
  const queue = guest.queues[TRANSMIT]!;
  queue.add({ out: [bytes('x')] });
  const head = guest.ram.view.getUint16(queue.available + 4, true);
  guest.ram.view.setUint32(queue.descriptors + 16 * head + 8, 0x20_0000, true);
  guest.notify(TRANSMIT);
  assert.equal(guest.status & 64, 64);
  assert.equal(output.text, '');
});

test('no byte of input is lost, doubled or reordered', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('type' as const), data: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({
      kind: fc.constant('offer' as const),
      sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { guest, device } = setUp();
      guest.start();
      const typed: number[] = [];
      const seen: number[] = [];
      for (const action of steps) {
        if (action.kind === 'type') typed.push(...action.data.subarray(0, device.input(action.data)));
        else guest.send(RECEIVE, { in: action.sizes });
        for (const { data, length } of guest.queues[RECEIVE]!.pollAll()) seen.push(...data.subarray(0, length));
      }
      assert.deepEqual(seen, typed.slice(0, seen.length));
    }),
  );
});
