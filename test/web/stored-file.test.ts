/** Files that a browser keeps for a page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { workerSite } from './in-worker.ts';

const { skip, run } = await workerSite(fileURLToPath(new URL('storage-worker.ts', import.meta.url)));
const inWorker = (action: string, kind: string): Promise<string> => run({ action, kind });

for (const kind of ['opfs', 'indexed']) {
  test(`a file is an array of bytes that outlives its opening (${kind})`, { skip }, async () => {
    assert.equal(await inWorker('workload', kind), 'right');
  });

  test(`a file is opened once at a time (${kind})`, { skip }, async () => {
    assert.equal(await inWorker('twice', kind), 'twice: another page or machine uses this file: stop that first');
  });

  test(`no more room is told as that, and what is there stays (${kind})`, { skip }, async () => {
    assert.equal(await inWorker('full', kind), '1 StorageFullError 7,0 100000');
  });

  test(`changes to a disk are kept in it (${kind})`, { skip }, async () => {
    assert.equal(await inWorker('overlay', kind), '0 7 0 7 0');
  });
}
