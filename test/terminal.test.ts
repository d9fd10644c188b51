/** The command at a terminal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTerminal, withoutTerminal as skip } from './support/terminal.ts';
import { debugExit, echoUntil, print, spin, tinyGuest, tripleFault } from './support/tiny-guest.ts';
import { scratch, trapeze } from './support/trapeze.ts';

test('the terminal gets every byte as it is; Ctrl-A X leaves with 0 and gives the terminal back', {
  skip,
}, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('ready\n\r\r\n'), spin()));
  const { code, wasRaw, restored, shown } = await inTerminal([['ready', '\x01x']], '--kernel', kernel);
  assert.deepEqual({ code, wasRaw, restored }, { code: 0, wasRaw: true, restored: true });
  assert(shown.startsWith('ready\n\r\r\n'), JSON.stringify(shown));
});

test('keys go to the guest; Ctrl-A H lists the keys; Ctrl-A A sends Ctrl-A', { skip }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('ready\r\n'), echoUntil('q'), debugExit(0)));
  const steps = [
    ['ready', '\x01h'],
    ['this list', 'a\x03\x1a'],
    ['\x1a', '\x01s'],
    ['a second', '\x01aq'],
  ] as const;
  const { code, shown, restored } = await inTerminal(steps, '--kernel', kernel, '--debug-exit', '0xf4');
  assert.deepEqual([code, restored], [1, true]);
  assert.match(shown, /Ctrl-A X {2}leave.*\r\n/);
  assert(shown.includes('a\x03\x1a'), 'Ctrl-C and Ctrl-Z reach the guest');
  assert(shown.includes('\x01q'));
});

test('Ctrl-A W saves the machine, and --save-on-exit does when a person leaves; both go on elsewhere', {
  skip,
}, async (t) => {
  const file = scratch(t);
  const kernel = file('kernel', tinyGuest(print('ready\r\n'), echoUntil('q'), debugExit(3)));
  const steps = [
    ['ready', '\x01w'],
    ['go on with', '\x01x'],
  ] as const;
  const words = ['--kernel', kernel, '--debug-exit', '0xf4', '--memory', '8M'];
  const leaving = [['ready', '\x01x']] as const;
  for (const [i, [keys, ...more]] of ([[steps], [leaving, '--save-on-exit']] as const).entries()) {
    const snapshot = file(`${i}.snap`);
    const { code, restored } = await inTerminal(keys, ...words, '--save', snapshot, ...more);
    assert.deepEqual([code, restored], [0, true]);
    assert.deepEqual(await trapeze(['run', '--snapshot', snapshot], 'xyq'), { code: 7, stdout: 'xyq', stderr: '' });
  }
});

test('a signal gives the terminal back', { skip }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('ready'), spin()));
  const { code, wasRaw, restored } = await inTerminal([['ready', 'signal:SIGTERM']], '--kernel', kernel);
  assert.deepEqual({ code, wasRaw, restored }, { code: 143, wasRaw: true, restored: true });
});

test('a triple fault gives the terminal back and starts its report on a line of its own', { skip }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('half a line'), tripleFault()));
  const { code, shown, restored } = await inTerminal([], '--kernel', kernel);
  assert.deepEqual([code, restored], [3, true]);
  assert.match(shown, /half a line\r\ntrapeze: triple fault\r\n/);
});

test('a guest that is silent for over a second is reported as starting', { skip }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(spin()));
  const { code, shown } = await inTerminal([['trapeze: starting the guest', '\x01x']], '--kernel', kernel);
  assert.equal(code, 0);
  assert.match(shown, /instructions/);
});
