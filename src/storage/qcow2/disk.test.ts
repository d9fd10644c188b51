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
  NAME,
  newImage,
  openDisk,
  readAll,
} from '../../../test/qcow2/images.ts';
import { runPowerCuts } from '../../../test/qcow2/power-cuts.ts';
import { FillingFile, SECTOR } from '../../../test/support/disks.ts';
import { deflate } from '../deflate.ts';
import { StorageFullError } from '../file.ts';
import { MemoryFile } from '../memory-file.ts';

const SIZE = 128 * 1024;

const GEOMETRY = fc.oneof(
  fc.record({
    version: fc.constant(3 as const),
    clusterSize: fc.constantFrom(512, 4096, 65_536),
    refcountBits: fc.constantFrom(1, 2, 4, 8, 16, 32, 64),
  }),
  fc.record({
    version: fc.constant(2 as const),
    clusterSize: fc.constantFrom(512, 4096, 65_536),
    refcountBits: fc.constant(16),
  }),
  fc.record({
    version: fc.constant(3 as const),
    clusterSize: fc.constantFrom(16_384, 65_536),
    refcountBits: fc.constantFrom(1, 16),
    extendedL2: fc.constant(true),
  }),
);

const STEP = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'zero', 'read', 'flush', 'reopen'),
  sector: fc.nat(SIZE / SECTOR - 1),
  count: fc.integer({ min: 1, max: 64 }),
  seed: fc.nat(),
});

const noise = (length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  new Random(seed).fill(bytes);
  return bytes;
};

test('an image is an array of sectors, in every geometry, and never contradicts itself', async () => {
  await fc.assert(
    fc.asyncProperty(GEOMETRY, fc.boolean(), fc.array(STEP, { maxLength: 30 }), async (geometry, backed, steps) => {
      // Shorter than the image, so that both its content and its end show through.
      const behind = noise(SIZE - 7 * SECTOR, 1);
      const model = new Uint8Array(SIZE);
      if (backed) model.set(behind);
      const backing = backed ? { name: 'base', format: 'raw' } : undefined;
      const file = await fileWith(await newImage({ size: SIZE, ...geometry, backing }));
      // The disk closes its file: it is given one that can be opened again.
      const kept = { ...bound(file), close: async () => {} };
      const open = async () => openDisk(kept, { backing: backed ? new BytesDisk(behind) : undefined });
      let disk = await open();
      for (const { kind, sector, count, seed } of steps) {
        const [from, to] = [sector * SECTOR, Math.min(SIZE, (sector + count) * SECTOR)];
        if (kind === 'write') {
          const content = noise(to - from, seed);
          model.set(content, from);
          await disk.write(from, content);
        } else if (kind === 'zero') {
          model.fill(0, from, to);
          await disk.writeZeroes(from, to - from);
        } else if (kind === 'read') {
          const bytes = new Uint8Array(to - from);
          await disk.read(from, bytes);
          assert.deepEqual(bytes, model.slice(from, to));
        } else if (kind === 'flush') {
          await disk.flush();
        } else {
          await disk.close();
          disk = await open();
        }
      }
      assert.deepEqual(await readAll(disk), model);
      await disk.close();
      const { errors, leaks, problems } = await check(file);
      assert.deepEqual([errors, leaks, problems], [0, 0, []]);
      assert.deepEqual(await readAll(await open()), model);
    }),
    { numRuns: 200 },
  );
});

const bound = (file: MemoryFile) => ({
  read: (offset: number, into: Uint8Array) => file.read(offset, into),
  write: (offset: number, from: Uint8Array) => file.write(offset, from),
  size: () => file.size(),
  flush: () => file.flush(),
});

test('a power cut at any write leaves an image that opens, with all that was flushed', async () => {
  for (let seed = 0; seed < 14; seed++) {
    const random = new Random(seed);
    const extendedL2 = seed % 5 >= 3;
    const version = extendedL2 ? 3 : random.pick([2, 3] as const);
    const image = await newImage({
      size: SIZE,
      version,
      extendedL2,
      clusterSize: extendedL2 ? 16_384 : random.pick([512, 4096]),
      refcountBits: version === 2 ? 16 : random.pick([1, 16, 64]),
      ...(seed % 2 === 0 && { backing: { name: 'base', format: 'raw' } }),
    });
    const behind = noise(SIZE, 3);
    const backing = () => new BytesDisk(behind);
    const { cuts, failures } = await runPowerCuts({
      random,
      image,
      content: seed % 2 === 0 ? behind : new Uint8Array(SIZE),
      backing: seed % 2 === 0 ? backing : undefined,
      steps: 40,
    });
    assert.deepEqual(failures, [], `seed ${seed}`);
    assert.ok(cuts > 40, `${cuts} cuts`);
  }
});

/** A file whose answers come late and out of order. */
class SlowFile extends MemoryFile {
  readonly #random = new Random(5);

  override async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#wait();
    await super.read(offset, into);
  }

  override async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#wait();
    await super.write(offset, from);
  }

  override async flush(): Promise<void> {
    await this.#wait();
  }

  override async close(): Promise<void> {}

  async #wait(): Promise<void> {
    for (let turns = this.#random.below(4); turns > 0; turns--) await new Promise(setImmediate);
  }
}

for (const extendedL2 of [false, true])
  test(`requests at the same time do not disturb each other${extendedL2 ? ', nor those to subclusters' : ''}`, () =>
    useAtOnce(extendedL2));

async function useAtOnce(extendedL2: boolean): Promise<void> {
  const file = new SlowFile();
  await file.write(0, await newImage({ size: SIZE, clusterSize: extendedL2 ? 32_768 : 4096, extendedL2 }));
  const disk = await openDisk(file);
  const model = new Uint8Array(SIZE);
  const random = new Random(9);
  for (let round = 0; round < 12; round++) {
    const order = Array.from({ length: SIZE / SECTOR }, (_, i) => i).filter(() => random.chance(0.5));
    const expected = model.slice();
    await Promise.all([
      ...order.map(async (sector) => {
        const at = sector * SECTOR;
        const content = random.chance(0.8) ? noise(SECTOR, round * 1000 + sector) : new Uint8Array(SECTOR);
        model.set(content, at);
        if (content.some((byte) => byte !== 0)) await disk.write(at, content);
        else await disk.writeZeroes(at, SECTOR);
      }),
      ...Array.from({ length: 40 }, async () => {
        const sector = random.below(SIZE / SECTOR);
        const bytes = new Uint8Array(SECTOR);
        await disk.read(sector * SECTOR, bytes);
        const after = model.slice(sector * SECTOR, (sector + 1) * SECTOR);
        const before = expected.slice(sector * SECTOR, (sector + 1) * SECTOR);
        assert.ok([before, after].some((one) => Buffer.compare(one, bytes) === 0));
      }),
      disk.flush(),
    ]);
    assert.deepEqual(await readAll(disk), model);
  }
  await disk.close();
  assert.deepEqual((await check(file)).problems, []);
}

test('a small write takes a subcluster from the backing disk, and zeros give back what they empty', async () => {
  const behind = noise(SIZE, 1);
  const backing = { name: 'base', format: 'raw' };
  const shape = { size: SIZE, clusterSize: 65_536, extendedL2: true, backing };
  const file = await fileWith(await newImage(shape));
  const reads: number[] = [];
  const disk = await openDisk(keptOpen(file), {
    backing: Object.assign(new BytesDisk(behind), {
      read: async (offset: number, into: Uint8Array) => {
        reads.push(offset, into.length);
        into.set(behind.subarray(offset, offset + into.length));
      },
    }),
  });
  await disk.write(5 * SECTOR, noise(SECTOR, 2));
  assert.deepEqual(reads, [2048, 2048], 'the subcluster of sectors 4 to 7');
  await disk.flush();
  assert.equal((await check(file)).allocatedClusters, 1);
  assert.deepEqual((await disk.extent(0)).zero, false);
  await disk.writeZeroes(2048, 2048);
  await disk.flush();
  assert.deepEqual(await disk.extent(2048), { zero: true, length: 2048 });
  await disk.close();
  const after = await check(file);
  assert.deepEqual([after.problems, after.allocatedClusters], [[], 0]);
});

test('compressed clusters are read, written over, and share clusters of the file', async () => {
  const clusterSize = 4096;
  const file = new SlowFile();
  await file.write(0, await newImage({ size: SIZE, clusterSize }));
  const disk = await openDisk(file);
  const model = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at += clusterSize) {
    const words = noise(clusterSize, at).map((byte) => 97 + (byte % 4));
    model.set(words, at);
    assert.equal(await disk.writeCompressed(at, await deflate(words)), true);
  }
  await disk.flush();
  assert.deepEqual(await readAll(disk), model);
  const before = await check(file);
  assert.deepEqual([before.problems, before.compressedClusters], [[], SIZE / clusterSize]);
  assert.ok((await file.size()) < SIZE / 2);
  model.fill(0x55, 5 * SECTOR, 30 * SECTOR);
  await disk.write(5 * SECTOR, model.slice(5 * SECTOR, 30 * SECTOR));
  assert.equal(await disk.writeCompressed(0, new Uint8Array(8)), false);
  await disk.close();
  assert.deepEqual((await check(file)).problems, []);
  assert.deepEqual(await readAll(await openDisk(file)), model);
});

test('the refcount table grows and moves', async () => {
  // 64 counts in a block, 64 blocks in a cluster of the table: 2 MiB of file.
  const size = 6 * 2 ** 20;
  const file = await fileWith(await newImage({ size, clusterSize: 512, refcountBits: 64 }));
  const disk = await openDisk(file);
  const content = noise(size, 4);
  await disk.write(0, content);
  await disk.flush();
  const { errors, leaks } = await check(file);
  assert.deepEqual([errors, leaks], [0, 3], 'the places that the table had wait for the next flush');
  await disk.flush();
  assert.deepEqual((await check(file)).problems, []);
  const again = await openDisk(await fileWith(await contentOf(file)));
  assert.deepEqual(await readAll(again), content);
});

test('a full host gives errors, one report, and an image without contradictions', async () => {
  const filling = new FillingFile();
  const file = Object.assign(filling, { size: async () => 2 ** 30 });
  await file.write(0, await newImage({ size: SIZE, clusterSize: 4096 }));
  let reports = 0;
  const { Qcow2Disk } = await import('./disk.ts');
  const { readHeader } = await import('../image.ts');
  const disk = await Qcow2Disk.open(file, await readHeader(file, NAME), {
    name: NAME,
    readOnly: false,
    backing: undefined,
    onFull: () => reports++,
  });
  await disk.write(0, noise(4096, 1));
  filling.plan.push(1, 0);
  await assert.rejects(disk.write(8192, noise(4096, 2)), StorageFullError);
  await assert.rejects(disk.flush(), StorageFullError);
  assert.equal(reports, 1);
  await disk.write(8192, noise(4096, 3));
  await disk.flush();
  const expected = new Uint8Array(SIZE);
  expected.set(noise(4096, 1));
  expected.set(noise(4096, 3), 8192);
  assert.deepEqual(await readAll(disk), expected);
  assert.deepEqual((await check(file)).problems, []);
});

test('a disk that is only read is never written', async () => {
  const image = await newImage({ size: SIZE });
  const file = await fileWith(image);
  const disk = await openDisk(file, { readOnly: true });
  await assert.rejects(disk.write(0, new Uint8Array(SECTOR)), /read-only/);
  await assert.rejects(disk.writeZeroes(0, SECTOR), /read-only/);
  await disk.flush();
  assert.deepEqual(await contentOf(file), image);
});

test('zeros that are there already take no room', async () => {
  const file = await fileWith(await newImage({ size: SIZE, clusterSize: 4096 }));
  const before = await file.size();
  const disk = await openDisk(file);
  await disk.writeZeroes(SECTOR, SIZE - 2 * SECTOR);
  await disk.flush();
  assert.equal(await file.size(), before);
});
