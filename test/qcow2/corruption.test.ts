import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflate } from '../../src/storage/deflate.ts';
import { Random } from '../conformance/random.ts';
import { shortRunSeed } from '../conformance/seed.ts';
import { damage, useDamaged } from './corruption.ts';
import { contentOf, fileWith, keptOpen, newImage, openDisk } from './images.ts';

const SIZE = 2 ** 20;
const IMAGES = 400;

/** Data, zeros, compressed clusters and a backing file. */
async function sample(
  clusterSize: number,
  version: 2 | 3,
  refcountBits: number,
  extendedL2 = false,
): Promise<Uint8Array> {
  const backing = { name: 'base', format: 'raw' };
  const file = await fileWith(await newImage({ size: SIZE, clusterSize, version, refcountBits, backing, extendedL2 }));
  const disk = await openDisk(keptOpen(file));
  const random = new Random(1);
  for (let i = 0; i < 12; i++) {
    const content = new Uint8Array(clusterSize).fill(random.u32());
    await disk.write(random.below(SIZE / clusterSize) * clusterSize, content);
    await disk.writeCompressed(random.below(SIZE / clusterSize) * clusterSize, await deflate(content));
    await disk.writeZeroes(random.below(SIZE / clusterSize) * clusterSize, clusterSize);
    await disk.write(random.below(SIZE / 512) * 512, content.subarray(0, 512));
  }
  await disk.close();
  return contentOf(file);
}

test('a damaged image is an error or a disk: no other exception, no read outside, no end of memory or time', async () => {
  const samples = [
    await sample(512, 3, 16),
    await sample(4096, 2, 16),
    await sample(65_536, 3, 1),
    await sample(4096, 3, 64),
    await sample(16_384, 3, 16, true),
  ];
  const behind = new Map([['base', new Uint8Array(SIZE).fill(0xbb)]]);
  const first = shortRunSeed();
  for (let seed = first; seed < first + IMAGES; seed++) {
    const random = new Random(seed);
    const image = damage(random.pick(samples), random);
    await assert.doesNotReject(useDamaged({ image, behind, random }), `seed ${seed}`);
  }
});
