/** Runs one command of a peer and watches it. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Command } from './peers/peer.ts';
import { MemoryWatch } from './process-memory.ts';

export interface Watch {
  /** Ends the run when the command has printed this; otherwise it runs to its own end. */
  readonly until?: string;
  /** Measure the process's memory beyond that much guest RAM. */
  readonly guestRamBytes?: number;
}

export interface Run {
  /** From the start of the process to `until`, or to its end. */
  readonly seconds: number;
  readonly output: string;
  /** How the command failed, hung, or ended without printing `until`. */
  readonly failure?: string;
  /** Largest memory of the process beyond resident guest RAM, if asked for. */
  readonly beyondRamBytes?: number;
}

/** Longer than any run takes, slowest machine included. */
const PATIENCE_MS = 1_800_000;

export async function execute(command: Command, watch: Watch = {}): Promise<Run> {
  const start = performance.now();
  const child = spawn(command.file, command.arguments, { stdio: ['pipe', 'pipe', 'pipe'] });
  const memory =
    watch.guestRamBytes === undefined || child.pid === undefined
      ? undefined
      : new MemoryWatch(child.pid, watch.guestRamBytes);
  const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    const run = await outcome(child, start, watch, () => memory?.sample());
    return { ...run, ...(memory === undefined ? {} : { beyondRamBytes: memory.end() }) };
  } finally {
    clearTimeout(patience);
    memory?.end();
    child.kill('SIGKILL');
  }
}

/** `last` is called while the process still lives. */
function outcome(child: ChildProcess, start: number, { until }: Watch, last: () => void): Promise<Run> {
  return new Promise((resolve) => {
    let output = '';
    const finish = (failure?: string): void => {
      const seconds = (performance.now() - start) / 1000;
      last();
      resolve({ output, seconds, ...(failure === undefined ? {} : { failure }) });
    };
    const take = (bytes: Buffer): void => {
      output += bytes;
      if (until !== undefined && output.includes(until)) finish();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.on('error', (error) => finish(`cannot be started: ${error.message}`));
    child.on('close', (code, signal) => {
      if (until !== undefined) finish(`ended (${signal ?? code}) before it printed '${until}'`);
      else finish(code === 0 ? undefined : `ended with ${signal ?? code}`);
    });
  });
}
