/** Runs the command as a person does: as a process of its own. */
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

export const COMMAND = fileURLToPath(new URL('../../bin/trapeze.js', import.meta.url));

export interface Outcome {
  /** The exit code, or the signal that ended the process. */
  readonly code: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longer than any of these runs takes; a process that hangs ends as SIGKILL. */
const PATIENCE_MS = 60_000;

/** Starts the command. `outcome` resolves when it has ended. */
export function start(
  words: readonly string[],
  stdio: StdioOptions = 'pipe',
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [COMMAND, ...words], { stdio, timeout: PATIENCE_MS, killSignal: 'SIGKILL' });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (bytes: Buffer) => (stdout += bytes));
  child.stderr?.on('data', (bytes: Buffer) => (stderr += bytes));
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: signal ?? code, stdout, stderr }));
  });
  return { child, outcome };
}

/** Runs the command with `input` typed at a pipe, which then ends. */
export function trapeze(words: readonly string[], input: string | Uint8Array = ''): Promise<Outcome> {
  const { child, outcome } = start(words);
  child.stdin!.on('error', () => {});
  child.stdin!.end(input);
  return outcome;
}

/** Resolves when `stream` has shown `text`. */
export function shown(stream: NodeJS.ReadableStream, text: string): Promise<void> {
  let seen = '';
  return new Promise((resolve, reject) => {
    stream.on('data', (bytes: Buffer) => {
      seen += bytes;
      if (seen.includes(text)) resolve();
    });
    stream.on('end', () => reject(new Error(`'${text}' was not shown but: ${seen}`)));
  });
}

/** A folder for one test, removed behind it. Returns the path of a file in it, written when there is content. */
export function scratch(test: TestContext): (name: string, content?: Uint8Array | string) => string {
  const folder = mkdtempSync(path.join(tmpdir(), 'trapeze-test-'));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return (name, content) => {
    const file = path.join(folder, name);
    if (content !== undefined) writeFileSync(file, content);
    return file;
  };
}
