import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { ConsoleInput } from './console-input.ts';

const MS = 1_000_000n;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function setUp(room = Number.POSITIVE_INFINITY) {
  const clock = new SteppedClock();
  const device = { taken: '', room, listening: 0 };
  const input = new ConsoleInput(
    clock,
    (offered) => {
      const count = Math.min(offered.length, device.room);
      device.room -= count;
      device.taken += new TextDecoder().decode(offered.subarray(0, count));
      return count;
    },
    () => {
      device.listening += 1;
    },
  );
  return { clock, device, input };
}

test('what is typed waits until the guest has printed and a little longer', () => {
  const { clock, device, input } = setUp();
  input.type(bytes('early '));
  clock.step(1000n * MS);
  input.printed();
  clock.step(1n * MS);
  input.type(bytes('bird'));
  assert.equal(device.taken, '');
  clock.step(60n * MS);
  assert.deepEqual(device, { taken: 'early bird', room: Number.POSITIVE_INFINITY, listening: 1 });
  input.type(bytes('!'));
  assert.equal(device.taken, 'early bird!');
});

test('a full device is offered the rest again, in order', () => {
  const { clock, device, input } = setUp(3);
  input.printed();
  clock.step(60n * MS);
  input.type(bytes('abcdef'));
  input.type(bytes('gh'));
  assert.equal(device.taken, 'abc');
  device.room = 100;
  clock.step(20n * MS);
  assert.equal(device.taken, 'abcdefgh');
});

test('after a reset the next guest is waited for', () => {
  const { clock, device, input } = setUp();
  input.printed();
  input.reset();
  clock.step(60n * MS);
  input.type(bytes('x'));
  assert.equal(device.taken, '');
  input.printed();
  clock.step(60n * MS);
  assert.equal(device.taken, 'x');
});
