import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OutputQueue } from './output-queue.ts';

test('what is printed shortly after another is one message, of one port', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const sent: string[] = [];
  const queue = new OutputQueue<string>((bytes, port) => sent.push(`${port}:${new TextDecoder().decode(bytes)}`));
  const print = (text: string, port: string): void => queue.add(new TextEncoder().encode(text), port);
  print('a', 'one');
  print('b', 'one');
  assert.deepEqual(sent, []);
  print('c', 'two');
  assert.deepEqual(sent, ['one:ab']);
  t.mock.timers.tick(100);
  assert.deepEqual(sent, ['one:ab', 'two:c']);
  t.mock.timers.tick(100);
  assert.equal(sent.length, 2);
});

test('who prints more than is shown waits', async () => {
  let sent = 0;
  const queue = new OutputQueue<string>((bytes) => (sent += bytes.length));
  queue.add(new Uint8Array(100_000), 'one');
  assert.equal(queue.hold(), undefined);
  queue.add(new Uint8Array(100_000), 'one');
  const held = queue.hold();
  assert.equal(sent, 200_000);
  let free = false;
  const freed = held!.then(() => (free = true));
  queue.shown(10_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(free, false);
  queue.shown(150_000);
  await freed;
  assert.equal(queue.hold(), undefined);
});
