/**
 * Boots a guest in a page of Debian's Chromium, for a second time, and prints what it prints, until it ends: KERNEL INITRD APPEND MEMORY.
 * The first time fills what the browser keeps, as earlier runs do for the other peers.
 */
import process from 'node:process';
import { inBrowser } from '../in-browser.ts';

/** The browser writes what it keeps behind the machine's end. */
const WRITING_MS = 1000;

const [kernel, initrd, append, memory] = process.argv.slice(2);

await inBrowser(async (page, address) => {
  await page.route('**/bench-kernel', (route) => route.fulfill({ path: kernel }));
  await page.route('**/bench-initrd', (route) => route.fulfill({ path: initrd }));
  await page.exposeFunction('print', (text: string) => void process.stdout.write(text));
  // A page of the same server without a machine of its own.
  await page.goto(`${address}licences.txt`);
  const options = { kernel: `${address}bench-kernel`, initrd: `${address}bench-initrd`, append, memory };
  const visit = (prints: boolean): Promise<unknown> =>
    page.evaluate(`import('/trapeze-vm.js').then(async () => {
    const vm = document.body.appendChild(document.createElement('trapeze-vm'));
    if (${prints}) vm.addEventListener('output', ({ detail }) => print(detail.text));
    const ended = new Promise((resolve) =>
      vm.addEventListener('statechange', ({ detail }) => detail.state === 'off' && resolve(detail.result?.kind)),
    );
    await vm.start(${JSON.stringify(options)});
    const ending = await ended;
    vm.remove();
    return ending;
  })`);
  await visit(false);
  await page.waitForTimeout(WRITING_MS);
  const ending = await visit(true);
  if (ending !== 'poweredOff') throw new Error(`the machine ended as ${ending}`);
});
