/** Files that a browser keeps for a page. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { openBrowser, serve } from '../support/browser.ts';

const found = await openBrowser();
const browser = 'missing' in found ? undefined : found;
const skip = browser === undefined ? `SKIPPED: ${(found as { missing: string }).missing}` : false;
const folder = mkdtempSync(path.join(tmpdir(), 'trapeze-storage-'));
await build({
  entryPoints: [fileURLToPath(new URL('storage-worker.ts', import.meta.url))],
  outfile: path.join(folder, 'worker.js'),
  bundle: true,
  format: 'esm',
  logLevel: 'error',
});
writeFileSync(path.join(folder, 'index.html'), '<!doctype html><title>Files</title>');
const site = await serve(folder, { isolated: true });
after(async () => {
  await browser?.close();
  await site.close();
  rmSync(folder, { recursive: true });
});

/** Runs one of the actions of the worker in a browser that knows nothing yet. */
async function inWorker(action: string, kind: string) {
  const context = await browser!.newContext();
  try {
    const page = await context.newPage();
    await page.goto(site.address);
    return await page.evaluate(
      (message) =>
        new Promise<string>((resolve, reject) => {
          const worker = new Worker('worker.js', { type: 'module' });
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message: problem }) => reject(new Error(problem));
          worker.postMessage(message);
        }),
      { action, kind },
    );
  } finally {
    await context.close();
  }
}

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
