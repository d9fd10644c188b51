import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { FillingFile, GatedDisk, SECTOR } from '../../../test/support/disks.ts';
import { fillAndDieEverywhere, LIVES, live, liveAndDieEverywhere, STEPS } from '../../../test/support/overlay-lives.ts';
import { UserError } from '../../user-error.ts';
import { type RandomAccessFile, StorageFullError } from '../file.ts';
import { MemoryFile } from '../memory-file.ts';
import { PersistentOverlay, type PersistentOverlayOptions } from './persistent-overlay.ts';

const SECTORS = 300;
const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> => createHash('sha256').update(bytes).digest();

const filled = (count: number, value: number): Uint8Array => new Uint8Array(count * SECTOR).fill(value);

/** Survives being closed. */
class KeptFile extends MemoryFile {
  written = 0;

  override async write(offset: number, from: Uint8Array): Promise<void> {
    this.written = Math.max(this.written, offset + from.length);
    await super.write(offset, from);
  }

  override async close(): Promise<void> {}
}

function openOver(
  base: GatedDisk,
  file: RandomAccessFile,
  options: Partial<PersistentOverlayOptions> = {},
): Promise<PersistentOverlay> {
  return PersistentOverlay.open(base, file, { identity: 'one', sha256, name: 'changes.trz', ...options });
}

function baseDisk(): GatedDisk {
  const base = new GatedDisk(SECTORS, true);
  base.bytes.fill(0xbb);
  return base;
}

async function everything(disk: PersistentOverlay): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  await disk.read(0, bytes);
  return bytes;
}

test('changes are there again when the overlay is opened again; the base is as it was', async () => {
  const [base, file] = [baseDisk(), new KeptFile()];
  const disk = await openOver(base, file);
  await disk.write(100 * SECTOR, filled(60, 1));
  await disk.writeZeroes(290 * SECTOR, 10 * SECTOR);
  await disk.write(295 * SECTOR, filled(1, 2));
  await disk.close();
  const expected = filled(SECTORS, 0xbb);
  expected.set(filled(60, 1), 100 * SECTOR);
  expected.fill(0, 290 * SECTOR);
  expected.set(filled(1, 2), 295 * SECTOR);
  const again = await openOver(base, file);
  assert.deepEqual(await everything(again), expected);
  assert.ok(base.bytes.every((byte) => byte === 0xbb));
  assert.ok(base.log.every((entry) => entry.startsWith('read')));
});

test('reads go to the base in one piece where they can, and not at all for what was changed', async () => {
  const base = baseDisk();
  const disk = await openOver(base, new MemoryFile());
  await disk.write(130 * SECTOR, filled(2, 1));
  await everything(disk);
  assert.deepEqual(base.log, [`read 0 ${130 * SECTOR}`, `read ${132 * SECTOR} ${168 * SECTOR}`]);
});

test('a base that changed, and a file that holds something else, are refused with one line', async () => {
  const file = new KeptFile();
  await (await openOver(baseDisk(), file)).close();
  const refused = (opening: Promise<unknown>, line: RegExp): Promise<void> =>
    assert.rejects(opening, (error) => error instanceof UserError && line.test(error.message));
  await refused(
    openOver(baseDisk(), file, { identity: 'two' }),
    /^changes\.trz: .*it was one, and is two; put the old/,
  );
  await refused(openOver(new GatedDisk(SECTORS + 1), file), /the disk below changed/);
  const other = new MemoryFile();
  await other.write(1080, Uint8Array.of(0x53, 0xef));
  await refused(openOver(baseDisk(), other), /^changes\.trz: this file holds no changes of a disk/);
  const old = new Uint8Array(512);
  await other.read(1024, old);
  assert.equal(old[56], 0x53, 'and left alone');
});

test('the log is written anew before it grows without end, and what is given up is used again', async () => {
  const [base, file] = [baseDisk(), new KeptFile()];
  const disk = await openOver(base, file, { spareLogPages: 8 });
  for (let round = 0; round < 500; round++) {
    await disk.writeZeroes(0, 128 * SECTOR);
    await disk.write((round % 128) * SECTOR, filled(1, round & 0xff));
    await disk.flush();
  }
  assert.ok(file.written <= 8 * 65_536, `the file has ${file.written} bytes`);
  const again = await openOver(base, file);
  const bytes = await everything(again);
  assert.equal(bytes[(499 % 128) * SECTOR], 499 & 0xff);
  assert.ok(bytes.subarray(0, (499 % 128) * SECTOR).every((byte) => byte === 0));
});

test('a full host gives an error each time, one report, and loses nothing', async () => {
  const [base, file] = [baseDisk(), new FillingFile()];
  let full = 0;
  const disk = await openOver(base, file, { onFull: () => full++ });
  await disk.write(0, filled(1, 1));
  await disk.flush();
  file.plan.push(0, 0);
  await assert.rejects(disk.write(4 * SECTOR, filled(2, 50)), StorageFullError);
  await assert.rejects(disk.write(200 * SECTOR, filled(2, 60)), StorageFullError);
  assert.equal(full, 1);
  await disk.write(8 * SECTOR, filled(1, 3));
  // Room for the data, none for the log.
  file.plan.push(0);
  await assert.rejects(disk.flush(), StorageFullError);
  await disk.flush();
  const again = await openOver(base, file);
  const bytes = await everything(again);
  assert.deepEqual(
    [0, 4, 8, 200].map((sector) => bytes[sector * SECTOR]),
    [1, 0xbb, 3, 0xbb],
  );
});

test('when the host cannot make changes durable, every flush from then on says so', async () => {
  const file = new KeptFile();
  const disk = await openOver(baseDisk(), file);
  await disk.write(0, filled(1, 1));
  const working = file.flush;
  file.flush = () => Promise.reject(new Error('EIO'));
  await assert.rejects(disk.flush(), /EIO/);
  file.flush = working;
  await assert.rejects(disk.flush(), /EIO/);
});

test('a content that was given a name has it until anything is written, in later runs too', async () => {
  const [base, file] = [baseDisk(), new KeptFile()];
  const [first, second] = ['1'.repeat(32), '2'.repeat(32)];
  const disk = await openOver(base, file);
  assert.equal(disk.identity, undefined);
  await disk.write(0, filled(1, 1));
  await disk.pin(first);
  await disk.pin(second);
  assert.equal(disk.identity, first, 'the content is still the same');
  await disk.close();
  const again = await openOver(base, file);
  assert.equal(again.identity, first);
  const copy = new MemoryFile();
  const bytes = new Uint8Array(file.written);
  await file.read(0, bytes);
  await copy.write(0, bytes);
  // The very bytes that are there already.
  await Promise.all([again.write(0, filled(1, 1)), again.write(SECTOR, filled(1, 1))]);
  assert.equal(again.identity, undefined);
  await again.pin(second);
  await again.writeZeroes(SECTOR, SECTOR);
  assert.equal(again.identity, undefined);
  assert.equal((await openOver(base, copy)).identity, first);
});

test('what cannot be noted to be written is not written', async () => {
  const [base, file] = [baseDisk(), new KeptFile()];
  const disk = await openOver(base, file);
  await disk.pin('1'.repeat(32));
  const working = file.flush;
  file.flush = () => Promise.reject(new Error('EIO'));
  await assert.rejects(disk.write(0, filled(1, 1)), /EIO/);
  file.flush = working;
  assert.ok((await everything(disk)).every((byte) => byte === 0xbb));
  await disk.write(0, filled(1, 1));
  assert.equal(disk.identity, undefined);
});

test('power goes at every write of a workload: all that was flushed is there, sectors are old or new', async () => {
  await fc.assert(
    fc.asyncProperty(STEPS, fc.nat(), async (steps, seed) => liveAndDieEverywhere(steps, seed)),
    { numRuns: 8 },
  );
});

test('power goes at every write while the changes of a snapshot come: none is missing, or the file is refused', async () => {
  await fc.assert(
    fc.asyncProperty(STEPS, fc.nat(), async (steps, seed) => fillAndDieEverywhere(steps, seed)),
    { numRuns: 8 },
  );
});

test('power goes again and again on the same file', async () => {
  await fc.assert(
    fc.asyncProperty(LIVES, async (lives) => void (await live(lives))),
    { numRuns: 200 },
  );
});
