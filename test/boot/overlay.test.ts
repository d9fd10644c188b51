/** Changes to a disk that are kept from run to run. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { test } from 'node:test';
import { shell } from '../support/boot.ts';
import { serve } from '../support/http-server.ts';
import { scratch, shown, start, trapeze } from '../support/trapeze.ts';

const MIB = 2 ** 20;
const MOUNT = 'mkdir -p /mnt; mount -t ext4 /dev/vda /mnt';
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

test('a file system in an overlay outlives its machine; the base is untouched', async (t) => {
  const file = scratch(t);
  const [path, overlay] = [file('disk.img', new Uint8Array(16 * MIB)), file('changes.trz')];
  const disks = [{ path, overlay }];
  const sum = 'cd /mnt && find . -type f | sort | xargs md5sum | md5sum; cd /';
  const made = await shell(
    `mke2fs /dev/vda > /dev/null; ${MOUNT}; for i in $(seq 40); do seq $((i * 500)) > /mnt/$i; done; ${sum}; umount /mnt`,
    { disks },
  );
  assert.match(made, /^[0-9a-f]{32} {2}-$/);
  assert.equal(await shell(`${MOUNT}; ${sum}; rm /mnt/1; umount /mnt`, { disks }), made);
  assert.equal(await shell(`${MOUNT}; ls /mnt | wc -l`, { disks }), '40');
  assert.ok(readFileSync(path).every((byte) => byte === 0));
  assert.ok(statSync(overlay).size < 8 * MIB && !existsSync(`${overlay}.lock`));
});

test('what a guest synced is there after the process was killed', async (t) => {
  const file = scratch(t);
  const [path, overlay] = [file('disk.img', new Uint8Array(16 * MIB)), file('changes.trz')];
  const disk = `${path},overlay=${overlay}`;
  const { child, outcome } = start(['run', '--memory', '64M', '--disk', disk]);
  child.stdin!.on('error', () => {});
  const ready = shown(child.stdout!, 'synced 1');
  child.stdin!.write(
    `mke2fs /dev/vda > /dev/null; ${MOUNT}; seq 20000 > /mnt/numbers; sync; echo "synced $((1))"; while :; do date >> /mnt/log; sync; done\n`,
  );
  await ready;
  const second = await trapeze(['run', '--disk', disk]);
  assert.equal(second.code, 2);
  assert.match(second.stderr, new RegExp(`^trapeze: \\S+: process ${child.pid} uses this overlay: end it first`));
  child.kill('SIGKILL');
  assert.equal((await outcome).code, 'SIGKILL');
  const printed = await shell(`${MOUNT}; md5sum < /mnt/numbers`, { disks: [{ path, overlay }] });
  const numbers = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join('');
  assert.ok(printed.endsWith(`${md5(Buffer.from(numbers))}  -`), printed);
});

test('an overlay over a disk on a server keeps changes; one for another state of it is refused', async (t) => {
  const content = randomBytes(MIB);
  const server = await serve(t, content);
  const overlay = scratch(t)('changes.trz');
  const changed = Buffer.from(content);
  changed.fill('trapeze\n', 3 * 4096, 8 * 4096);
  const disks = [{ path: server.url, overlay }];
  await shell('yes trapeze | dd of=/dev/vda bs=4k seek=3 count=5 iflag=fullblock conv=notrunc,fsync 2>/dev/null', {
    disks,
  });
  assert.equal(await shell('md5sum < /dev/vda', { disks }), `${md5(changed)}  -`);
  server.etag = '"2"';
  await assert.rejects(
    shell('true', { disks }),
    /the disk below changed since: it was 1048576 bytes, "1", and is .*"2"/,
  );
  server.etag = undefined;
  await assert.rejects(shell('true', { disks }), /neither ETag nor Last-Modified.*make a manifest/);
});

test('overlays that cannot be used are one line and exit code 2', async (t) => {
  const file = scratch(t);
  const [path, overlay] = [file('disk.img', new Uint8Array(MIB)), file('changes.trz')];
  const refusal = async (disk: string, line: RegExp): Promise<void> => {
    const { code, stderr } = await trapeze(['run', '--disk', disk]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, line);
    assert.equal(stderr.trim().split('\n').length, 1);
  };
  const letter = file('letter.txt', 'Dear friend,\n');
  await refusal(`${path},overlay=${letter}`, /letter\.txt: this file holds no changes of a disk/);
  assert.equal(readFileSync(letter, 'utf8'), 'Dear friend,\n');
  await refusal(`${path},ro,overlay=${overlay}`, /'overlay' are not for 'ro': leave that out/);
  await refusal(`${path},overlay=${file('nowhere/x')}`, /nowhere\/x: there is no folder \S+nowhere: make it/);
  await shell('echo x > /dev/vda', { disks: [{ path, overlay }] });
  utimesSync(path, 1, 1);
  await refusal(
    `${path},overlay=${overlay}`,
    /changes\.trz: the disk below changed since: it was 1048576 bytes, modified 20/,
  );
});
