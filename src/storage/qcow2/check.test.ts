import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, contentOf, fileWith, keptOpen, newImage, openDisk, readAll } from '../../../test/qcow2/images.ts';
import { UserError } from '../../user-error.ts';

const CLUSTER = 512;
const SIZE = 200 * CLUSTER;

/** An image with content: header, refcount table, block, L1 table, then L2 tables and data. */
async function image(refcountBits = 16): Promise<Uint8Array> {
  const file = await fileWith(await newImage({ size: SIZE, clusterSize: CLUSTER, refcountBits }));
  const disk = await openDisk(keptOpen(file));
  await disk.write(0, new Uint8Array(SIZE).fill(5));
  await disk.close();
  return contentOf(file);
}

const L1 = 3 * CLUSTER;

test('damage to what refers to clusters is an error, and nothing is repaired then', async () => {
  const cases: readonly (readonly [(view: DataView) => void, RegExp])[] = [
    [(view) => view.setUint32(L1 + 4, 2 ** 30), /an L2 table at 1073741824 lies outside of the file/],
    [(view) => view.setUint32(L1 + 12, view.getUint32(L1 + 4)), /names the L2 table at \d+ twice/],
    [
      (view) => view.setUint32(L1 + 4, CLUSTER),
      /the refcount table at 512 shares cluster 1 with another table or with data/,
    ],
    [(view) => view.setUint32(view.getUint32(L1 + 4) + 4, CLUSTER), /the refcount table at 512 shares cluster 1/],
    [(view) => view.setUint32(CLUSTER + 12, view.getUint32(CLUSTER + 4)), /names the block at 1024 twice/],
  ];
  for (const [change, problem] of cases) {
    const bytes = await image();
    change(new DataView(bytes.buffer));
    const file = await fileWith(bytes);
    const report = await check(file, 'leaks');
    assert.match(report.problems.join('\n'), problem);
    assert.ok(report.errors > 0);
    assert.deepEqual([report.repairedErrors, report.repairedLeaks], [0, 0]);
    assert.deepEqual(await contentOf(file), bytes);
  }
});

test('counts that are lost altogether are made anew, with the blocks for them', async () => {
  for (const refcountBits of [16, 64]) {
    const bytes = await image(refcountBits);
    // With 64 bits a block counts 64 clusters: several are lost.
    bytes.fill(0, CLUSTER, 2 * CLUSTER);
    const file = await fileWith(bytes);
    const before = await check(file);
    assert.ok(before.errors > 200);
    const repaired = await check(file, 'all');
    assert.equal(repaired.repairedErrors, repaired.errors);
    assert.deepEqual((await check(file)).problems, []);
    assert.deepEqual(await readAll(await openDisk(file)), new Uint8Array(SIZE).fill(5));
  }
});

test('flags of what may be written in place are held against the counts', async () => {
  const bytes = await image();
  const view = new DataView(bytes.buffer);
  const l2 = view.getUint32(L1 + 4);
  view.setUint32(l2, view.getUint32(l2) & 0x7fff_ffff);
  const file = await fileWith(bytes);
  const report = await check(file, 'leaks');
  assert.deepEqual([report.errors, report.leaks], [1, 0]);
  assert.match(report.problems[0]!, /ERROR the cluster at \d+ is counted 1 times and flagged otherwise/);
  await check(file, 'all');
  assert.deepEqual((await check(file)).problems, []);
});

test('a table of snapshots that leaves the file is refused', async () => {
  const bytes = await image();
  const view = new DataView(bytes.buffer);
  view.setUint32(60, 3);
  view.setUint32(68, bytes.length - CLUSTER);
  // Its name has the length of a line's end, and is one.
  const entry = bytes.subarray(bytes.length - CLUSTER).fill(0);
  entry.set([0xff], 4);
  entry.set([0, 1], 14);
  entry.set([10], 40);
  await assert.rejects(check(await fileWith(bytes)), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^.*the L1 table of snapshot '' leaves the file.*$/);
    return true;
  });
});
