import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FillingFile, SECTOR } from '../../test/support/disks.ts';
import { StorageFullError } from './file.ts';
import { MemoryFile } from './memory-file.ts';
import { RawDisk } from './raw.ts';

test('a read-only disk refuses writes', async () => {
  const disk = new RawDisk(new MemoryFile(), { size: 4 * SECTOR, readOnly: true });
  await assert.rejects(disk.write(0, new Uint8Array(SECTOR)), /read-only/);
  await disk.flush();
  await disk.close();
});

test('a full host is reported once and the guest sees each failure', async () => {
  const file = new FillingFile();
  let full = 0;
  const disk = new RawDisk(file, { size: 4 * SECTOR, readOnly: false, onFull: () => full++ });
  file.plan.push(0, 1);
  await assert.rejects(disk.write(0, new Uint8Array(SECTOR)), StorageFullError);
  await assert.rejects(disk.write(0, new Uint8Array(2 * SECTOR)), StorageFullError);
  await disk.write(0, new Uint8Array(SECTOR));
  assert.equal(full, 1);
});

test('a file in memory is an array of bytes that grows', async () => {
  const write = fc.record({ offset: fc.integer({ min: 0, max: 200_000 }), data: fc.uint8Array({ maxLength: 70_000 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 6 }), async (writes) => {
      const file = new MemoryFile();
      const model = new Uint8Array(300_000);
      for (const { offset, data } of writes) {
        await file.write(offset, data);
        model.set(data, offset);
      }
      const bytes = new Uint8Array(model.length).fill(1);
      await file.read(0, bytes);
      assert.deepEqual(bytes, model);
    }),
    { numRuns: 30 },
  );
});

test('a file in memory takes no more than its capacity', async () => {
  const file = new MemoryFile(2 * 65_536);
  await file.write(65_536 * 10, new Uint8Array(1));
  await file.write(0, new Uint8Array(65_536).fill(5));
  await assert.rejects(file.write(65_536, new Uint8Array(1)), StorageFullError);
  await file.write(100, Uint8Array.of(6));
  const bytes = new Uint8Array(3);
  await file.read(99, bytes);
  assert.deepEqual([...bytes], [5, 6, 5]);
});
