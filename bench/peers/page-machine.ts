/** Boots a guest in a page of Debian's Chromium and prints what it prints, until it ends: KERNEL INITRD APPEND MEMORY. */
import process from 'node:process';
import { buildPage, openBrowser, serve } from '../../test/support/browser.ts';

const [kernel, initrd, append, memory] = process.argv.slice(2);

const browser = await openBrowser();
if ('missing' in browser) throw new Error(browser.missing);
const built = buildPage();
const site = await serve(built.folder, { isolated: true });
try {
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await page.route('**/bench-kernel', (route) => route.fulfill({ path: kernel }));
  await page.route('**/bench-initrd', (route) => route.fulfill({ path: initrd }));
  await page.exposeFunction('print', (text: string) => void process.stdout.write(text));
  // A page of the same server without a machine of its own.
  await page.goto(`${site.address}licences.txt`);
  const options = { kernel: `${site.address}bench-kernel`, initrd: `${site.address}bench-initrd`, append, memory };
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
} finally {
  await browser.close();
  await site.close();
  built.remove();
}
