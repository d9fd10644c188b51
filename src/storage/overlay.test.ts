import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FillingFile, GatedDisk, SECTOR } from '../../test/support/disks.ts';
import type { BlockBackend } from '../devices/contract.ts';
import { StorageFullError } from './file.ts';
import { MemoryFile } from './memory-file.ts';
import { OverlayDisk } from './overlay.ts';
import { RawDisk } from './raw.ts';

const SECTORS = 32;

async function everything(disk: BlockBackend): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  await disk.read(0, bytes);
  return bytes;
}

/** Sector `i` filled with `seed + i`. */
const filled = (sectors: number, seed: number) =>
  Uint8Array.from({ length: sectors * SECTOR }, (_, at) => (seed + Math.floor(at / SECTOR)) & 0xff);

function setUp() {
  const base = new GatedDisk(SECTORS, true);
  base.bytes.set(filled(SECTORS, 100));
  const changes = new FillingFile();
  let full = 0;
  const overlay = new OverlayDisk(base, changes, { onFull: () => full++ });
  return { base, changes, overlay, full: () => full };
}

test('reads fall through to the base until a sector is written', async () => {
  const { base, overlay } = setUp();
  assert.deepEqual(await everything(overlay), filled(SECTORS, 100));
  await overlay.write(2 * SECTOR, filled(3, 7));
  const expected = filled(SECTORS, 100);
  expected.set(filled(3, 7), 2 * SECTOR);
  assert.deepEqual(await everything(overlay), expected);
  assert.deepEqual(base.bytes, filled(SECTORS, 100));
  assert.ok(base.log.every((entry) => entry.startsWith('read')));
});

test('sectors that were written are not read from the base, neighbours are read together', async () => {
  const { base, overlay } = setUp();
  await overlay.write(8 * SECTOR, filled(4, 0));
  await overlay.writeZeroes(12 * SECTOR, 4 * SECTOR);
  await everything(overlay);
  assert.deepEqual(base.log, [`read 0 ${8 * SECTOR}`, `read ${16 * SECTOR} ${16 * SECTOR}`]);
});

test('a full host gives an error each time, one report, and leaves what was there', async () => {
  const { changes, overlay, full } = setUp();
  await overlay.write(0, filled(1, 1));
  changes.plan.push(0, 0);
  await assert.rejects(overlay.write(4 * SECTOR, filled(2, 50)), StorageFullError);
  await assert.rejects(overlay.write(9 * SECTOR, filled(2, 60)), StorageFullError);
  assert.equal(full(), 1);
  const expected = filled(SECTORS, 100);
  expected.set(filled(1, 1), 0);
  assert.deepEqual(await everything(overlay), expected);
  await overlay.write(4 * SECTOR, filled(2, 50));
  expected.set(filled(2, 50), 4 * SECTOR);
  assert.deepEqual(await everything(overlay), expected);
});

test('closing closes the changes', async () => {
  const { changes, overlay } = setUp();
  await overlay.flush();
  await overlay.close();
  assert.equal(changes.closed, true);
});

type Step =
  | { kind: 'write' | 'zero' | 'read'; sector: number; count: number; seed: number }
  | { kind: 'full'; sector: number; count: number; seed: number; sectorsDone: number };

const place = {
  sector: fc.integer({ min: 0, max: SECTORS - 5 }),
  count: fc.integer({ min: 1, max: 5 }),
  seed: fc.nat(255),
};
const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('write' as const, 'zero' as const, 'read' as const), ...place }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('full' as const), sectorsDone: fc.integer({ min: 0, max: 4 }), ...place }),
  },
);

test('an overlay is an array of sectors, whatever the host refuses; the base never changes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { maxLength: 40 }), async (steps) => {
      const { base, changes, overlay } = setUp();
      /** What each sector may hold: one value, or two after a refused write. */
      const model = Array.from({ length: SECTORS }, (_, i) => new Set([(100 + i) & 0xff]));
      const check = (bytes: Uint8Array, first: number) => {
        for (let i = 0; i < bytes.length / SECTOR; i++) {
          const sector = bytes.subarray(i * SECTOR, (i + 1) * SECTOR);
          assert.ok(model[first + i]!.has(sector[0]!), `sector ${first + i} holds ${sector[0]}`);
          assert.ok(sector.every((byte) => byte === sector[0]));
        }
      };
      for (const step of steps) {
        const { kind, sector, count, seed } = step;
        const data = filled(count, seed);
        if (kind === 'read') {
          const bytes = new Uint8Array(count * SECTOR);
          await overlay.read(sector * SECTOR, bytes);
          check(bytes, sector);
        } else if (kind === 'zero') {
          await overlay.writeZeroes(sector * SECTOR, count * SECTOR);
        } else if (kind === 'full') {
          changes.plan.push(step.sectorsDone);
          await assert.rejects(overlay.write(sector * SECTOR, data), StorageFullError);
        } else {
          await overlay.write(sector * SECTOR, data);
        }
        for (let i = 0; kind !== 'read' && i < count; i++) {
          const value = kind === 'zero' ? 0 : (seed + i) & 0xff;
          if (kind === 'full') model[sector + i]!.add(value);
          else model[sector + i] = new Set([value]);
        }
      }
      check(await everything(overlay), 0);
      assert.deepEqual(base.bytes, filled(SECTORS, 100));
    }),
  );
});

test('writes at the same time do not disturb each other', async () => {
  const { overlay } = setUp();
  const expected = filled(SECTORS, 100);
  await Promise.all(
    Array.from({ length: SECTORS / 2 }, (_, i) => {
      expected.set(filled(1, i), 2 * i * SECTOR);
      return overlay.write(2 * i * SECTOR, filled(1, i));
    }),
  );
  assert.deepEqual(await everything(overlay), expected);
});

test('sectors far apart on a large disk', async () => {
  const size = 2 ** 44;
  const base = new RawDisk(new MemoryFile(), { size, readOnly: true });
  const overlay = new OverlayDisk(base, new MemoryFile());
  const border = 65_536 * SECTOR;
  await overlay.write(border - SECTOR, filled(2, 3));
  await overlay.write(size - SECTOR, filled(1, 9));
  const bytes = new Uint8Array(4 * SECTOR);
  await overlay.read(border - 2 * SECTOR, bytes);
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => bytes[i * SECTOR]),
    [0, 3, 4, 0],
  );
  await overlay.read(size - 4 * SECTOR, bytes);
  assert.equal(bytes[3 * SECTOR], 9);
});
