/** Systems that others built, as Debian ships them. One after another: each takes a processor for a while. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Machine, type MachineOptions } from '../../src/host/node/index.ts';
import { type Booted, boot } from '../support/boot.ts';
import {
  debianGuest,
  INIT_MARKER,
  type LinuxGuest,
  memtestGuest,
  POWEROFF_WORD,
  skipWithout,
  there,
} from '../support/guests.ts';
import { vmlinuxOf } from '../support/vmlinux.ts';

const APPEND = `console=ttyS0 ${POWEROFF_WORD}`;
const MEMTEST_PATIENCE_S = 100;

const cloud = await debianGuest('cloud-amd64');
const amd64 = await debianGuest('amd64');
const pae = await debianGuest('686-pae');
const memtests = { 64: await memtestGuest(64), 32: await memtestGuest(32) };

function check({ result, text }: Booted, machine: string): void {
  assert.deepEqual(result, { kind: 'poweredOff' }, text);
  assert(text.includes(INIT_MARKER), text);
  assert.match(text, new RegExp(`^Linux \\S+ 6\\.1\\.0-\\S+ .* ${machine} GNU/Linux`, 'm'));
  assert.match(text, /Power down/);
  assert.doesNotMatch(text, /Kernel panic|Oops|BUG:|WARNING:|unchecked MSR|\[Firmware Bug\]/i);
}

const bootLinux = (guest: LinuxGuest, options: MachineOptions = {}): Promise<Booted> =>
  boot({ append: APPEND, ...guest, ...options });

test("Debian's cloud kernel boots to init and powers off", { skip: skipWithout(cloud) }, async () => {
  check(await bootLinux(there(cloud)), 'x86_64');
});

test("Debian's amd64 kernel boots to init and powers off", { skip: skipWithout(amd64) }, async () => {
  check(await bootLinux(there(amd64)), 'x86_64');
});

test("Debian's 32-bit 686-pae kernel boots to init and powers off", { skip: skipWithout(pae) }, async () => {
  check(await bootLinux(there(pae)), 'i686');
});

test('the ELF kernel inside it boots by PVH', { skip: skipWithout(cloud) }, async (t) => {
  const { kernel, initrd } = there(cloud);
  const vmlinux = vmlinuxOf(readFileSync(kernel));
  const skip = skipWithout(vmlinux);
  if (skip !== false) return t.skip(skip);
  assert.deepEqual([...there(vmlinux).subarray(0, 4)], [...Buffer.from('\x7fELF')]);
  const booted = await bootLinux({ kernel, initrd }, { kernel: there(vmlinux) });
  check(booted, 'x86_64');
  assert.match(booted.text, /Booting paravirtualized kernel/);
});

test("under the virtual clock Debian's kernel repeats itself", { skip: skipWithout(cloud) }, async () => {
  const run = async () => {
    const booted = await bootLinux(there(cloud), { clock: 'virtual' });
    check(booted, 'x86_64');
    const { text, statistics } = booted;
    const { instructions, guestSeconds, exceptions, interrupts, devices } = statistics;
    return { text, instructions, guestSeconds, exceptions, interrupts, devices };
  };
  const first = await run();
  assert(first.instructions > 1e8);
  assert.deepEqual(await run(), first);
});

for (const bits of [64, 32] as const) {
  const memtest = memtests[bits];
  test(`memtest86+ (${bits}-bit) finds the memory and starts its tests`, { skip: skipWithout(memtest) }, async () => {
    const options = { ...there(memtest), memory: '64M', append: 'console=ttyS0,115200', timeout: MEMTEST_PATIENCE_S };
    const text = await untilTesting(options);
    assert.match(text, /Memtest86\+ v6/);
    assert.match(text, /Memory .*: {3}64MB/);
    assert.match(text, /Errors: 0/);
  });
}

/** Runs memtest86+ until it is past its first test; returns the text on its screen without the cursor's moves. */
async function untilTesting(options: MachineOptions): Promise<string> {
  const machine = await Machine.create(options);
  let text = '';
  machine.onOutput((bytes) => (text += Buffer.from(bytes).toString('latin1')));
  const run = machine.run();
  await machine.waitForText(/#[1-9] +\[.*\]/, { timeout: MEMTEST_PATIENCE_S });
  machine.stop();
  assert.deepEqual(await run, { kind: 'stopped' });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are told by escape sequences
  return text.replaceAll(/\x1b\[[0-9;?]*[a-zA-Z]/g, '');
}
