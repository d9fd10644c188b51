/** What is measured. */
import { fileURLToPath } from 'node:url';
import { type BenchLine, parseBenchLines } from './bench-lines.ts';
import type { Run, Watch } from './execute.ts';
import type { GuestFiles, ProgramFiles } from './guest-files.ts';
import type { Guest, Job } from './peers/peer.ts';

export type Unit =
  | { readonly kind: 'seconds' }
  | { readonly kind: 'megabytes' }
  /** So many of `of` a second. */
  | { readonly kind: 'rate'; readonly of: string };

/** What a row of the results is of: the start of a machine, a part of Trapeze, or work inside a guest. */
export type Group = 'boot' | 'part' | 'workload';

export interface Sample {
  readonly name: string;
  readonly group: Group;
  readonly unit: Unit;
  readonly value: number;
  /** Must be the same for all peers. */
  readonly checksum?: string;
}

export interface Measurement {
  readonly name: string;
  readonly job: Job;
  readonly watch: Watch;
  /** Names of what its samples must hold. */
  readonly results: readonly string[];
  read(run: Run): Sample[];
}

const NS_PER_S = 1e9;
const SECONDS: Unit = { kind: 'seconds' };
const MEGABYTES: Unit = { kind: 'megabytes' };

/** The last of what the embedded guest prints before its shell reads. */
const PROMPT = ':~# ';

const part = (name: string): string => fileURLToPath(new URL(`parts/${name}.ts`, import.meta.url));

/** A line that counts `runs` tells how long one takes, one without time how much it counts, others how many are done in a second. */
function toSample({ name, nanoseconds, checksum, count, unit }: BenchLine, group: Group): Sample {
  if (unit === 'runs') return { name, group, unit: SECONDS, value: nanoseconds / count / NS_PER_S, checksum };
  if (nanoseconds === 0) return { name, group, unit: MEGABYTES, value: count / 1e6, checksum };
  return { name, group, unit: { kind: 'rate', of: unit }, value: (count / nanoseconds) * NS_PER_S, checksum };
}

// What was printed before a run failed counts.
const fromLines = (run: Run, group: Group): Sample[] =>
  parseBenchLines(run.output).map((line) => toSample(line, group));

/** Time from starting the process until the guest has printed `until`. */
function bootTime(name: string, guest: Guest, until: string): Measurement {
  return {
    name,
    job: { kind: 'boot', guest },
    watch: { until },
    results: [name],
    read: ({ seconds, failure }) =>
      failure === undefined ? [{ name, group: 'boot', unit: SECONDS, value: seconds }] : [],
  };
}

/** Memory of the process while the guest boots and until it has printed `until`. */
function memory(name: string, guest: Guest, until: string): Measurement {
  return {
    name,
    job: { kind: 'boot', guest },
    watch: { until, guestRamBytes: guest.memoryMiB * 2 ** 20 },
    results: [name],
    read: ({ beyondRamBytes, failure }) =>
      beyondRamBytes === undefined || failure !== undefined
        ? []
        : [{ name, group: 'boot', unit: MEGABYTES, value: beyondRamBytes / 1e6 }],
  };
}

function partOfTrapeze(name: string, results = [name]): Measurement {
  const job: Job = { kind: 'part', module: part(name) };
  return { name, job, watch: {}, results, read: (run) => fromLines(run, 'part') };
}

/** One run of the guest benchmark: as many samples as workloads. */
function program(files: ProgramFiles, workloads: readonly string[], repeats: number): Measurement {
  return {
    name: workloads.length === 1 ? workloads[0] : `${workloads.length} workloads`,
    job: { kind: 'program', ...files, workloads, repeats },
    watch: {},
    results: workloads,
    read: (run) => fromLines(run, 'workload'),
  };
}

export interface Selection {
  /** Parts of names; empty: everything. */
  readonly only: readonly string[];
  readonly repeats: number;
}

const RESTORE = ['size', 'file-demand', 'server-demand', 'file-whole', 'server-whole'].map((name) => `restore-${name}`);

/** Names of everything that can be measured here. */
export function names(files: GuestFiles): string[] {
  return [...single(files).map(({ name }) => name), ...(files.program?.workloads ?? [])];
}

function single({ embedded, debian }: GuestFiles): Measurement[] {
  const all = [
    bootTime('boot-embedded', embedded, PROMPT),
    memory('memory-embedded', embedded, PROMPT),
    partOfTrapeze('start-up', ['start-modules', 'start-engine']),
    partOfTrapeze('decoder'),
    partOfTrapeze('page-boot', ['page-usable', 'page-boot', 'page-download', 'page-snapshot']),
    partOfTrapeze('restore', RESTORE),
  ];
  for (const { name, guest, marker } of debian) all.push(bootTime(`boot-${name}`, guest, marker));
  return all;
}

/** What was selected, in the order in which it is to run. */
export function measurements(files: GuestFiles, { only, repeats }: Selection): Measurement[] {
  const selected = (name: string): boolean => only.length === 0 || only.some((word) => name.includes(word));
  const chosen = single(files).filter(({ name }) => selected(name));
  const workloads = files.program?.workloads.filter(selected) ?? [];
  if (files.program !== undefined && workloads.length > 0) chosen.push(program(files.program, workloads, repeats));
  return chosen;
}
