/** Chromium and the static build, for tests of the page. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { installPackage } from '../../bench/peers/debian-package.ts';
import { StaticFiles } from '../../src/host/node/static-server.ts';

export const CHROMIUM = '/usr/bin/chromium';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Debian's Chromium, installed where that can be done; or why there is none. */
export async function openBrowser(): Promise<Browser | { readonly missing: string }> {
  if (!existsSync(CHROMIUM)) {
    const missing = installPackage('chromium');
    if (missing !== undefined) return { missing: `no Chromium (${missing}): apt-get install chromium` };
  }
  return chromium.launch({
    executablePath: CHROMIUM,
    // Root has no sandbox.
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  });
}

/** Builds the page into a folder of its own. */
export function buildPage(): { readonly folder: string; remove(): void } {
  const scratch = mkdtempSync(path.join(tmpdir(), 'trapeze-page-'));
  const folder = path.join(scratch, 'page');
  execFileSync(process.execPath, [path.join(ROOT, 'scripts/build-web.ts'), '--outdir', folder]);
  return { folder, remove: () => rmSync(scratch, { recursive: true, force: true }) };
}

export interface Site {
  readonly address: string;
  close(): Promise<void>;
}

/** Serves a folder as `trapeze web` does; not isolated: as a server does that knows nothing of Trapeze. */
export async function serve(folder: string, { isolated }: { readonly isolated: boolean }): Promise<Site> {
  const files = new StaticFiles(folder);
  const server = createServer((request, response) => {
    const { setHeader } = response;
    if (!isolated)
      response.setHeader = (name, value) =>
        name.startsWith('Cross-Origin-') ? response : setHeader.call(response, name, value);
    void files.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
