/**
 * How soon a page is usable, its guest at the prompt, and a guest out of a snapshot answers: from navigation, in Debian's Chromium.
 * And what was downloaded until the prompt, without the guest.
 */
import { inBrowser } from '../in-browser.ts';

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

await inBrowser(async (page, address) => {
  const sizes: Promise<number>[] = [];
  page.on('requestfinished', (request) => {
    if (!request.url().includes('/guest/'))
      sizes.push(request.sizes().then(({ responseBodySize }) => responseBodySize));
  });
  await page.addInitScript(WATCH);
  await page.goto(address);
  const atPrompt = await page.waitForFunction('globalThis.atPrompt', undefined, { timeout: 120_000, polling: 100 });
  report('page-usable', await page.evaluate<number>('globalThis.usable'));
  report('page-boot', (await atPrompt.jsonValue()) as number);
  const downloaded = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  console.log(`BENCH page-download 0 ns 0 ${downloaded} bytes`);

  const saved: number[] = await page.evaluate(`(async () => {
    const blob = await document.querySelector('trapeze-vm').save();
    return [...new Uint8Array(await blob.arrayBuffer())];
  })()`);
  await page.route('**/prompt.snap', (route) => route.fulfill({ body: Buffer.from(saved) }));
  // What is typed makes the shell print its prompt again.
  await page.addInitScript(`addEventListener('DOMContentLoaded', () => {
    const vm = document.querySelector('trapeze-vm');
    vm.addEventListener('statechange', ({ detail }) => detail.state === 'running' && vm.write('\\n'));
  })`);
  await page.goto(`${address}?snapshot=prompt.snap`);
  const answered = await page.waitForFunction('globalThis.atPrompt', undefined, { timeout: 120_000, polling: 100 });
  report('page-snapshot', (await answered.jsonValue()) as number);
});
