/** The host's disk is full under a guest's. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { withoutSmallFileSystem as skip, trapezeOn } from '../support/small-file-system.ts';
import { scratch } from '../support/trapeze.ts';

const MIB = 2 ** 20;
const SUM = 'dd if=/dev/vda bs=64k count=8 2>/dev/null | md5sum';
/** Writes the second half of a disk of 8 MiB; then the first half MiB must be as before. */
const GUEST = [
  `echo sum $(${SUM})`,
  'dd if=/dev/zero bs=64k count=64 2>/dev/null | tr "\\\\0" x | dd of=/dev/vda bs=64k seek=64 iflag=fullblock conv=notrunc,fsync',
  'echo "dd ended with $?"',
  'echo 3 > /proc/sys/vm/drop_caches',
  `echo sum $(${SUM})`,
  'poweroff',
  '',
].join('\n');

const RUN = ['run', '--memory', '64M', '--append', 'console=ttyS0'];

function checkGuest(stdout: string, content: Uint8Array): void {
  assert.match(stdout, /dd ended with 1/);
  assert.match(stdout, /dd: .*(I\/O error|No space left on device)/);
  const sum = createHash('md5')
    .update(content.subarray(0, MIB / 2))
    .digest('hex');
  assert.equal(stdout.match(new RegExp(`sum ${sum} -`, 'g'))?.length, 2, stdout);
}

test('under a copy-on-write overlay: the guest gets write errors, the user one line, the base stays', {
  skip,
}, async (t) => {
  const file = scratch(t);
  const content = randomBytes(8 * MIB);
  const [path, directory] = [file('disk.img', content), file('small')];
  mkdirSync(directory);
  const { code, stdout, stderr } = await trapezeOn(directory, '1m', ':', [...RUN, '--disk', `${path},cow`], GUEST);
  checkGuest(stdout, content);
  assert.match(stderr, /^trapeze: disk \S+: no room left in \S+ .*set TMPDIR to a larger directory\n$/);
  assert.equal(code, 0);
  assert(readFileSync(path).equals(content), 'the base is unchanged');
});

test('under a sparse disk written in place: the same, and what was written before stays', { skip }, async (t) => {
  const file = scratch(t);
  const directory = file('small');
  mkdirSync(directory);
  const prepare = 'truncate -s 8M disk.img; yes start | head -c 524288 | dd of=disk.img conv=notrunc status=none';
  const { code, stdout, stderr } = await trapezeOn(directory, '2m', prepare, [...RUN, '--disk', 'disk.img'], GUEST);
  checkGuest(stdout, Buffer.alloc(MIB / 2, 'start\n'));
  assert.match(stderr, /^trapeze: disk disk\.img: the host's file system is full .*; free some space there\n$/);
  assert.equal(code, 0);
});
