import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { collector, streamOf } from '../../test/support/snapshots.ts';
import { UserError } from '../user-error.ts';
import type { Section } from './container.ts';
import { SnapshotReader, SnapshotWriter } from './container.ts';
import { crc32 } from './crc32.ts';

async function write(sections: readonly Section[]): Promise<Uint8Array> {
  const { target, bytes } = collector();
  const writer = new SnapshotWriter(target);
  await writer.begin();
  for (const { kind, content } of sections) await writer.add(kind, content);
  await writer.end();
  assert.equal(writer.written, bytes().length);
  return bytes();
}

async function read(file: Uint8Array, piece?: number): Promise<Section[]> {
  const reader = new SnapshotReader(streamOf(file, piece));
  const sections: Section[] = [];
  for (let section = await reader.next(); section !== undefined; section = await reader.next()) sections.push(section);
  assert.equal(reader.position, file.length);
  return sections;
}

const noise = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 2_654_435_761) >>> 13);
const SECTIONS: readonly Section[] = [
  { kind: 'META', content: noise(300, 1) },
  { kind: 'PAGE', content: new Uint8Array(100_000) },
  { kind: 'PAGE', content: noise(70_000, 7) },
];

test('the checksum is that of zlib', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }), (a, b) => {
      assert.equal(crc32(b, crc32(a)), zlibCrc32(Buffer.concat([a, b])));
    }),
  );
});

test('sections come back as they were written, in whatever pieces the stream brings them', async () => {
  const file = await write(SECTIONS);
  for (const piece of [1, 16, 1_000_000]) assert.deepEqual(await read(file, piece), SECTIONS);
});

const oneLine = (error: unknown): boolean =>
  error instanceof UserError && /^the snapshot cannot be opened: [^\n]+$/.test(error.message);

test('a file that ends early is refused, wherever it ends', async () => {
  const file = await write(SECTIONS);
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length - 1), async (length) => {
      await assert.rejects(read(file.subarray(0, length)), oneLine);
    }),
  );
});

test('a file with a flipped bit is refused, wherever that is', async () => {
  const file = await write(SECTIONS);
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length - 1), fc.nat(7), async (at, bit) => {
      const flipped = file.slice();
      flipped[at]! ^= 1 << bit;
      await assert.rejects(read(flipped), oneLine);
    }),
    { numRuns: 300 },
  );
});

test('a file that lacks a section, has two in another order or something behind its end is refused', async () => {
  const [a, b] = [await write(SECTIONS.slice(0, 1)), await write(SECTIONS.slice(0, 2))];
  const head = a.subarray(0, 16);
  const lastOfB = b.subarray(b.length - (b.length - (await endOfSections(b))));
  const firstOfA = a.subarray(16, await endOfSections(a));
  await assert.rejects(read(Buffer.concat([head, firstOfA, lastOfB])), /sections are missing/);
  const pages = b.subarray(16 + firstOfA.length, await endOfSections(b));
  await assert.rejects(read(Buffer.concat([head, pages, firstOfA, lastOfB])), /sections are missing/);
  await assert.rejects(read(Buffer.concat([b, Uint8Array.of(0)])), /something follows/);
});

/** Where the last section begins. */
async function endOfSections(file: Uint8Array): Promise<number> {
  const view = new DataView(file.buffer, file.byteOffset);
  let at = 16;
  for (let next = at; next < file.length; next += 16 + view.getUint32(next + 4, true)) at = next;
  return at;
}

test('other files, empty ones and other versions get a line of their own', async () => {
  await assert.rejects(read(new Uint8Array(0)), /it is empty/);
  await assert.rejects(read(new TextEncoder().encode('#!/bin/sh\nexit 0\n# and more of it')), /another kind of file/);
  const file = await write(SECTIONS);
  const view = new DataView(file.buffer);
  view.setUint32(8, 7, true);
  view.setUint32(12, crc32(file.subarray(0, 12)), true);
  await assert.rejects(read(file), /it has format 7, this Trapeze reads 1: use the version that saved it/);
});
