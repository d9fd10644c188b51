import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, filesOf, fileWith, newImage, openDisk, readAll } from '../../test/qcow2/images.ts';
import { SECTOR } from '../../test/support/disks.ts';
import { UserError } from '../user-error.ts';
import type { SizedFile } from './file.ts';
import { openImage } from './image.ts';

const SIZE = 256 * 1024;

const image = async (backing?: string, format?: string) =>
  fileWith(await newImage({ size: SIZE, backing: backing === undefined ? undefined : { name: backing, format } }));

const files = (entries: Record<string, SizedFile>) => filesOf(new Map(Object.entries(entries)));

const refused = (all: ReturnType<typeof files>, name: string, line: RegExp, readOnly = true) =>
  assert.rejects(openImage(all, name, { readOnly }), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, line);
    assert.ok(!error.message.includes('\n'));
    return true;
  });

test('the content says what an image is', async () => {
  const all = files({ raw: await fileWith(new Uint8Array(SIZE)), qcow2: await image() });
  const opened = await openImage(all, 'qcow2', { readOnly: true });
  assert.deepEqual([opened.format, opened.disk.size], ['qcow2', SIZE]);
  assert.equal((await openImage(all, 'raw', { readOnly: true })).format, 'raw');
  const asRaw = await openImage(all, 'qcow2', { readOnly: true, format: 'raw' });
  assert.deepEqual([asRaw.format, asRaw.disk.size], ['raw', asRaw.fileSize]);
  await assert.rejects(openImage(all, 'raw', { readOnly: true, format: 'qcow2' }), /raw: this is no qcow2 image/);
});

test('images show what is behind them, through any number, and never write it', async () => {
  const base = new Uint8Array(SIZE - SECTOR).fill(1);
  const all = files({
    base: await fileWith(base),
    middle: await image('base', 'raw'),
    top: await image('middle'),
  });
  const middle = await openImage(all, 'middle', { readOnly: false });
  await middle.disk.write(SECTOR, new Uint8Array(SECTOR).fill(2));
  await middle.disk.close();
  const before = await contentOf(await all.open('middle', 'read'));
  const top = await openImage(all, 'top', { readOnly: false });
  await top.disk.write(2 * SECTOR, new Uint8Array(SECTOR).fill(3));
  await top.disk.flush();
  const expected = new Uint8Array(SIZE);
  expected.set(base);
  expected.fill(2, SECTOR, 2 * SECTOR).fill(3, 2 * SECTOR, 3 * SECTOR);
  assert.deepEqual(await readAll(top.disk), expected);
  assert.deepEqual(await contentOf(await all.open('middle', 'read')), before);
});

test('a circle of backing files is refused, as are missing ones and unknown formats', async () => {
  const all = files({
    self: await image('self'),
    a: await image('b'),
    b: await image('c', 'qcow2'),
    c: await image('a'),
    lost: await image('gone'),
    odd: await image('self', 'vmdk'),
    json: await image('json:{"driver":"raw"}', 'raw'),
    rel: await image('file:self'),
    nbd: await image('nbd:localhost:10809', 'raw'),
  });
  await refused(all, 'self', /self is behind itself.*`qemu-img rebase -u -F FORMAT -b FILE self`/);
  await refused(all, 'a', /a is behind itself/);
  await refused(
    all,
    'lost',
    /lost: its backing file gone does not exist: put it there, or name another with `qemu-img/,
  );
  await refused(all, 'odd', /format 'vmdk', .*: make one image of both with `qemu-img convert -O qcow2 odd NEW.qcow2`/);
  await refused(all, 'json', /json: its backing file 'json:{"driver":"raw"}' is no file: .*`qemu-img rebase -u -F raw/);
  await refused(all, 'rel', /'file:self' is no file/);
  await refused(all, 'nbd', /'nbd:localhost:10809' is no file/);
});

test('a raw disk found by its content cannot be made to look like a qcow2 image', async () => {
  const all = files({ raw: await fileWith(new Uint8Array(SIZE)) });
  const header = (await contentOf(await image('/etc/shadow'))).subarray(0, SECTOR);
  let told = 0;
  const { disk } = await openImage(all, 'raw', { readOnly: false, onDisguise: () => told++ });
  await assert.rejects(disk.write(0, header), /may not be made to look like/);
  await assert.rejects(disk.write(0, header), /may not be made to look like/);
  await disk.write(SECTOR, header);
  await disk.write(0, new Uint8Array(SECTOR).fill(1));
  assert.equal(told, 1);
  const said = await openImage(all, 'raw', { readOnly: false, format: 'raw' });
  await said.disk.write(0, header);
  assert.deepEqual((await contentOf(await all.open('raw', 'read'))).subarray(0, SECTOR), header);
});

type Change = (view: DataView, bytes: Uint8Array) => void;

test('what cannot be served is refused in one line that names it', async () => {
  const cases: readonly (readonly [Change, RegExp])[] = [
    [(view) => view.setUint32(4, 4), /version 4 is not supported/],
    [(view) => view.setUint32(20, 8), /damaged: clusters of 2\^8/],
    [(view) => view.setUint32(20, 22), /damaged: clusters of 2\^22/],
    [(view) => view.setUint32(32, 2), /encrypted images are not supported/],
    [(view) => view.setUint32(76, 1 << 2), /external data file are not supported/],
    [(view) => view.setUint32(76, 1 << 3), /damaged: the type of compression and its feature bit do not go together/],
    [(view) => view.setUint8(104, 1), /damaged: the type of compression and its feature bit do not go together/],
    [(view) => view.setUint8(104, 2), /compressed by a method that is not known here \(2\)/],
    [
      (view) => {
        view.setUint32(76, 1 << 4);
        view.setUint32(20, 13);
      },
      /damaged: subclusters in clusters of 8192 bytes/,
    ],
    [(view) => view.setUint32(76, 1 << 9), /a feature that is not known here \(bit 9\)/],
    [(view) => view.setUint32(72, 1 << 3), /a feature that is not known here \(bit 35\)/],
    [(view) => view.setUint32(96, 7), /refcounts of 2\^7 bits/],
    [(view) => view.setUint32(100, 2 ** 30), /its length is 1073741824/],
    [(view) => view.setUint32(28, 2 ** 31), /L1 table is too small/],
    [(view) => view.setUint32(24, 2 ** 31), /larger than 2\^53/],
    [(view) => view.setUint32(36, 2 ** 31), /L1 table of 2147483648 entries/],
    [(view) => view.setUint32(44, 2 ** 31), /L1 table lies behind the end/],
    [(view) => view.setUint32(44, 1), /not at the start of a cluster/],
    [(view) => view.setUint32(52, 2 ** 31), /refcount table lies behind the end/],
    [(view) => view.setUint32(56, 2 ** 31), /refcount table of 2147483648/],
    [(view) => view.setUint32(60, 2 ** 31), /2147483648 snapshots/],
    [(view) => view.setUint32(116, 2 ** 31), /an extension is longer than its cluster/],
  ];
  for (const [change, line] of cases) {
    const bytes = await newImage({ size: SIZE });
    change(new DataView(bytes.buffer), bytes);
    await refused(files({ image: await fileWith(bytes) }), 'image', line);
  }
  await refused(
    files({ image: await fileWith((await newImage({ size: SIZE })).subarray(0, 100)) }),
    'image',
    /cut off/,
  );
});

test('an unknown feature is called by the name that the image gives it', async () => {
  const bytes = await newImage({ size: SIZE });
  const view = new DataView(bytes.buffer);
  view.setUint32(76, 1 << 9);
  // The table of feature names is the first extension.
  assert.equal(view.getUint32(112), 0x6803f857);
  bytes.set([0, 9, ...new TextEncoder().encode('time travel\u001b[31m')], 120);
  bytes.fill(0, 120 + 2 + 16, 120 + 48);
  await refused(files({ image: await fileWith(bytes) }), 'image', /\('time travel\[31m', bit 9\)/);
});

test('an image marked as corrupt may be read and not written', async () => {
  const bytes = await newImage({ size: SIZE });
  new DataView(bytes.buffer).setUint32(76, 1 << 1);
  const all = files({ image: await fileWith(bytes) });
  await refused(all, 'image', /marked as corrupt and may only be read/, false);
  assert.deepEqual(await readAll((await openImage(all, 'image', { readOnly: true })).disk), new Uint8Array(SIZE));
});

test('an image that was not closed well is repaired before it is written', async () => {
  const file = await fileWith(await newImage({ size: SIZE, clusterSize: 4096 }));
  const kept = { ...(await filesOf(new Map([['image', file]])).open('image', 'write')) };
  const disk = await openDisk(kept);
  const content = new Uint8Array(SIZE).fill(6);
  await disk.write(0, content);
  await disk.close();
  const bytes = await contentOf(file);
  const view = new DataView(bytes.buffer);
  // Counts that were put off: only the header, the table and the block have theirs.
  bytes.fill(0, 2 * 4096 + 6, 3 * 4096);
  view.setUint32(76, 1);
  const dirty = await fileWith(bytes);
  const all = files({ image: dirty });
  assert.deepEqual(await readAll((await openImage(all, 'image', { readOnly: true })).disk), content);
  assert.deepEqual(await contentOf(dirty), bytes);
  const repaired = await openImage(all, 'image', { readOnly: false });
  content.fill(7, 0, SECTOR);
  await repaired.disk.write(0, new Uint8Array(SECTOR).fill(7));
  await repaired.disk.close();
  assert.deepEqual(await readAll((await openImage(all, 'image', { readOnly: true })).disk), content);
  assert.equal(new DataView((await contentOf(dirty)).buffer).getUint32(76), 0);
});
