/** Tests of the page: one build and one browser for all of a file. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { buildPage, openBrowser, type Site, serve } from '../support/browser.ts';
import { GuestPage } from './guest-page.ts';

const PATIENCE_MS = 120_000;

const found = await openBrowser();
/** Undefined where there is none. */
export const browser = 'missing' in found ? undefined : found;
const page = buildPage();
/** What is served: the build, and what tests put beside it. */
export const { folder } = page;
writeFileSync(path.join(folder, 'zeros.img'), new Uint8Array(2 ** 20));
const isolated = await serve(folder, { isolated: true });
/** The page as a server delivers it that knows nothing of isolation. */
export const plain = await serve(folder, { isolated: false });
after(async () => {
  await browser?.close();
  await isolated.close();
  await plain.close();
  page.remove();
});

/** A test in a page of its own, which must end without an error in the page's console. */
export function inBrowser(
  name: string,
  body: (guest: GuestPage) => Promise<void>,
  { site = isolated, ...look }: BrowserContextOptions & { readonly site?: Site } = {},
): void {
  test(name, async (t: TestContext) => {
    if (browser === undefined) return t.skip(`SKIPPED: ${(found as { missing: string }).missing}`);
    const context = await (browser as Browser).newContext({ viewport: { width: 1280, height: 800 }, ...look });
    // Whatever else the machine that this runs on does.
    context.setDefaultTimeout(PATIENCE_MS);
    try {
      const guest = new GuestPage(await context.newPage());
      await guest.open(site.address);
      await body(guest);
      assert.deepEqual(guest.problems, []);
    } finally {
      await context.close();
    }
  });
}

/** Types a line. */
export async function type(guest: GuestPage, line: string): Promise<void> {
  await guest.page.keyboard.type(`${line}\n`);
}
