/** Debian's Chromium and the static build, for as long as something is measured in a page. */
import type { Page } from 'playwright-core';
import { buildPage, openBrowser, serve } from '../test/support/browser.ts';

/** `address`: of the static build; the page is still empty. */
export async function inBrowser(body: (page: Page, address: string) => Promise<void>): Promise<void> {
  const browser = await openBrowser();
  if ('missing' in browser) throw new Error(browser.missing);
  const built = buildPage();
  const site = await serve(built.folder, { isolated: true });
  try {
    await body(await (await browser.newContext({ bypassCSP: true })).newPage(), site.address);
  } finally {
    await browser.close();
    await site.close();
    built.remove();
  }
}
