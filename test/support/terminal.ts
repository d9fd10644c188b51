/** Pseudo-terminals, made by Python, which has what Node lacks. */
import { spawn, spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { COMMAND } from './trapeze.ts';

const hasPython = spawnSync('python3', ['-c', 'import pty, termios']).status === 0;
/** Why terminals cannot be tested here, or false. */
export const withoutTerminal = hasPython
  ? false
  : 'SKIPPED: python3 with pty is not installed, so the terminal was not tested';

export interface TerminalOutcome {
  readonly code: number;
  readonly shown: string;
  readonly wasRaw: boolean;
  readonly restored: boolean;
}

/** Runs the command in a terminal; each step waits for a text and then types one (or does `signal:NAME`, `resize:ROWSxCOLUMNS`). */
export function inTerminal(
  steps: readonly (readonly [string, string])[],
  ...words: readonly string[]
): Promise<TerminalOutcome> {
  const python = fileURLToPath(new URL('in-terminal.py', import.meta.url));
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
