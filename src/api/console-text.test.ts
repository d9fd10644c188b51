import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConsoleText } from './console-text.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('a pattern is found over several pieces, even inside a character', async () => {
  const text = new ConsoleText();
  const { match } = text.next('naïve');
  const all = bytes('so naïve!');
  text.add(all.subarray(0, 6));
  text.add(all.subarray(6));
  assert.deepEqual(await match, { before: 'so ', text: 'naïve', groups: [] });
});

test('each match goes on behind the one before', async () => {
  const text = new ConsoleText();
  text.add(bytes('one two one'));
  assert.equal((await text.next('one').match).before, '');
  assert.equal((await text.next('one').match).before, ' two ');
});

test('waiters are served in turn', async () => {
  const text = new ConsoleText();
  const first = text.next(/(\d)\$/g).match;
  const second = text.next('x').match;
  text.add(bytes('x 7$ x'));
  assert.deepEqual((await first).groups, ['7']);
  assert.equal((await second).before, ' ');
});

test('the end tells those who wait what was printed last', async () => {
  const text = new ConsoleText();
  const { match } = text.next('login:');
  text.add(bytes('1\n2\n3\nKernel panic\n'));
  text.end('the machine ended');
  await assert.rejects(match, /the machine ended before login: was printed; the last lines are:\n2\n3\nKernel panic/);
  await assert.rejects(text.next('x').match, /the machine ended/);
  assert.equal((await text.next('panic').match).text, 'panic');
});

test('a cancelled waiter does not hold up the next', async () => {
  const text = new ConsoleText();
  const { match, cancel } = text.next('never');
  const next = text.next('now').match;
  cancel('2 s went by');
  text.add(bytes('now'));
  await assert.rejects(match, /2 s went by before never was printed/);
  assert.equal((await next).text, 'now');
});

test('unread text is bounded', async () => {
  const text = new ConsoleText();
  const piece = bytes('x'.repeat(2 ** 20));
  for (let i = 0; i < 5; i += 1) text.add(piece);
  text.add(bytes('end'));
  assert((await text.next('end').match).before.length <= 2 * 2 ** 20);
});
