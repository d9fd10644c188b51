import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../conformance/random.ts';
import { shortRunSeed } from '../conformance/seed.ts';
import { runTampered, soundSections } from './hostile.ts';

const SNAPSHOTS = 12;

test('a snapshot with a hostile state is refused in one line, or runs without harm to the host', async () => {
  const sections = await soundSections();
  const seed = shortRunSeed();
  for (let i = 0; i < SNAPSHOTS; i++)
    await assert.doesNotReject(runTampered(sections, new Random(seed + i)), `seed ${seed + i}`);
});
