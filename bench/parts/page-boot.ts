/** How soon a page is usable, and its guest at the prompt: from navigation, in Debian's Chromium. */
import { buildPage, openBrowser, serve } from '../../test/support/browser.ts';

const PROMPT = ':~# ';
const NS_PER_MS = 1e6;

const report = (name: string, milliseconds: number): void =>
  console.log(`BENCH ${name} ${Math.round(milliseconds * NS_PER_MS)} ns 0 1 runs`);

/** Runs in the page; its clock starts with the navigation. */
const WATCH = `addEventListener('DOMContentLoaded', () => {
  let text = '';
  const vm = document.querySelector('trapeze-vm');
  vm.addEventListener('statechange', () => globalThis.usable ??= performance.now());
  vm.addEventListener('output', ({ detail }) => {
    text += detail.text;
    if (text.includes('${PROMPT}')) globalThis.atPrompt ??= performance.now();
  });
})`;

const browser = await openBrowser();
if ('missing' in browser) throw new Error(browser.missing);
const built = buildPage();
const site = await serve(built.folder, { isolated: true });
try {
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await page.addInitScript(WATCH);
  await page.goto(site.address);
  const atPrompt = await page.waitForFunction('globalThis.atPrompt', undefined, { timeout: 120_000, polling: 100 });
  report('page-usable', await page.evaluate<number>('globalThis.usable'));
  report('page-boot', (await atPrompt.jsonValue()) as number);
} finally {
  await browser.close();
  await site.close();
  built.remove();
}
