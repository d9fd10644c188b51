import assert from 'node:assert/strict';
import test from 'node:test';
import { UserError } from '../src/user-error.ts';
import { parseOptions } from './options.ts';

test('without options everything is measured five times for all peers', () => {
  const { runs, only, peers, repeats, json, html } = parseOptions([]);
  assert.deepEqual(
    { runs, only, repeats, json, html },
    { runs: 5, only: [], repeats: 5, json: undefined, html: undefined },
  );
  assert.deepEqual(peers, ['trapeze', 'qemu-tcg', 'v86', 'native']);
});

test('lists have commas', () => {
  const { only, peers } = parseOptions(['--only', 'crc32,boot', '--peers=trapeze']);
  assert.deepEqual({ only, peers }, { only: ['crc32', 'boot'], peers: ['trapeze'] });
});

for (const words of [
  ['--runs', '0'],
  ['--runs', 'x'],
  ['--peers', 'bochs'],
  ['--peers='],
  ['--fast'],
  ['crc32'],
  ['--only'],
]) {
  test(`${words.join(' ')} is refused in one line`, () => {
    assert.throws(
      () => parseOptions(words),
      (error) => error instanceof UserError && !error.message.includes('\n'),
    );
  });
}
