/** The command at a terminal: a pseudo-terminal made by Python, which has what Node lacks. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import process from 'node:process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { debugExit, echoUntil, print, spin, tinyGuest, tripleFault } from './support/tiny-guest.ts';
import { COMMAND, scratch } from './support/trapeze.ts';

const hasPython = spawnSync('python3', ['-c', 'import pty, termios']).status === 0;
const skip = hasPython ? false : 'SKIPPED: python3 with pty is not installed, so the terminal was not tested';

interface Outcome {
  readonly code: number;
  readonly shown: string;
  readonly wasRaw: boolean;
  readonly restored: boolean;
}

/** Runs the command in a terminal; each step waits for a text and then types one (or sends `signal:NAME`). */
function inTerminal(steps: readonly (readonly [string, string])[], ...words: readonly string[]): Promise<Outcome> {
  const python = fileURLToPath(new URL('support/in-terminal.py', import.meta.url));
  const child = spawn('python3', [python, JSON.stringify(steps), process.execPath, COMMAND, 'run', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes));
  return new Promise((resolve, reject) => {
    child.on('close', () => {
      try {
        resolve(JSON.parse(output));
      } catch (error) {
        reject(error);
      }
    });
  });
}

test('Ctrl-A X leaves a running guest with 0 and gives the terminal back', { skip }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('ready\r\n'), spin()));
  const { code, wasRaw, restored, shown } = await inTerminal([['ready', '\x01x']], '--kernel', kernel);
  assert.deepEqual({ code, wasRaw, restored }, { code: 0, wasRaw: true, restored: true });
  assert.match(shown, /ready/);
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
  assert.match(shown, /Ctrl-A X {2}leave.*\r+\n/);
  assert(shown.includes('a\x03\x1a'), 'Ctrl-C and Ctrl-Z reach the guest');
  assert(shown.includes('\x01q'));
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
  assert.match(shown, /half a line\r+\ntrapeze: triple fault\r+\n/);
});

test('a guest that is silent for over a second is reported as starting', { skip }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(spin()));
  const { code, shown } = await inTerminal([['trapeze: starting the guest', '\x01x']], '--kernel', kernel);
  assert.equal(code, 0);
  assert.match(shown, /instructions/);
});
