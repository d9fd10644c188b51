import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { collector, SnapshotBytes, streamOf } from '../../test/support/snapshots.ts';
import { UserError } from '../user-error.ts';
import type { Section } from './container.ts';
import { inflated, placedSection, SnapshotReader, SnapshotWriter } from './container.ts';
import { crc32 } from './crc32.ts';
import { readPlaces } from './random-access.ts';

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
/** A section with pages of noise. */
function pages(...numbers: readonly number[]): Uint8Array {
  const header = Uint32Array.of(numbers.length, ...numbers);
  return new Uint8Array(Buffer.concat([Buffer.from(header.buffer), noise(4096 * numbers.length, 3)]));
}
const SECTIONS: readonly Section[] = [
  { kind: 'META', content: noise(300, 1) },
  { kind: 'DISK', content: new Uint8Array(100_000) },
  { kind: 'PAGE', content: pages(1, 2, 3, 9) },
  { kind: 'PAGE', content: pages(5) },
  { kind: 'FILE', content: noise(70_000, 7) },
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
  const file = await write(SECTIONS);
  const starts = startsOf(file);
  const section = (i: number): Uint8Array => file.subarray(starts[i], starts[i + 1]);
  const order = (...sections: readonly number[]): Uint8Array =>
    Buffer.concat([file.subarray(0, starts[0]), ...sections.map(section)]);
  assert.deepEqual(await read(order(0, 1, 2, 3, 4, 5, 6)), SECTIONS);
  await assert.rejects(read(order(0, 2, 3, 4, 5, 6)), /its index is wrong/);
  await assert.rejects(read(order(1, 0, 2, 3, 4, 5, 6)), /sections are missing/);
  await assert.rejects(read(order(0, 1, 3, 2, 4, 5, 6)), /its index is wrong/);
  await assert.rejects(read(order(0, 1, 2, 3, 4, 6)), /its index is missing/);
  await assert.rejects(read(order(0, 1, 2, 3, 5, 4, 6)), /its index is wrong/);
  await assert.rejects(read(Buffer.concat([file, Uint8Array.of(0)])), /something follows/);
});

test('the index finds each section of memory and of files alone', async () => {
  const file = await write(SECTIONS);
  const source = new SnapshotBytes(file);
  const { places, rest } = await readPlaces(source, 2 ** 20);
  assert.deepEqual(
    places.pages.map(({ runs }) => runs),
    [
      [
        [1, 3],
        [9, 1],
      ],
      [[5, 1]],
    ],
  );
  for (const [i, place] of [...places.pages, ...places.files].entries()) {
    const bytes = file.slice(place.offset, place.offset + place.length);
    const kind = i < 2 ? 'PAGE' : 'FILE';
    assert.deepEqual(await inflated(placedSection(bytes, kind, place), 'it'), SECTIONS[i + 2]!.content);
    const at = Math.floor(Math.random() * bytes.length);
    bytes[at]! ^= 4;
    assert.throws(() => placedSection(bytes, kind, place), oneLine, `byte ${at}`);
  }
  const reader = new SnapshotReader(streamOf(file));
  reader.leave(rest);
  for (const section of SECTIONS.slice(0, 2)) assert.deepEqual(await reader.next(), section);
  assert.equal(await reader.next(), undefined);
  assert.equal(reader.position, places.start);
  await assert.rejects(readPlaces(source, 4 * 4096), /a page outside the memory/);
});

test('without its end no section is looked for', async () => {
  const file = await write(SECTIONS);
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length - 1), async (length) => {
      await assert.rejects(readPlaces(new SnapshotBytes(file.subarray(0, length)), 2 ** 20), oneLine);
    }),
  );
});

/** Where each section begins. */
function startsOf(file: Uint8Array): readonly number[] {
  const view = new DataView(file.buffer, file.byteOffset);
  const starts: number[] = [];
  for (let at = 16; at < file.length; at += 16 + view.getUint32(at + 4, true)) starts.push(at);
  return starts;
}

test('other files, empty ones and other versions get a line of their own', async () => {
  await assert.rejects(read(new Uint8Array(0)), /it is empty/);
  await assert.rejects(read(new TextEncoder().encode('#!/bin/sh\nexit 0\n# and more of it')), /another kind of file/);
  const file = await write(SECTIONS);
  const view = new DataView(file.buffer);
  view.setUint32(8, 7, true);
  view.setUint32(12, crc32(file.subarray(0, 12)), true);
  await assert.rejects(read(file), /it has format 7, this Trapeze reads 2: use the version that saved it/);
});
