/** Snapshots in a page: of machines whose disks' changes the browser keeps. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { PROMPT } from '../support/boot.ts';
import { buildPage, openBrowser, serve } from '../support/browser.ts';
import { GuestPage } from './guest-page.ts';

const browser = await openBrowser();
const page = buildPage();
const site = await serve(page.folder, { isolated: true });
writeFileSync(path.join(page.folder, 'zeros.img'), new Uint8Array(2 ** 20));
after(async () => {
  if (!('missing' in browser)) await browser.close();
  await site.close();
  page.remove();
});

/** A test in a page whose guest is at its prompt. */
function inBrowser(name: string, body: (guest: GuestPage) => Promise<void>): void {
  test(name, async (t: TestContext) => {
    if ('missing' in browser) return t.skip(`SKIPPED: ${browser.missing}`);
    const context = await browser.newContext();
    try {
      const guest = new GuestPage(await context.newPage());
      await guest.open(site.address);
      await guest.printed(PROMPT);
      await body(guest);
    } finally {
      await context.close();
    }
  });
}

const exec = (guest: GuestPage, command: string): Promise<string> =>
  guest.page.evaluate(async (line) => (await document.querySelector('trapeze-vm')!.exec(line)).output.trim(), command);

/** Goes on from the snapshot that the page has kept; the line of what keeps it from that, if anything does. */
const goOn = (guest: GuestPage): Promise<string> =>
  guest.page.evaluate(async () => {
    const { saved, disks } = globalThis as unknown as { saved: Blob; disks: [] };
    return await document
      .querySelector('trapeze-vm')!
      .restore(saved, { disks })
      .then(
        () => '',
        (error: Error) => error.message,
      );
  });

inBrowser('a machine goes on with changes that the browser keeps, unless they were written since', async (guest) => {
  await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    const disks = [{ image: new URL('zeros.img', location.href).href, overlay: 'saved' }];
    Object.assign(globalThis, { disks });
    await vm.stop();
    await vm.start({ disks });
  });
  await guest.printed(PROMPT);
  // The second is in the guest's memory alone: whoever closes a disk last flushes it.
  const write =
    'sleep 9999 < /dev/vda & echo flushed > /dev/vda; sync; echo later | dd of=/dev/vda bs=512 seek=1 conv=notrunc 2>/dev/null';
  await exec(guest, write);
  await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    await vm.pause();
    Object.assign(globalThis, { saved: await vm.save() });
    await vm.stop();
  });
  assert.equal(await goOn(guest), '');
  assert.equal(
    await exec(guest, 'head -n1 /dev/vda; dd if=/dev/vda bs=512 skip=1 2>/dev/null | head -n1'),
    'flushed\nlater',
  );
  await exec(guest, 'sync');
  assert.match(
    await goOn(guest),
    /the overlay of disk 1 \(\S+zeros\.img,overlay=saved\) is another one, or was written after/,
  );
});
