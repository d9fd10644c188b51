/** Disks as a guest uses them, and what is in the files afterwards. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';
import type { DiskFile } from '../../src/host/node/index.ts';
import { shell } from '../support/boot.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

const MIB = 2 ** 20;
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const withDisks = (line: string, ...disks: readonly DiskFile[]): Promise<string> => shell(line, { disks });
const DROP_CACHE = 'sync; echo 3 > /proc/sys/vm/drop_caches';
const WRITE = 'yes trapeze | dd of=/dev/vda bs=4k seek=3 count=5 iflag=fullblock conv=notrunc,fsync 2>&1';
const LINE = Buffer.from('trapeze\n');

/** `content` after what {@link WRITE} did to it. */
function written(content: Buffer): Buffer {
  const changed = Buffer.from(content);
  changed.fill(LINE, 3 * 4096, 8 * 4096);
  return changed;
}

for (const mode of ['rw', 'cow'] as const) {
  test(`what a guest writes to a disk it reads back (${mode}); the file ${mode === 'rw' ? 'has' : 'lacks'} it`, async (t) => {
    const content = randomBytes(4 * MIB);
    const path = scratch(t)('disk.img', content);
    const printed = await withDisks(
      `md5sum /dev/vda; ${WRITE} | tail -n 1; ${DROP_CACHE}; md5sum /dev/vda; cat /sys/block/vda/ro /sys/block/vda/size`,
      { path, mode },
    );
    const [before, , after, readOnly, sectors] = printed.split('\n');
    assert.equal(before, `${md5(content)}  /dev/vda`);
    assert.equal(after, `${md5(written(content))}  /dev/vda`);
    assert.deepEqual([readOnly, sectors], ['0', `${(4 * MIB) / 512}`]);
    assert.equal(md5(readFileSync(path)), md5(mode === 'rw' ? written(content) : content));
  });
}

test('what a guest writes to a qcow2 image is in it, over a file that stays as it is; the image is sound', async (t) => {
  const content = randomBytes(4 * MIB);
  const file = scratch(t);
  const [base, path] = [file('base.img', content), file('disk.qcow2')];
  const made = await trapeze(['disk', 'create', '--backing', base, path]);
  assert.equal(made.code, 0, made.stderr);
  const printed = await withDisks(`md5sum /dev/vda; ${WRITE} | tail -n 1; ${DROP_CACHE}; md5sum /dev/vda`, { path });
  const [before, , after] = printed.split('\n');
  assert.deepEqual([before, after], [`${md5(content)}  /dev/vda`, `${md5(written(content))}  /dev/vda`]);
  assert.equal(md5(readFileSync(base)), md5(content));
  const checked = await trapeze(['disk', 'check', path]);
  assert.match(checked.stdout, /no errors, no leaked clusters; 1 of 64 clusters in use/);
  const flat = file('flat.img');
  await trapeze(['disk', 'convert', '--format', 'raw', path, flat]);
  assert.equal(md5(readFileSync(flat)), md5(written(content)));
});

test('an overlay leaves no file behind', async (t) => {
  const file = scratch(t);
  const [path, directory] = [file('disk.img', new Uint8Array(MIB)), file('temporary')];
  mkdirSync(directory);
  const { TMPDIR } = process.env;
  process.env.TMPDIR = directory;
  t.after(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  });
  await withDisks(WRITE, { path, mode: 'cow' });
  assert.deepEqual(readdirSync(directory), []);
});

test('a read-only disk says so and refuses writes', async (t) => {
  const content = randomBytes(MIB);
  const path = scratch(t)('disk.img', content);
  const printed = await withDisks(`cat /sys/block/vda/ro; ${WRITE}; ${DROP_CACHE}; md5sum /dev/vda`, {
    path,
    mode: 'ro',
  });
  assert.match(printed, /^1\n/);
  assert.match(printed, /Operation not permitted/);
  assert(printed.endsWith(`${md5(content)}  /dev/vda`), printed);
  assert.equal(md5(readFileSync(path)), md5(content));
});

test('an ext4 file system outlives its machine; a copy-on-write machine in between changes nothing', async (t) => {
  const path = scratch(t)('disk.img', new Uint8Array(16 * MIB));
  const mount = 'mkdir -p /mnt; mount -t ext4 /dev/vda /mnt';
  const files = 'for i in $(seq 40); do seq $((i * 500)) > /mnt/dir/$i; done';
  const sum = 'cd /mnt && find . -type f | sort | xargs md5sum | md5sum; cd /';
  const made = await withDisks(`mke2fs /dev/vda > /dev/null; ${mount}; mkdir /mnt/dir; ${files}; ${sum}; umount /mnt`, {
    path,
  });
  assert.match(made, /^[0-9a-f]{32} {2}-$/);
  const image = md5(readFileSync(path));
  const spoilt = await withDisks(`${mount}; rm -r /mnt/dir; touch /mnt/x; umount /mnt; ${mount}; ls /mnt | cat`, {
    path,
    mode: 'cow',
  });
  assert.equal(spoilt.replaceAll(/\s+/g, ' '), 'lost+found x');
  assert.equal(md5(readFileSync(path)), image);
  assert.equal(await withDisks(`${mount} -o ro; ${sum}`, { path, mode: 'ro' }), made);
});

test('several disks come in the order in which they were given', async (t) => {
  const file = scratch(t);
  const disks = ['a', 'b', 'c'].map((name, i) => ({
    path: file(name, Buffer.alloc((i + 1) * 4096, `disk ${name}\n`)),
    mode: 'ro' as const,
  }));
  const printed = await withDisks('for d in /dev/vd?; do head -n 1 $d; done; cat /sys/block/vd?/size', ...disks);
  assert.deepEqual(printed.split('\n'), ['disk a', 'disk b', 'disk c', '8', '16', '24']);
});

test('under the virtual clock a disk takes no time and all that it does repeats', async (t) => {
  const content = randomBytes(MIB);
  const path = scratch(t)('disk.img', content);
  const line = `md5sum /dev/vda; ${WRITE}; ${DROP_CACHE}; md5sum /dev/vda; cat /proc/uptime`;
  const run = (): Promise<string> => shell(line, { disks: [{ path, mode: 'cow' }], clock: 'virtual' });
  const first = await run();
  assert(first.includes(md5(written(content))), first);
  assert.equal(await run(), first);
});
