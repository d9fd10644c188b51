/** `trapeze profile`: runs a guest, then shows which of its code was hot and what was made of it. */
import { closeSync, readFileSync } from 'node:fs';
import process from 'node:process';
import {
  createProfilingMachine,
  type Profile,
  type ProfilingMachine,
  restoreProfilingMachine,
} from '../api/profile.ts';
import { Symbols } from '../api/symbols.ts';
import { fileProblem } from '../host/node/file-problem.ts';
import { nodeHost } from '../host/node/host.ts';
import { type Machine, UserError } from '../host/node/index.ts';
import { restoreFrom } from '../host/node/restore.ts';
import { openForWriting, writeTo } from './output-file.ts';
import type { ProfileFormat } from './profile-choices.ts';
import { profileHtml } from './profile-html.ts';
import { profileText } from './profile-text.ts';
import { run } from './run.ts';
import type { RunFlags } from './run-options.ts';

export interface ProfileFlags extends RunFlags {
  readonly top: string;
  readonly listings: string;
  readonly region?: string;
  readonly symbols?: string;
  readonly output?: string;
  readonly format: ProfileFormat;
}

const MOST_ROWS = 10_000;
/** Columns of a file or a pipe. */
const WIDE = 160;

/** Runs a guest and prints its profile; the result is the exit code of the run. */
export async function profile(flags: ProfileFlags): Promise<number> {
  const view = {
    top: parseCount('--top', flags.top, 1),
    listings: parseCount('--listings', flags.listings, 0),
    region: parseRegion(flags.region),
    symbols: flags.symbols === undefined ? undefined : readSymbols(flags.symbols),
  };
  const output = flags.output === undefined ? undefined : openForWriting(flags.output);
  try {
    let profiling: ProfilingMachine | undefined;
    const kept = (made: ProfilingMachine): Machine => (profiling = made).machine;
    const code = await run(flags, {
      create: async (options) => kept(await createProfilingMachine(nodeHost, options)),
      restore: async (snapshot, options) =>
        kept(await restoreFrom(snapshot, options, (source, all) => restoreProfilingMachine(nodeHost, source, all))),
    });
    const found = profiling?.profile(view);
    if (found === undefined) throw new UserError(`--region: no region was made of code at ${flags.region}`);
    const shown = render(found, flags.format);
    if (output === undefined) process.stdout.write(shown);
    else writeTo(output, flags.output!, shown);
    return code;
  } finally {
    if (output !== undefined) closeSync(output);
  }
}

function render(found: Profile, format: ProfileFormat): string {
  switch (format) {
    case 'text':
      return profileText(found, process.stdout.columns ?? WIDE);
    case 'json':
      return `${JSON.stringify(found, null, 2)}\n`;
    case 'html':
      return profileHtml(found);
    default:
      return format satisfies never;
  }
}

function parseCount(option: string, text: string, least: number): number {
  const n = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (n >= least && n <= MOST_ROWS) return n;
  throw new UserError(`${option}: '${text}' is not a number of regions: choose ${least} to ${MOST_ROWS}`);
}

function parseRegion(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (!/^(0x)?[0-9a-f]{1,16}$/i.test(text))
    throw new UserError(`--region: '${text}' is not an address: write it in hexadecimal, such as 0xffffffff81000040`);
  return BigInt(text.startsWith('0x') ? text : `0x${text}`);
}

function readSymbols(path: string): Symbols {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileProblem(path, error);
  }
  return Symbols.parse(text, path);
}
