/** Snapshots in a page: of machines whose disks' changes the browser keeps, and those that hold only what changed. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import path from 'node:path';
import { PROMPT } from '../support/boot.ts';
import type { GuestPage } from './guest-page.ts';
import { folder, inBrowser } from './in-browser.ts';

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
  await guest.printed(PROMPT);
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

inBrowser('changes that were in memory go on in a place of the browser that is new', async (guest) => {
  await guest.printed(PROMPT);
  await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    const image = new URL('zeros.img', location.href).href;
    Object.assign(globalThis, { disks: [{ image, overlay: 'new' }] });
    await vm.stop();
    await vm.start({ disks: [{ image }] });
  });
  await guest.printed(PROMPT);
  await exec(guest, 'echo in the snapshot > /dev/vda; sync');
  await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    Object.assign(globalThis, { saved: await vm.save() });
  });
  assert.equal(await goOn(guest), '');
  const write = 'echo since | dd of=/dev/vda bs=512 seek=1 conv=notrunc,fsync 2>/dev/null';
  const both = 'head -n1 /dev/vda; dd if=/dev/vda bs=512 skip=1 2>/dev/null | head -n1';
  assert.equal(await exec(guest, `${write}; ${both}`), 'in the snapshot\nsince');
  await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    await vm.stop();
    await vm.start({ disks: (globalThis as unknown as { disks: [] }).disks });
  });
  await guest.printed(PROMPT);
  assert.equal(await exec(guest, both), 'in the snapshot\nsince');
  assert.match(await goOn(guest), /the overlay of disk 1 \(\S+zeros\.img\) has changes of its own: name a new file/);
});

/** Opens files in the page, and resolves when a machine runs that was made of them. */
async function open(guest: GuestPage, files: readonly string[]): Promise<void> {
  const running = guest.page.evaluate(
    () =>
      new Promise<void>((resolve) =>
        document
          .querySelector('trapeze-vm')!
          .addEventListener('statechange', ({ detail }) => detail.state === 'running' && resolve()),
      ),
  );
  await guest.page.locator('#files').setInputFiles([...files]);
  await running;
}

/** What a button of the page downloads, in a file of its own. */
async function downloaded(guest: GuestPage, button: string): Promise<string> {
  const downloading = guest.page.waitForEvent('download');
  await guest.page.getByRole('button', { name: button, exact: true }).click();
  const file = path.join(folder, (await downloading).suggestedFilename());
  await (await downloading).saveAs(file);
  return file;
}

inBrowser('what changed since a snapshot is saved alone, and opened together with it', async (guest) => {
  await guest.printed(PROMPT);
  assert.equal(await guest.page.getByRole('button', { name: 'Save changes' }).count(), 0);
  await assert.rejects(
    guest.page.evaluate(() => document.querySelector('trapeze-vm')!.save({ changes: true })),
    /the machine was not started from a snapshot: save all of it/,
  );
  await exec(guest, 'echo first > /tmp/answer');
  const base = await downloaded(guest, 'Save');
  await open(guest, [base]);
  await exec(guest, 'echo second >> /tmp/answer; seq 1000 > /tmp/numbers');
  const changes = await downloaded(guest, 'Save changes');
  assert.match(changes, /-changes\.snap$/);
  const [part, whole] = [statSync(changes).size, statSync(base).size];
  assert.ok(part < whole / 3, `${part} of ${whole} bytes`);

  await guest.page.goto(new URL(`?image=${path.basename(base)}`, guest.page.url()).href);
  await guest.page.getByRole('button', { name: 'Save changes' }).waitFor();
  await open(guest, [base, changes]);
  assert.equal(await exec(guest, 'cat /tmp/answer; wc -l < /tmp/numbers'), 'first\nsecond\n1000');
  // Against the base again: what was saved in between is not needed.
  await exec(guest, 'echo last > /tmp/answer');
  const later = await downloaded(guest, 'Save changes');
  await open(guest, [later, base]);
  assert.equal(await exec(guest, 'cat /tmp/answer; wc -l < /tmp/numbers'), 'last\n1000');

  await guest.page.locator('#files').setInputFiles([later, changes]);
  await guest.state('neither is the base of the other');
  await guest.page.locator('#files').setInputFiles([later]);
  await guest.state(/holds only what differs from the snapshot \w+: give that as base, by opening both/);
});

inBrowser('a machine out of a snapshot shows what of its code is hot since', async (guest) => {
  await guest.printed(PROMPT);
  await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    await vm.restore(await vm.save(), { profile: true });
  });
  await exec(guest, 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done');
  const [profile, statistics] = await guest.page.evaluate(async () => {
    const vm = document.querySelector('trapeze-vm')!;
    await vm.pause();
    return [await vm.profile({ top: 1 }), await vm.statistics()] as const;
  });
  const { instructions, instructionsBefore } = statistics;
  assert.ok(instructionsBefore > 0);
  assert.equal(profile!.instructions, instructions - instructionsBefore);
  assert.ok(profile!.hottest[0]!.share > 0);
});

inBrowser(
  'the guest goes on while its snapshot is compressed, and the snapshot is of the moment before',
  async (guest) => {
    await guest.printed(PROMPT);
    await exec(guest, 'seq 3000000 > /tmp/seq');
    const told = await guest.page.evaluate(async () => {
      const vm = document.querySelector('trapeze-vm')!;
      const events: string[] = [];
      const counting = new Promise((resolve) => vm.addEventListener('output', resolve, { once: true }));
      vm.write('n=0; while :; do n=$((n+1)); for i in $(seq 50); do :; done; echo n=$n; done\n');
      await counting;
      for (const kind of ['progress', 'output'] as const) vm.addEventListener(kind, () => events.push(kind));
      Object.assign(globalThis, { saved: await vm.save(), disks: [] });
      await vm.pause();
      return events.join(' ');
    });
    assert.match(told, /progress (?:output )+progress/);
    const counted = (): Promise<readonly number[]> =>
      guest.page.evaluate(() => {
        const { seen } = globalThis as unknown as { seen: { text: string } };
        const numbers = [...seen.text.matchAll(/n=(\d+)\r\n/g)].map(([, n]) => Number(n));
        seen.text = '';
        return numbers;
      });
    const before = await counted();
    assert.equal(await goOn(guest), '');
    let after: readonly number[] = [];
    while (after.length === 0) after = await counted();
    assert.ok(after[0]! < before.at(-1)!, `${before.at(-1)}, then ${after[0]}`);
  },
);
