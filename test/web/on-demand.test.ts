/** Machines in a page whose memory comes while they run: from a server, and from a file that a person chose. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { readPlaces } from '../../src/snapshot/random-access.ts';
import { PROMPT } from '../support/boot.ts';
import { buildPage, openBrowser, type Site, serve } from '../support/browser.ts';
import { type HttpServer, serve as serveFile } from '../support/http-server.ts';
import { guestWithNoise, NOISY_MEMORY } from '../support/noisy-guest.ts';
import { SnapshotBytes } from '../support/snapshots.ts';
import { GuestPage } from './guest-page.ts';

const ALLOWED = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Content-Range, ETag, Last-Modified',
};

const browser = await openBrowser();
const page = buildPage();
const isolated = await serve(page.folder, { isolated: true });
const plain = await serve(page.folder, { isolated: false });
const { snapshot, changes, sum } = await guestWithNoise();
const file = path.join(page.folder, 'noise.snap');
writeFileSync(file, snapshot);
after(async () => {
  if (!('missing' in browser)) await browser.close();
  await isolated.close();
  await plain.close();
  page.remove();
});

/** Where a page is: with shared memory, and without. */
interface Place {
  readonly site: Site;
  /** Of other sites: one has the snapshot, one what changed since. */
  readonly server: HttpServer;
  readonly changed: HttpServer;
  readonly isShared: boolean;
}

/** A test in a page that may share memory, and in one that may not. */
function inBrowser(name: string, body: (guest: GuestPage, place: Place) => Promise<void>): void {
  for (const [how, site] of [
    ['with shared memory', isolated],
    ['without', plain],
  ] as const)
    test(`${name}, ${how}`, async (t: TestContext) => {
      if ('missing' in browser) return t.skip(`SKIPPED: ${browser.missing}`);
      const server = await serveFile(t, snapshot);
      const changed = await serveFile(t, changes);
      for (const one of [server, changed]) one.headers = ALLOWED;
      const context = await browser.newContext();
      try {
        const place = { site, server, changed, isShared: site === isolated };
        await body(new GuestPage(await context.newPage()), place);
      } finally {
        await context.close();
      }
    });
}

const open = (guest: GuestPage, { site, server }: Place): Promise<void> =>
  guest.open(`${site.address}?snapshot=${encodeURIComponent(server.url)}`);

/** Types a line, and resolves when the guest has answered it. */
async function enter(guest: GuestPage, line: string, answer: string): Promise<void> {
  await guest.page.evaluate((text) => document.querySelector('trapeze-vm')!.write(text), `${line}\n`);
  await guest.printed(answer);
}

/** Instructions that the guest has executed; -1 before it runs. */
const executed = ({ page }: GuestPage): Promise<number> =>
  page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    return vm.state === 'running' || vm.state === 'paused' ? (await vm.statistics()).instructions : -1;
  });

/** Does something while the server sends a part only when the guest gets no further without one; it sends all after that. */
async function sparingly(guest: GuestPage, server: HttpServer, act: () => Promise<void>): Promise<void> {
  let acts = true;
  const acted = act().finally(() => (acts = false));
  for (let before = -1; acts; ) {
    const now = await executed(guest);
    if (now === before) server.held.shift()?.();
    before = now;
    await setTimeout(100);
  }
  await acted;
  const { sent } = server;
  assert.ok(sent < snapshot.length / 3, `${sent} of ${snapshot.length} bytes`);
  serveAgain(server);
}

function serveAgain(server: HttpServer): void {
  server.usual = 'serve';
  for (const send of server.held.splice(0)) send();
}

inBrowser('a guest answers before its memory has come, and finds all of it', async (guest, place) => {
  const { server } = place;
  server.plan.push('serve');
  server.usual = 'hold';
  await open(guest, place);
  await sparingly(guest, server, async () => {
    await guest.state('Running');
    await enter(guest, 'echo $((6*7))', '\n42\r\n');
  });
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  const statistics = await guest.page.evaluate(() => document.querySelector('trapeze-vm')!.statistics());
  assert.ok(statistics.arrival!.waits > 0, 'the guest never waited');
});

/** Bytes of memory in the snapshot that were asked for more than once. */
async function askedTwice({ asked }: HttpServer): Promise<number> {
  const { places } = await readPlaces(new SnapshotBytes(snapshot), NOISY_MEMORY);
  const [first, last] = [places.pages[0]!, places.pages.at(-1)!];
  const ranges = asked
    .flatMap((range) => [...range.matchAll(/(\d+)-(\d+)/g)].map(([, from, to]) => [Number(from), Number(to)] as const))
    .filter(([from, to]) => from >= first.offset && to < last.offset + last.length)
    .sort(([a], [b]) => a - b);
  assert.ok(ranges.length > 0);
  return ranges.reduce((twice, [from], i) => twice + Math.max(0, i === 0 ? 0 : ranges[i - 1]![1] + 1 - from), 0);
}

inBrowser('all of memory comes, where it may be shared no part of it twice', async (guest, place) => {
  await open(guest, place);
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  await guest.page.waitForFunction(async () => {
    const { arrival } = await document.querySelector('trapeze-vm')!.statistics();
    return arrival!.arrived === arrival!.pages;
  });
  if (place.isShared) assert.equal(await askedTwice(place.server), 0);
  await guest.page.getByRole('tab', { name: 'About' }).click();
  await guest.page
    .locator('#shared')
    .getByText(place.isShared ? 'In use' : 'Not available')
    .waitFor();
  assert.deepEqual(guest.problems, []);
});

inBrowser('a server that fails now and then delays the guest', async (guest, place) => {
  const { server } = place;
  server.plan.push('serve', 'serve', 'serve', 'drop', 'short', 'wrongRange', { status: 503 });
  await open(guest, place);
  await guest.state('Running');
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  assert.equal(server.plan.length, 0);
});

inBrowser('a server that is lost ends the machine with one line', async (guest, place) => {
  const { server } = place;
  server.usual = 'slow';
  await open(guest, place);
  await guest.state('Running');
  server.die();
  await guest.page.keyboard.type('md5sum /tmp/noise\n');
  await guest.state(/disk\.img: the server cannot be reached/);
});

inBrowser('a snapshot that is damaged ends the machine with one line', async (guest, place) => {
  const { server } = place;
  server.content = snapshot.slice();
  server.content[snapshot.length >> 1]! ^= 1;
  await open(guest, place);
  await guest.state(/damaged/);
});

inBrowser('a file that was chosen is read when the guest looks at it', async (guest, { site }) => {
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

inBrowser('a server that does not answer ranges is read from start to end', async (guest, place) => {
  const { server } = place;
  server.usual = 'whole';
  await open(guest, place);
  await guest.state('Running');
  await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  assert.deepEqual(new Set(server.asked), new Set(['bytes=0-4095', 'all']));
});

inBrowser(
  'a small snapshot and its large base both come while the guest runs',
  async (guest, { site, server: base, changed }) => {
    base.usual = 'hold';
    const query = `?snapshot=${encodeURIComponent(changed.url)}&snapshot-base=${encodeURIComponent(base.url)}`;
    await guest.open(`${site.address}${query}`);
    await sparingly(guest, base, async () => {
      await guest.state('Running');
      await enter(guest, 'echo "<$later>"', '\n<42>\r\n');
    });
    await enter(guest, 'md5sum /tmp/noise', `${sum}  /tmp/noise`);
  },
);

/** Opens the snapshot, lets its guest look at memory that its server does not send, and waits until it waits. */
async function openAndWaitInVain(guest: GuestPage, place: Place): Promise<void> {
  const { server } = place;
  server.usual = 'slow';
  await open(guest, place);
  await guest.state('Running');
  await enter(guest, 'echo $((6*7))', '\n42\r\n');
  server.usual = 'hold';
  await guest.page.evaluate(() => document.querySelector('trapeze-vm')!.write('md5sum /tmp/noise\n'));
  await standsStill(guest);
}

async function standsStill(guest: GuestPage): Promise<void> {
  for (let [before, now] = [-1, await executed(guest)]; before !== now; [before, now] = [now, await executed(guest)])
    await setTimeout(200);
}

inBrowser('a machine whose guest waits for its server tells how it stands, and pauses', async (guest, place) => {
  await openAndWaitInVain(guest, place);
  const told = await guest.page.evaluate(
    () =>
      new Promise<{ readonly name: string; readonly loaded: number; readonly total: number }>((resolve) => {
        const vm = document.querySelector('trapeze-vm')!;
        vm.addEventListener('progress', ({ detail }) => resolve(detail as never), { once: true });
        // Only the machine's worker can answer.
        vm.profile({ top: 1 }).catch(() => {});
      }),
  );
  assert.equal(told.name, 'memory that the guest waits for');
  assert.ok(told.loaded < told.total, JSON.stringify(told));
  const arrival = await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    await vm.pause();
    return (await vm.statistics()).arrival!;
  });
  assert.ok(arrival.waits > 0 && arrival.arrived < arrival.pages, JSON.stringify(arrival));
  await guest.state('Paused');
  serveAgain(place.server);
  // All comes, and the guest does not go on.
  await guest.page.waitForFunction(async () => {
    const { arrival } = await document.querySelector('trapeze-vm')!.statistics();
    return arrival!.arrived === arrival!.pages;
  });
  await standsStill(guest);
  const text = await guest.page.evaluate(() => (globalThis as unknown as { seen: { text: string } }).seen.text);
  assert.ok(!text.includes(sum), text);
  await guest.page.evaluate(() => document.querySelector('trapeze-vm')!.resume());
  await guest.printed(`${sum}  /tmp/noise`);
});

inBrowser('a machine whose guest waits for its server is stopped, and the next one starts', async (guest, place) => {
  await openAndWaitInVain(guest, place);
  await guest.page.evaluate(async () => {
    // What is done when nothing has happened for long is never done here.
    const soon = globalThis.setTimeout;
    const noneLong = (act: () => void, ms = 0): unknown => (ms >= 1000 ? 0 : soon(act, ms));
    Object.assign(globalThis, { setTimeout: noneLong });
    await document.querySelector('trapeze-vm')!.stop();
    Object.assign(globalThis, { setTimeout: soon });
  });
  await guest.state('Off');
  await guest.page.evaluate(() => document.querySelector('trapeze-vm')!.start({}));
  await guest.printed(PROMPT);
});
