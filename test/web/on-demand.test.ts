/** Machines in a page whose memory comes while they run: from a server, and from a file that a person chose. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { PROMPT } from '../support/boot.ts';
import { buildPage, openBrowser, serve } from '../support/browser.ts';
import { type HttpServer, serve as serveFile } from '../support/http-server.ts';
import { guestWithNoise } from '../support/noisy-guest.ts';
import { GuestPage } from './guest-page.ts';

const ALLOWED = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Content-Range, ETag, Last-Modified',
};

const browser = await openBrowser();
const page = buildPage();
const site = await serve(page.folder, { isolated: true });
const { snapshot, changes, sum } = await guestWithNoise();
const file = path.join(page.folder, 'noise.snap');
writeFileSync(file, snapshot);
after(async () => {
  if (!('missing' in browser)) await browser.close();
  await site.close();
  page.remove();
});

/** A test in a page that is told of a server of another site, which has the snapshot. */
function inBrowser(
  name: string,
  body: (guest: GuestPage, server: HttpServer, changed: HttpServer) => Promise<void>,
): void {
  test(name, async (t: TestContext) => {
    if ('missing' in browser) return t.skip(`SKIPPED: ${browser.missing}`);
    const server = await serveFile(t, snapshot);
    const changed = await serveFile(t, changes);
    for (const one of [server, changed]) one.headers = ALLOWED;
    const context = await browser.newContext();
    try {
      await body(new GuestPage(await context.newPage()), server, changed);
    } finally {
      await context.close();
    }
  });
}

const open = (guest: GuestPage, { url }: HttpServer): Promise<void> =>
  guest.open(`${site.address}?snapshot=${encodeURIComponent(url)}`);

/** Types a line, and resolves when the guest has answered it. */
async function enter(guest: GuestPage, line: string, answer: string): Promise<void> {
  await guest.page.evaluate((text) => document.querySelector('trapeze-vm')!.write(text), `${line}\n`);
  await guest.printed(answer);
}

inBrowser('a guest answers before its memory has come, and finds all of it', async (guest, server) => {
  server.usual = 'slow';
  await open(guest, server);
  await guest.state('Running');
  await enter(guest, 'echo $((6*7))', '\n42\r\n');
  const { sent } = server;
  assert.ok(sent < snapshot.length / 3, `${sent} of ${snapshot.length} bytes`);
  server.usual = 'serve';
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  const statistics = await guest.page.evaluate(() => document.querySelector('trapeze-vm')!.statistics());
  assert.ok(statistics.arrival!.waits > 0, 'the guest never waited');
});

inBrowser('a server that fails now and then delays the guest', async (guest, server) => {
  server.plan.push('serve', 'serve', 'serve', 'drop', 'short', 'wrongRange', { status: 503 });
  await open(guest, server);
  await guest.state('Running');
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  assert.equal(server.plan.length, 0);
});

inBrowser('a server that is lost ends the machine with one line', async (guest, server) => {
  server.usual = 'slow';
  await open(guest, server);
  await guest.state('Running');
  server.die();
  await guest.page.keyboard.type('md5sum /tmp/noise\n');
  await guest.page
    .locator('#state')
    .getByText(/disk\.img: the server cannot be reached/)
    .waitFor();
});

inBrowser('a snapshot that is damaged ends the machine with one line', async (guest, server) => {
  server.content = snapshot.slice();
  server.content[snapshot.length >> 1]! ^= 1;
  await open(guest, server);
  await guest.page
    .locator('#state')
    .getByText(/damaged/)
    .waitFor();
});

inBrowser('a file that was chosen is read when the guest looks at it', async (guest) => {
  await guest.open(site.address);
  await guest.printed(PROMPT);
  const next = guest.page.evaluate(
    () =>
      new Promise<void>((started) => {
        const vm = document.querySelector('trapeze-vm')!;
        vm.addEventListener('statechange', ({ detail }) => detail.state === 'starting' && started());
      }),
  );
  await guest.page.locator('#files').setInputFiles(file);
  await next;
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
});

inBrowser('a server that does not answer ranges is read from start to end', async (guest, server) => {
  server.usual = 'whole';
  await open(guest, server);
  await guest.state('Running');
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  assert.deepEqual(new Set(server.asked), new Set(['bytes=0-4095', 'all']));
});

inBrowser('a small snapshot and its large base both come while the guest runs', async (guest, base, changed) => {
  base.usual = 'slow';
  const query = `?snapshot=${encodeURIComponent(changed.url)}&snapshot-base=${encodeURIComponent(base.url)}`;
  await guest.open(`${site.address}${query}`);
  await guest.state('Running');
  await enter(guest, 'echo "<$later>"', '\n<42>\r\n');
  const { sent } = base;
  assert.ok(sent < snapshot.length / 3, `${sent} of ${snapshot.length} bytes`);
  base.usual = 'serve';
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
});
