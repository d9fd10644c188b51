import assert from 'node:assert/strict';
import test from 'node:test';
import { UserError } from '../src/user-error.ts';
import { parseOptions } from './options.ts';

test('without options everything is measured three times for all peers', () => {
  const { runs, only, peers, repeats, json } = parseOptions([]);
  assert.deepEqual({ runs, only, repeats, json }, { runs: 3, only: [], repeats: 1, json: undefined });
  assert.deepEqual(peers, ['trapeze', 'qemu-tcg', 'native']);
});

test('lists have commas', () => {
  const { only, peers } = parseOptions(['--only', 'crc32,boot', '--peers=trapeze']);
  assert.deepEqual({ only, peers }, { only: ['crc32', 'boot'], peers: ['trapeze'] });
});

for (const words of [['--runs', '0'], ['--runs', 'x'], ['--peers', 'bochs'], ['--fast'], ['crc32'], ['--only']]) {
  test(`${words.join(' ')} is refused in one line`, () => {
    assert.throws(
      () => parseOptions(words),
      (error) => error instanceof UserError && !error.message.includes('\n'),
    );
  });
}
