/** Disks on servers, as guests use them. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDisk } from '../../src/host/node/files.ts';
import { Machine } from '../../src/host/node/index.ts';
import { newImage, readAll } from '../qcow2/images.ts';
import { boot, PROMPT, shell } from '../support/boot.ts';
import { debianDisk } from '../support/debian-disk.ts';
import { orMissing, skipWithout, there } from '../support/guests.ts';
import { serve, serveFile } from '../support/http-server.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

const MIB = 2 ** 20;
const LARGE = 2 ** 31;
const KERNEL = fileURLToPath(new URL('../../guest/images/vmlinuz-x86_64', import.meta.url));
const DONE = 'TRAPEZE-ROOT-OK';

/** Debian's own shell and programs, on a root file system that is mounted for writing. */
const INIT = `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
mount -n -t devtmpfs dev /dev
mount -n -o remount,rw /
perl -e 'print "perl says ", join(" ", map { $_ * $_ } 1 .. 5), "\\n"'
sort -r /etc/debian_version | sha256sum
ls -lR /usr/bin | wc -l > /root-listing && sync
df -m / | tail -n 1
echo ${DONE} $(cat /root-listing)
busybox poweroff -f
`;

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const disk = await orMissing(
  debianDisk('http-root', ['bash', 'coreutils', 'perl-base', 'mount', 'base-files'], LARGE, INIT).then((path) => ({
    path,
  })),
);

test('a root file system of 2 GB over HTTP boots with less than a tenth of it fetched', {
  skip: skipWithout(disk),
}, async (t) => {
  const { path } = there(disk);
  assert.equal(statSync(path).size, LARGE);
  const before = statSync(path).mtimeMs;
  const server = await serveFile(t, path);
  const append = 'console=ttyS0 root=/dev/vda ro init=/sbin/init quiet';
  const { result, text, statistics } = await boot({ kernel: KERNEL, append, disks: [server.url], memory: '256M' });
  assert.deepEqual(result, { kind: 'poweredOff' }, text);
  assert.match(text, /perl says 1 4 9 16 25/);
  assert.match(text, new RegExp(`${DONE} \\d+`));
  const [fetched] = statistics.disks;
  assert.ok(fetched !== null && fetched !== undefined);
  assert.ok(fetched.bytes < LARGE / 10 && server.sent < LARGE / 10, `${fetched.bytes} bytes were fetched`);
  assert.ok(fetched.bytes > MIB && fetched.requests > 10 && fetched.failures === 0, JSON.stringify(fetched));
  assert.equal(statSync(path).mtimeMs, before);
  t.diagnostic(`fetched ${fetched.bytes} bytes of ${LARGE} in ${fetched.requests} requests`);
});

test('a server that dies gives the guest I/O errors, and the person a line; the guest lives on', async (t) => {
  const content = randomBytes(4 * MIB);
  const server = await serve(t, content);
  const lines: string[] = [];
  const machine = await Machine.create({
    memory: '64M',
    timeout: 120,
    disks: [{ path: server.url, mode: 'ro' }],
    onWarning: (line) => lines.push(line),
  });
  let text = '';
  machine.onOutput((bytes) => (text += Buffer.from(bytes).toString('latin1')));
  const ended = machine.run();
  await machine.waitForText(PROMPT);
  machine.write('dd if=/dev/vda bs=64k count=8 2>/dev/null | md5sum; echo "read $((1))"\n');
  await machine.waitForText('read 1', { timeout: 120 });
  server.die();
  machine.write(
    'dd if=/dev/vda bs=64k skip=40 count=4 of=/dev/null; echo "ended with $?"; dmesg | tail -n 3; poweroff\n',
  );
  assert.deepEqual(await ended, { kind: 'poweredOff' }, text);
  assert.ok(text.includes(md5(content.subarray(0, MIB / 2))), text);
  assert.match(text, /dd: .*(I\/O|Input\/output) error/);
  assert.match(text, /ended with 1/);
  assert.match(text, /I\/O error, dev vda/);
  assert.equal(lines.length, 1, String(lines));
  assert.match(lines[0]!, /^http:\/\/\S+: the server cannot be reached .*; the guest gets read errors$/);
  assert.ok(machine.statistics().disks[0]!.failures > 0);
});

test('a guest writes over a disk on a server; what it fetched is kept from run to run', async (t) => {
  const content = randomBytes(2 * MIB);
  const server = await serve(t, content);
  const cache = scratch(t)('blocks.cache');
  const changed = Buffer.from(content);
  changed.fill('trapeze\n', 3 * 4096, 8 * 4096);
  const line =
    'yes trapeze | dd of=/dev/vda bs=4k seek=3 count=5 iflag=fullblock conv=notrunc,fsync 2>/dev/null; ' +
    'echo 3 > /proc/sys/vm/drop_caches; md5sum /dev/vda';
  const run = (): Promise<string> => shell(line, { disks: [{ path: server.url, cache }] });
  assert.equal(await run(), `${md5(changed)}  /dev/vda`);
  const { length } = server.asked;
  assert.equal(await run(), `${md5(changed)}  /dev/vda`);
  assert.equal(server.asked.length - length, 1, 'the size alone was asked for');
  assert.ok(server.content === content);
});

test('the command takes addresses for disks and kernels, and makes manifests', async (t) => {
  const file = scratch(t);
  const image = randomBytes(MIB);
  const path = file('disk.img', image);
  const made = await trapeze(['disk', 'manifest', path]);
  assert.deepEqual([made.code, made.stderr], [0, '']);
  assert.match(made.stdout, /disk\.img\.manifest\.json: 1M, 16 blocks, 0 of them zeros\n$/);
  const server = await serve(t, image);
  server.manifest = readFileSync(`${path}.manifest.json`, 'utf8');
  const kernel = await serve(t, readFileSync(KERNEL));
  const stats = file('stats.json');
  const words = ['run', '--memory', '64M', '--disk', server.url, '--stats', stats];
  const initrd = fileURLToPath(new URL('../../guest/images/initramfs-x86_64.cpio', import.meta.url));
  const boot = ['--kernel', kernel.url, '--initrd', initrd, '--append', 'console=ttyS0 quiet'];
  const ran = await trapeze([...words, ...boot], 'md5sum /dev/vda\npoweroff\n');
  assert.equal(ran.code, 0, ran.stderr);
  assert.ok(ran.stdout.includes(`${md5(image)}  /dev/vda`), ran.stdout);
  const { disks } = JSON.parse(readFileSync(stats, 'utf8')) as { disks: { bytes: number }[] };
  assert.ok(disks[0]!.bytes > MIB);
  // An image that is not that of its manifest gives the guest errors, or is refused when its format cannot be told.
  server.content = Buffer.concat([image.subarray(0, MIB / 2), randomBytes(MIB / 2)]);
  const wrong = await trapeze(words, 'md5sum /dev/vda; echo "ended with $?"\npoweroff\n');
  assert.match(wrong.stdout, /ended with 1/);
  assert.match(wrong.stderr, /bytes \d+-\d+ are not those of the manifest/);
  server.content = randomBytes(MIB);
  const refused = await trapeze(words);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /disk\.img: the image cannot be read: bytes 0-\d+ are not those of the manifest/);
});

test('a qcow2 image on a server is opened by its content, with what is behind it there', async (t) => {
  const content = new Uint8Array(randomBytes(MIB));
  const base = await serve(t, Buffer.from(content));
  const backing = { name: base.url, format: 'raw' };
  const image = await newImage({ size: MIB, clusterSize: 4096, backing });
  const top = await serve(t, Buffer.from(image));
  const disk = await openDisk(top.url, 'cow', assert.fail);
  content.fill(7, 4096, 8192);
  await disk.write(4096, content.slice(4096, 8192));
  assert.deepEqual(await readAll(disk), content);
  await disk.close();
  const local = await serve(
    t,
    Buffer.from(await newImage({ size: MIB, backing: { name: 'file:///etc/passwd', format: 'raw' } })),
  );
  await assert.rejects(
    openDisk(local.url, 'ro', assert.fail),
    /its backing file 'file:\/\/\/etc\/passwd' is on no server/,
  );
});

test('addresses that cannot be used are one line and exit code 2', async (t) => {
  const server = await serve(t, randomBytes(1000));
  const gone = server.url.replace('disk.img', 'other.img');
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--disk', gone], /other\.img: the server answers 404: there is no such file: check the address\n$/],
    [['--disk', server.url], /has 1000 bytes, not a multiple of 512: .*truncate -s %512/],
    [['--disk', `${server.url},rw`], /cannot be 'rw': choose 'ro' or 'cow'/],
    [['--disk', 'disk.img,cache=x'], /'cache' is for disks on servers/],
    [['--kernel', gone], /other\.img: the server answers 404/],
    [['--disk', 'http://'], /this is no address/],
  ];
  for (const [words, line] of cases) {
    const { code, stdout, stderr } = await trapeze(['run', ...words]);
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(stderr, line);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
});
