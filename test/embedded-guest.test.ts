/** The Linux that comes with Trapeze, as a person meets it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Machine } from '../src/host/node/index.ts';
import { inTerminal, withoutTerminal as skip } from './support/terminal.ts';
import { trapeze } from './support/trapeze.ts';

const PROMPT = 'trapeze:~# ';

test('at a terminal: a shell that knows the size of the window, and poweroff ends with 0', { skip }, async () => {
  const steps = [
    [PROMPT, 'stty size\r'],
    ['24 80', 'resize:30x100'],
    [PROMPT, 'sleep 1; stty size\r'],
    ['30 100', 'poweroff\r'],
  ] as const;
  const { code, shown, restored } = await inTerminal(steps);
  assert.deepEqual([code, restored], [0, true], shown);
});

test('at a terminal: Ctrl-C interrupts a program in the guest', { skip }, async () => {
  const steps = [
    // One process prints and sleeps: a shell between two commands would lose the interrupt.
    [PROMPT, "sh -c 'echo be; exec sleep 1000'\r"],
    ['be\r', '\x03'],
    [PROMPT, 'poweroff\r'],
  ] as const;
  const { code, shown } = await inTerminal(steps);
  assert.equal(code, 0, shown);
});

test('through a pipe, on either console', async () => {
  for (const append of ['console=ttyS0', 'console=hvc0']) {
    const { code, stdout, stderr } = await trapeze(['run', '--append', append], 'echo $((6 * 7)) $(tty)\npoweroff\n');
    assert.match(stdout, append === 'console=ttyS0' ? /\n42 \/dev\/ttyS0\r/ : /\n42 \/dev\/hvc0\r/);
    assert.deepEqual([code, stderr], [0, '']);
  }
});

test('under the virtual clock two runs print the same bytes and count the same instructions', async () => {
  const run = async (): Promise<readonly [string, number]> => {
    const machine = await Machine.create({
      clock: 'virtual',
      memory: '64M',
      append: 'trapeze.poweroff',
      noReboot: true,
    });
    let output = '';
    machine.onOutput((bytes) => (output += Buffer.from(bytes).toString('latin1')));
    assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
    return [output, machine.statistics().instructions];
  };
  const first = await run();
  assert.match(first[0], /Trapeze: Linux/);
  assert.deepEqual(await run(), first);
});

test('the example of the documentation', () => {
  const example = fileURLToPath(new URL('../examples/hello.ts', import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [example], { encoding: 'utf8', timeout: 120_000 });
  assert.match(stdout, /^Linux x86_64 says 42\npoweredOff after \d+ instructions in [\d.]+ s\n$/, stderr);
});
