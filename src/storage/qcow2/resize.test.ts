import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from '../../../test/conformance/random.ts';
import {
  BytesDisk,
  check,
  contentOf,
  fileWith,
  keptOpen,
  newImage,
  openDisk,
  readAll,
} from '../../../test/qcow2/images.ts';
import { SECTOR } from '../../../test/support/disks.ts';
import { RecordingFile } from '../../../test/support/power-cut.ts';
import { UserError } from '../../user-error.ts';
import { MemoryFile } from '../memory-file.ts';

const SECTORS = 2000;

const GEOMETRY = fc.constantFrom(
  { version: 2 as const, clusterSize: 512, refcountBits: 16 },
  { version: 3 as const, clusterSize: 512, refcountBits: 64 },
  { version: 3 as const, clusterSize: 4096, refcountBits: 1 },
  { version: 3 as const, clusterSize: 16_384, refcountBits: 16, extendedL2: true },
  { version: 3 as const, clusterSize: 65_536, refcountBits: 16 },
);

const STEP = fc.record({
  resize: fc.boolean(),
  sector: fc.nat(SECTORS - 1),
  count: fc.integer({ min: 1, max: 60 }),
});

const noise = (length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  new Random(seed).fill(bytes);
  return bytes;
};

/** The same as far as both go, and zeros behind. */
function resized(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const other = new Uint8Array(size);
  other.set(bytes.subarray(0, size));
  return other;
}

test('a disk that is made larger has zeros there, one that is made smaller gives all back that it had', async () => {
  await fc.assert(
    fc.asyncProperty(GEOMETRY, fc.boolean(), fc.array(STEP, { maxLength: 12 }), async (geometry, backed, steps) => {
      const behind = noise(700 * SECTOR, 1);
      const size = 500 * SECTOR;
      const backing = backed ? { name: 'base', format: 'raw' } : undefined;
      const file = await fileWith(await newImage({ size, ...geometry, backing }));
      const open = () => openDisk(keptOpen(file), { backing: backed ? new BytesDisk(behind) : undefined });
      let model = backed ? behind.slice(0, size) : new Uint8Array(size);
      for (const [i, { resize, sector, count }] of steps.entries()) {
        const disk = await open();
        if (resize) {
          model = resized(model, (sector + 1) * SECTOR);
          const end = await disk.resize(model.length);
          assert.equal(end, (await check(file)).imageEnd);
        } else {
          const at = Math.min(sector * SECTOR, model.length - SECTOR);
          const content = noise(Math.min(count * SECTOR, model.length - at), i);
          model.set(content, at);
          await disk.write(at, content);
        }
        await disk.close();
      }
      const { errors, leaks, problems } = await check(file);
      assert.deepEqual([errors, leaks, problems], [0, 0, []]);
      const disk = await open();
      assert.deepEqual(await readAll(disk), model);
      await disk.resize(SECTOR);
      await disk.close();
      assert.ok((await check(file)).allocatedClusters <= 1);
    }),
    { numRuns: 120 },
  );
});

test('tables too large for what one block counts find a place, and disks too large for any table are refused', async () => {
  const file = await fileWith(await newImage({ size: 2 ** 20, clusterSize: 512, refcountBits: 64 }));
  for (const size of [2 ** 28, 2 ** 32]) {
    const disk = await openDisk(keptOpen(file));
    await disk.resize(size);
    await disk.write(size - 4 * SECTOR, noise(4 * SECTOR, 5));
    await disk.close();
    assert.deepEqual((await check(file)).problems, []);
  }
  const disk = await openDisk(file);
  const last = new Uint8Array(4 * SECTOR);
  await disk.read(2 ** 32 - last.length, last);
  assert.deepEqual(last, noise(4 * SECTOR, 5));
  await assert.rejects(disk.resize(2 ** 50), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /too large for clusters of 512/);
    return true;
  });
});

test('a power cut while the size changes leaves the disk as it was, or as it is to be', async () => {
  for (let seed = 0; seed < 12; seed++) {
    const random = new Random(seed);
    const extendedL2 = seed % 3 === 0;
    const [small, large] = [150 * SECTOR, 3000 * SECTOR];
    const [before, after] = seed % 2 === 0 ? [small, large] : [large, small];
    const made = await fileWith(
      await newImage({ size: before, clusterSize: extendedL2 ? 16_384 : 512, refcountBits: 16, extendedL2 }),
    );
    const content = noise(before, seed + 1);
    const first = await openDisk(keptOpen(made));
    await first.write(0, content);
    await first.close();
    const file = await RecordingFile.of(await contentOf(made));
    let cuts = 0;
    file.onMoment = async () => {
      cuts += 1;
      const left = new MemoryFile();
      await left.write(
        0,
        file.afterCut(() => random.u32() / 2 ** 32),
      );
      const disk = await openDisk(left, { readOnly: true });
      const found = await readAll(disk);
      assert.ok(found.length === before || found.length === after);
      // What a smaller disk will not have may be gone already.
      const kept = Math.min(small, found.length);
      assert.deepEqual(found.subarray(0, kept), content.subarray(0, kept));
      if (before < after) assert.ok(found.subarray(before).every((byte) => byte === 0));
      assert.equal((await check(left)).errors, 0);
    };
    const disk = await openDisk(file);
    await disk.resize(after);
    await disk.close();
    assert.ok(cuts > 5, `${cuts} cuts`);
  }
});
