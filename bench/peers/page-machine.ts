/**
 * Boots a guest in a page of Debian's Chromium and prints what it prints, until it ends: KERNEL INITRD APPEND MEMORY. It is the page's first
 * visit: the browser has no regions of earlier ones.
 */
import process from 'node:process';
import { inBrowser } from '../in-browser.ts';

const [kernel, initrd, append, memory] = process.argv.slice(2);

await inBrowser(async (page, address) => {
  await page.route('**/bench-kernel', (route) => route.fulfill({ path: kernel }));
  await page.route('**/bench-initrd', (route) => route.fulfill({ path: initrd }));
  await page.exposeFunction('print', (text: string) => void process.stdout.write(text));
  // A page of the same server without a machine of its own.
  await page.goto(`${address}licences.txt`);
  const options = { kernel: `${address}bench-kernel`, initrd: `${address}bench-initrd`, append, memory };
  const ending = await page.evaluate(`import('/trapeze-vm.js').then(async () => {
    const vm = document.body.appendChild(document.createElement('trapeze-vm'));
    vm.addEventListener('output', ({ detail }) => print(detail.text));
    const ended = new Promise((resolve) =>
      vm.addEventListener('statechange', ({ detail }) => detail.state === 'off' && resolve(detail.result?.kind)),
    );
    await vm.start(${JSON.stringify(options)});
    return ended;
  })`);
  if (ending !== 'poweredOff') throw new Error(`the machine ended as ${ending}`);
});
