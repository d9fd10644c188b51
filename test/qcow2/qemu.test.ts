import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../conformance/random.ts';
import { shortRunSeed } from '../conformance/seed.ts';
import { qemuImgMissing } from '../support/qemu-img.ts';
import { checkOneImage } from './qemu-check.ts';

const IMAGES = 12;

const missing = qemuImgMissing();
const skip = missing === undefined ? false : `SKIPPED: ${missing}`;

test("images made by QEMU are read as QEMU does; what is written or converted here passes QEMU's check", {
  skip,
}, async () => {
  const seed = shortRunSeed();
  for (let i = 0; i < IMAGES; i++) assert.deepEqual(await checkOneImage(new Random(seed + i)), [], `seed ${seed + i}`);
});
