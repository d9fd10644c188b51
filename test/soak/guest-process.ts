/** A guest in a process of its own, whose output and memory are watched. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { memoryBeyondRam } from '../../bench/process-memory.ts';
import { COMMAND } from '../support/trapeze.ts';
import { median } from './memory-trend.ts';

const MIB = 2 ** 20;
const SAMPLES_MS = 5000;
const MINUTE_MS = 60_000;

export interface SoakGuest {
  readonly kernel: string;
  readonly root: string;
  readonly job: Uint8Array;
  readonly memoryMiB: number;
  readonly tier: string;
  readonly timeoutSeconds: number;
}

export interface SoakWatcher {
  /** Each line that the guest prints. */
  line(text: string): void;
  /** Once a minute: the median of the memory beyond guest RAM in it, in bytes. */
  minute(count: number, bytes: number | undefined): void;
}

export interface SoakOutcome {
  readonly code: number | null;
  readonly text: string;
}

const commandLine = (guest: SoakGuest, job: string): string[] => [
  ...[COMMAND, 'run', '--no-reboot', '--kernel', guest.kernel, '--initrd', guest.root, '--initrd', job],
  ...['--append', 'console=ttyS0 loglevel=5 panic=-1', '--memory', `${guest.memoryMiB}M`, '--tier', guest.tier],
  ...['--timeout', `${guest.timeoutSeconds}`],
];

/** Runs the guest to its end. */
export async function runGuest(guest: SoakGuest, watcher: SoakWatcher): Promise<SoakOutcome> {
  const folder = mkdtempSync(path.join(tmpdir(), 'trapeze-soak-'));
  const job = path.join(folder, 'job.cpio');
  writeFileSync(job, guest.job);
  try {
    return await watch(commandLine(guest, job), guest.memoryMiB * MIB, watcher);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function watch(words: readonly string[], ramBytes: number, watcher: SoakWatcher): Promise<SoakOutcome> {
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const endWithUs = (): boolean => child.kill();
  process.once('exit', endWithUs);
  let text = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    text += `${line}\n`;
    watcher.line(line);
  });
  const stopSampling = sample(child.pid!, ramBytes, watcher);
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, text }));
    });
  } finally {
    stopSampling();
    process.off('exit', endWithUs);
  }
}

function sample(pid: number, ramBytes: number, watcher: SoakWatcher): () => void {
  let samples: number[] = [];
  let minutes = 0;
  const often = setInterval(() => {
    const bytes = memoryBeyondRam(pid, ramBytes);
    if (bytes !== undefined) samples.push(bytes);
  }, SAMPLES_MS);
  const seldom = setInterval(() => {
    minutes++;
    watcher.minute(minutes, samples.length === 0 ? undefined : median(samples));
    samples = [];
  }, MINUTE_MS);
  return () => {
    clearInterval(often);
    clearInterval(seldom);
  };
}
