import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineOptions } from './options.ts';
import { checkOptions, OptionError } from './options.ts';
import { formatSize, parseSize } from './size.ts';

test('everything has a default', () => {
  const options = checkOptions({});
  assert.equal(options.memory, 512 * 2 ** 20);
  assert.equal(options.engine, 'auto');
  assert.deepEqual(options.disks, []);
});

test('sizes are powers of 1024 with a unit', () => {
  assert.equal(parseSize('512M'), 512 * 2 ** 20);
  assert.equal(parseSize('1.5GiB'), 1.5 * 2 ** 30);
  assert.equal(parseSize(' 64k '), 65536);
  assert.equal(parseSize('2T'), 2 ** 41);
  for (const bad of ['512', '', 'M', '-1M', '1P', '0x10M', '0.3K', '1e3M'])
    assert.equal(parseSize(bad), undefined, bad);
  assert.equal(formatSize(2 ** 30), '1G');
  assert.equal(formatSize(1536 * 1024), '1536K');
  assert.equal(formatSize(2 ** 41), '2T');
  assert.equal(formatSize(7), '7 bytes');
});

test('a disk is a file name, a file with a mode, or a back end', () => {
  const backend = {
    size: 512,
    readOnly: true,
    read: async () => {},
    write: async () => {},
    flush: async () => {},
    close: async () => {},
  };
  const { disks } = checkOptions({ disks: ['a.img', { path: 'b.img', mode: 'cow' }, backend] });
  assert.deepEqual(disks.slice(0, 2), [
    { path: 'a.img', mode: 'rw' },
    { path: 'b.img', mode: 'cow' },
  ]);
  assert.equal(disks[2], backend);
});

const wrong: readonly (readonly [unknown, string, RegExp])[] = [
  [{ memory: '12' }, 'memory', /such as 512M/],
  [{ memory: '4G' }, 'memory', /4G is out of range: choose 4M to 3G/],
  [{ memory: 5_000_001 }, 'memory', /whole pages/],
  [{ memory: null }, 'memory', /give bytes or a size/],
  [{ memory: Number.NaN }, 'memory', /give bytes or a size/],
  [{ engine: 'jit' }, 'engine', /choose auto, wasm, reference/],
  [{ clock: 'atomic' }, 'clock', /real or virtual/],
  [{ debugExit: 65536 }, 'debugExit', /end at 0xffff/],
  [{ debugExit: Number.NaN }, 'debugExit', /I\/O port/],
  [{ timeout: 0 }, 'timeout', /above 0/],
  [{ timeout: Number.NaN }, 'timeout', /give seconds/],
  [{ trace: ['everything'] }, 'trace', /choose among exceptions/],
  [{ disks: [{ path: 'a', mode: 'w' }] }, 'disks', /'rw', 'ro' or 'cow'|file name/],
  [{ kernel: 7 }, 'kernel', /file name/],
  [{ memroy: '512M' }, 'memroy', /no such option/],
  [{ onTrace: 'x' }, 'onTrace', /function/],
];
for (const [options, option, problem] of wrong) {
  test(`${JSON.stringify(options)} names ${option} and the fix`, () => {
    assert.throws(
      () => checkOptions(options as MachineOptions),
      (error) => {
        assert(error instanceof OptionError);
        assert.equal(error.option, option);
        assert.match(error.problem, problem);
        assert(!error.message.includes('\n'));
        return true;
      },
    );
  });
}
