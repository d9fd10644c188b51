/** Chromium and the static build, for tests of the page. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { installPackage } from '../../bench/peers/debian-package.ts';
import { StaticFiles } from '../../src/host/node/static-server.ts';
import type {} from '../../src/web/trapeze-vm.ts';

const CHROMIUM = '/usr/bin/chromium';
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

/** A page that collects what its guest prints, and what goes wrong in it. */
export class GuestPage {
  readonly page: Page;
  /** Errors of scripts, and what the console calls errors. */
  readonly problems: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on('pageerror', (error) => this.problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.problems.push(message.text());
    });
  }

  async open(address: string): Promise<void> {
    await this.page.addInitScript(() => {
      const seen = { text: '' };
      Object.assign(globalThis, { seen });
      document.addEventListener('DOMContentLoaded', () =>
        document.querySelector('trapeze-vm')?.addEventListener('output', ({ detail }) => (seen.text += detail.text)),
      );
    });
    await this.page.goto(address);
  }

  /** Resolves when the guest has printed a text behind what was found before. */
  async printed(text: string, timeout = 120_000): Promise<void> {
    await this.page.waitForFunction(
      (wanted) => {
        const { seen } = globalThis as unknown as { seen: { text: string } };
        const at = seen.text.indexOf(wanted);
        if (at < 0) return false;
        seen.text = seen.text.slice(at + wanted.length);
        return true;
      },
      text,
      { timeout, polling: 50 },
    );
  }

  /** The line that tells what the machine does. */
  state(text: string): Promise<void> {
    return this.page.getByRole('status').filter({ hasText: text }).first().waitFor();
  }
}
