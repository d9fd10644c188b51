import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type CpioEntry, writeCpio } from './cpio.ts';

const ENTRIES: readonly CpioEntry[] = [
  { type: 'directory', path: 'dev' },
  { type: 'character', path: 'dev/console', major: 5, minor: 1 },
  { type: 'block', path: 'dev/vda', mode: 0o660, major: 254, minor: 0 },
  { type: 'file', path: 'init', mode: 0o755, content: '#!/bin/sh\n' },
  { type: 'file', path: 'empty', content: new Uint8Array() },
  { type: 'symlink', path: 'sh', target: 'bin/busybox' },
];

const ascii = (bytes: Uint8Array, from: number, to: number): string => new TextDecoder().decode(bytes.slice(from, to));

/** Reads an archive back: for each entry its path, mode, size, device numbers and content. */
function parse(archive: Uint8Array) {
  const found = [];
  for (let at = 0; ; ) {
    assert.equal(ascii(archive, at, at + 6), '070701');
    const field = (index: number): number =>
      Number.parseInt(ascii(archive, at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const nameEnd = at + 110 + field(11);
    const path = ascii(archive, at + 110, nameEnd - 1);
    const start = (nameEnd + 3) & ~3;
    const end = start + field(6);
    if (path === 'TRAILER!!!') return found;
    found.push({
      path,
      mode: field(1),
      mtime: field(5),
      rdev: [field(9), field(10)],
      text: ascii(archive, start, end),
    });
    at = (end + 3) & ~3;
  }
}

test('entries read back with their mode, device numbers and content', () => {
  const found = parse(writeCpio(ENTRIES, 7));
  assert.deepEqual(
    found.map(({ path, mode, rdev, text }) => [path, mode.toString(8), rdev, text]),
    [
      ['dev', '40755', [0, 0], ''],
      ['dev/console', '20600', [5, 1], ''],
      ['dev/vda', '60660', [254, 0], ''],
      ['init', '100755', [0, 0], '#!/bin/sh\n'],
      ['empty', '100644', [0, 0], ''],
      ['sh', '120777', [0, 0], 'bin/busybox'],
    ],
  );
  assert.ok(found.every((entry) => entry.mtime === 7));
});

test('the archive is padded to whole blocks and equal entries give equal bytes', () => {
  const archive = writeCpio(ENTRIES);
  assert.equal(archive.length % 512, 0);
  assert.deepEqual(archive, writeCpio(ENTRIES));
});

const hostCpio = spawnSync('cpio', ['--version']).status === 0;

test('cpio lists the archive', { skip: hostCpio ? false : 'Debian package cpio is not installed' }, () => {
  const run = spawnSync('cpio', ['-t', '--quiet'], { input: writeCpio(ENTRIES) });
  assert.equal(run.stderr.toString(), '');
  assert.deepEqual(run.stdout.toString().trim().split('\n'), ['dev', 'dev/console', 'dev/vda', 'init', 'empty', 'sh']);
});
