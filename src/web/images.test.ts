import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { collector } from '../../test/support/snapshots.ts';
import { SnapshotWriter } from '../snapshot/container.ts';
import { toJson } from '../snapshot/description.ts';
import { type Image, machineOf, withImage } from './images.ts';

const file = (name: string, size: number, at = 0, bytes: readonly number[] = []) => {
  const content = new Uint8Array(size);
  content.set(bytes, at);
  return { name, content: new Blob([content]) };
};
const linux = file('vmlinuz', 2000, 0x202, [0x48, 0x64, 0x72, 0x53]);
const cpio = file('initrd.img', 1000, 0, [0x1f, 0x8b]);
const saved = file('at-prompt.snap', 100, 0, [0x89, 0x54, 0x52, 0x41, 0x50, 0x0d, 0x0a, 0x1a]);
const qcow2 = file('root.qcow2', 100, 0, [0x51, 0x46, 0x49, 0xfb]);
const raw = file('root.img', 4096);

test('files are told by their content', async () => {
  assert.deepEqual(await machineOf([raw, cpio, linux]), {
    kernel: linux.content,
    initrd: cpio.content,
    snapshot: undefined,
    snapshotBase: undefined,
    disks: [{ image: raw.content, name: 'root.img', mode: 'cow' }],
  });
  assert.equal((await machineOf([saved])).snapshot, saved.content);
  assert.equal((await machineOf([qcow2])).disks?.[0]?.image, qcow2.content);
  const elf = file('kernel', 512, 0, [0x7f, 0x45, 0x4c, 0x46]);
  assert.equal((await machineOf([elf])).kernel, elf.content);
});

/** A snapshot that says no more than what it is. */
async function described(name: string, id: string, base: string | null): Promise<Image> {
  const { target, bytes } = collector();
  const writer = new SnapshotWriter(target);
  await writer.begin();
  const rest = {
    memory: 2 ** 20,
    clock: 'real',
    debugExit: null,
    disks: [],
    savedAtMs: 0,
    instructions: 0,
    guestNs: 0,
  };
  await writer.add('META', toJson({ id: id.repeat(32), base: base?.repeat(32) ?? null, board: 'pc', ...rest }));
  await writer.end();
  return { name, content: new Blob([bytes() as Uint8Array<ArrayBuffer>]) };
}

test('of two snapshots one must be the base of the other, in any order', async () => {
  const base = await described('base.snap', 'a', null);
  const changes = await described('changes.snap', 'b', 'a');
  for (const opened of [
    [base, changes],
    [changes, base],
  ]) {
    const { snapshot, snapshotBase } = await machineOf(opened);
    assert.deepEqual([snapshot === changes.content, snapshotBase === base.content], [true, true]);
  }
  const other = await described('other.snap', 'c', 'd');
  await assert.rejects(machineOf([base, other]), /^UserError: base.snap, other.snap: neither is the base of the other/);
  await assert.rejects(machineOf([base, other, changes]), /open one snapshot, or one and its base/);
  await assert.rejects(
    machineOf([base, saved]),
    /^UserError: at-prompt.snap: damaged: .*its end is missing|its header/,
  );
  await assert.rejects(
    withImage({ image: [base.content, changes.content], snapshotBase: base.content }),
    /snapshotBase and image both name a file/,
  );
});

test('what no machine can use is refused', async () => {
  await assert.rejects(machineOf([file('notes.txt', 7)]), /^UserError: notes.txt: no kernel/);
  await assert.rejects(machineOf([file('nothing', 0)]), /nothing: no kernel/);
  await assert.rejects(machineOf([linux, saved]), /^UserError: a snapshot has its own kernel/);
  await assert.rejects(machineOf([linux, { ...linux, name: 'other' }]), /vmlinuz and other are both of kind 'kernel'/);
});

test('images take the places of what was not named otherwise', async () => {
  const disk = { image: 'https://example.org/x.img' };
  const found = await withImage({ image: [linux.content, raw.content], memory: '1G', disks: [disk] });
  assert.deepEqual(found, {
    kernel: linux.content,
    memory: '1G',
    disks: [disk, { image: raw.content, name: 'the image', mode: 'cow' }],
  });
  assert.deepEqual(await withImage({ append: 'quiet' }), { append: 'quiet' });
  await assert.rejects(
    withImage({ image: linux.content, kernel: 'vmlinuz' }),
    /^UserError: kernel and image both name a file of kind 'kernel': leave one out/,
  );
});

test('an image on a server is told by its first bytes, whether it sends parts of files or not', async (t) => {
  const content = new Uint8Array(await raw.content.arrayBuffer());
  const server = createServer(({ url, headers }, response) => {
    if (url === '/parts' && headers.range === 'bytes=0-527') {
      const head = { 'content-range': `bytes 0-527/${content.length}`, 'content-length': 528 };
      response.writeHead(206, head).end(content.subarray(0, 528));
    } else if (url === '/odd') response.end('odd');
    else if (url === '/whole') response.end(content);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const at = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  for (const path of ['/parts', '/whole']) {
    const { disks } = await withImage({ image: at(path) });
    assert.deepEqual(disks, [{ image: at(path), name: at(path), mode: 'cow' }]);
  }
  await assert.rejects(withImage({ image: at('/odd') }), /odd: no kernel/);
  await assert.rejects(
    withImage({ image: at('/none') }),
    /^UserError: .*none: the server answers 404: check the address/,
  );
});
