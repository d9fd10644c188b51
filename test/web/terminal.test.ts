/** The terminal of the page in a browser: what it shows, and what a person does with it. */
import assert from 'node:assert/strict';
import type { GuestPage } from './guest-page.ts';
import { inBrowser, type } from './in-browser.ts';

const PROMPT = '~# ';

/** Resolves when a line that the terminal shows is this one. */
const shows = (guest: GuestPage, line: string): Promise<void> =>
  guest.page.locator('trapeze-vm .xterm-rows > div').getByText(line, { exact: true }).first().waitFor();

inBrowser('what scrolled away can be scrolled back, and stays in sight while the guest prints', async (guest) => {
  await guest.printed(PROMPT);
  await type(guest, 'seq 1001 1500');
  await shows(guest, '1500');
  await guest.page.locator('trapeze-vm').hover();
  await guest.page.mouse.wheel(0, -100_000);
  await shows(guest, '1001');
  await type(guest, 'seq 2001 2500');
  await shows(guest, '2500');
  await guest.page.keyboard.press('Shift+PageUp');
  await guest.page.keyboard.press('Shift+PageUp');
  await shows(guest, '2400');
  await guest.page.evaluate(() => document.querySelector('trapeze-vm')!.write('seq 3001 3500\n'));
  await guest.printed('\n3500\r\n');
  await shows(guest, '2400');
  await guest.page.mouse.wheel(0, 100_000);
  await shows(guest, '3500');
});

inBrowser('a program that takes the whole screen gives back what was there', async (guest) => {
  await guest.printed(PROMPT);
  await type(guest, 'seq 1001 1500; printf "\\033[?1049h\\033[Hother screen"; sleep 3; printf "\\033[?1049l"');
  await shows(guest, 'other screen');
  await shows(guest, '1500');
  await guest.page.locator('trapeze-vm').hover();
  await guest.page.mouse.wheel(0, -100_000);
  await shows(guest, '1001');
});

inBrowser('text is selected by the mouse and copied', async (guest) => {
  await guest.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await guest.printed(PROMPT);
  await type(guest, 'echo first second');
  await guest.printed('\nfirst second');
  const row = guest.page.locator('trapeze-vm .xterm-rows > div').getByText('first second', { exact: true });
  await row.dblclick({ position: { x: 20, y: 5 }, force: true });
  await guest.page.keyboard.press('Control+Shift+c');
  assert.equal(await guest.page.evaluate(() => navigator.clipboard.readText()), 'first');
});

inBrowser('a guest that prints without end neither stops the page nor itself', async (guest) => {
  await guest.printed(PROMPT);
  await type(guest, 'yes trapeze');
  await guest.printed('trapeze\r\n'.repeat(2000));
  await guest.page.getByRole('tab', { name: 'About' }).click();
  await guest.page.locator('trapeze-vm').click();
  await guest.page.keyboard.press('Control+c');
  await guest.printed(PROMPT);
  await type(guest, 'echo $((6*7))');
  await guest.printed('\n42\r\n');
});

inBrowser('the keyboard alone reaches everything', async (guest) => {
  await guest.printed(PROMPT);
  const focused = (): Promise<string | null> =>
    guest.page.evaluate(() => document.activeElement?.id || (document.activeElement?.tagName ?? null));
  assert.equal(await focused(), 'vm');
  await guest.page.keyboard.press('Tab');
  assert.equal(await focused(), 'vm', 'Tab is the guest’s');
  await guest.page.keyboard.press('Shift+Escape');
  await guest.page.keyboard.press('Tab');
  assert.equal(await focused(), 'tab-live');
  await guest.page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'tab-inside');
  assert.equal(await guest.page.locator('#inside').isVisible(), true);
});

inBrowser(
  'a narrow screen shows everything, with keys that a telephone lacks',
  async (guest) => {
    await guest.printed(PROMPT);
    for (const view of ['Live', 'Inside', 'About']) {
      await guest.page.getByRole('tab', { name: view }).click();
      assert.equal(await guest.page.evaluate(() => document.documentElement.scrollWidth), 360, view);
    }
    await guest.page.locator('trapeze-vm').click();
    await guest.page.keyboard.type('sleep 1000\n');
    await guest.printed('sleep 1000\r\n');
    await guest.page.getByRole('button', { name: 'Ctrl C' }).click();
    await guest.printed(PROMPT);
  },
  { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
);
