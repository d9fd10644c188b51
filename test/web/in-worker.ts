/** Code in a worker of a page, for tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { build } from 'esbuild';
import { openBrowser, serve } from '../support/browser.ts';

export interface WorkerSite {
  /** Why nothing can run; false when it can. */
  readonly skip: string | false;
  /** Gives a message to the worker, in a browser that knows nothing yet, and resolves with its answer. */
  run(message: unknown): Promise<string>;
}

/** Bundles a module as a worker and serves it as long as the tests of this file run. */
export async function workerSite(entry: string): Promise<WorkerSite> {
  const found = await openBrowser();
  if ('missing' in found)
    return { skip: `SKIPPED: ${found.missing}`, run: () => Promise.reject(new Error(found.missing)) };
  const folder = mkdtempSync(path.join(tmpdir(), 'trapeze-worker-'));
  const outfile = path.join(folder, 'worker.js');
  await build({ entryPoints: [entry], outfile, bundle: true, format: 'esm', logLevel: 'error' });
  writeFileSync(path.join(folder, 'index.html'), '<!doctype html><title>Worker</title>');
  const site = await serve(folder, { isolated: true });
  after(async () => {
    await found.close();
    await site.close();
    rmSync(folder, { recursive: true });
  });
  return {
    skip: false,
    async run(message) {
      const context = await found.newContext();
      try {
        const page = await context.newPage();
        await page.goto(site.address);
        return await page.evaluate(
          (asked) =>
            new Promise<string>((resolve, reject) => {
              const worker = new Worker('worker.js', { type: 'module' });
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = ({ message: problem }) => reject(new Error(problem));
              worker.postMessage(asked);
            }),
          message,
        );
      } finally {
        await context.close();
      }
    },
  };
}
