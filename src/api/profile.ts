/** A machine whose translated code counts its executions: which guest code is hot, and what was made of it. */
import { type ProfiledRegion, RegionProfile } from '../engine/wasm/region-profile.ts';
import { disassemble } from '../isa/x86/disassemble.ts';
import type { Host } from './host.ts';
import { createMachine, type Machine } from './machine.ts';
import { type MachineOptions, OptionError } from './options.ts';
import { type RestoreOptions, restoreMachine } from './restore.ts';
import type { SnapshotSource } from './snapshot-sources.ts';
import type { Symbols } from './symbols.ts';

export interface ProfileRow {
  /** Part of all instructions executed, from 0 to 1. */
  readonly share: number;
  readonly instructions: number;
  /** Of the entry, in hexadecimal. */
  readonly linear: string;
  readonly physical: string;
  readonly symbol?: string;
  readonly codeSize: 16 | 32 | 64;
  readonly translations: number;
  readonly guestBytes: number;
  readonly wasmBytes: number;
  /** Of the regions that are shown closely. */
  readonly listing?: readonly BlockListing[];
}

export interface BlockListing {
  readonly executions: number;
  readonly instructions: readonly InstructionListing[];
}

export interface InstructionListing {
  readonly address: string;
  readonly bytes: string;
  readonly guest: string;
  readonly ir: readonly string[];
  readonly wasm: readonly string[];
}

export interface Profile {
  /** Executed; of a machine out of a snapshot those since. */
  readonly instructions: number;
  /** Shares of the executed instructions. */
  readonly interpreted: number;
  readonly translated: number;
  /** Regions that were executed or made, shown or not. */
  readonly regions: number;
  /** Blocks that were not counted because there were too many. */
  readonly uncountedBlocks: number;
  /** The hottest first. */
  readonly hottest: readonly ProfileRow[];
}

/** What a profile is to show. */
export interface ProfileView {
  /** Rows. */
  readonly top: number;
  /** Of these, with a listing. */
  readonly listings: number;
  /** Only the region that has this linear or physical address. */
  readonly region?: bigint | undefined;
  /** Only the region that is entered at this physical address, which it keeps when it is made anew elsewhere. */
  readonly entry?: bigint | undefined;
  readonly symbols?: Symbols | undefined;
}

export interface ProfilingMachine {
  readonly machine: Machine;
  /** What is hot so far. Undefined: no region has the address that was asked for. */
  profile(view: ProfileView): Profile | undefined;
}

/**
 * Makes a machine that can be profiled. Its guest is a little slower for it.
 * @throws UserError as `createMachine` does.
 */
export async function createProfilingMachine(host: Host, options: MachineOptions): Promise<ProfilingMachine> {
  const watch = watchFor(options);
  return profiling(await createMachine(host, options, { watch }), watch);
}

/**
 * Makes a machine as a snapshot has it that can be profiled from there on.
 * @throws UserError as `restoreMachine` does.
 */
export async function restoreProfilingMachine(
  host: Host,
  source: SnapshotSource,
  options: RestoreOptions,
): Promise<ProfilingMachine> {
  const watch = watchFor(options);
  return profiling(await restoreMachine(host, source, options, { watch }), watch);
}

function watchFor({ engine, tier }: Pick<MachineOptions, 'engine' | 'tier'>): RegionProfile {
  if (engine === 'reference') throw new OptionError('engine', 'only the wasm engine can be profiled');
  if (tier === 'interpreter')
    throw new OptionError('tier', 'the interpreter makes no regions: choose both or translator');
  return new RegionProfile();
}

const profiling = (machine: Machine, watch: RegionProfile): ProfilingMachine => ({
  machine,
  profile: (view) => profileOf(machine, watch, view),
});

function profileOf(machine: Machine, watch: RegionProfile, view: ProfileView): Profile | undefined {
  const { instructions: all, instructionsBefore, vcpus } = machine.statistics();
  const instructions = all - instructionsBefore;
  const regions = watch.regions();
  const chosen = regions.filter(
    (r) =>
      (view.entry === undefined || BigInt(r.physical) === view.entry) &&
      (view.region === undefined || covers(r, view.region)),
  );
  if (chosen.length === 0 && (view.entry ?? view.region) !== undefined) return undefined;
  const tiers = vcpus[0]?.code?.tiers;
  return {
    instructions,
    interpreted: tiers?.interpreter ?? 1,
    translated: tiers?.translator ?? 0,
    regions: regions.length,
    uncountedBlocks: watch.uncounted,
    hottest: chosen.slice(0, view.top).map((r, i) => rowOf(r, instructions, i < view.listings, view.symbols)),
  };
}

/** Whether one of the region's instructions lies at an address. */
function covers(region: ProfiledRegion, address: bigint): boolean {
  const toLinear = region.linear - BigInt(region.physical);
  return region
    .blocks()
    .flatMap((b) => b.instructions)
    .some((i) =>
      [i.address, i.address - toLinear].some((at) => address >= at && address < at + BigInt(i.bytes.length)),
    );
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function rowOf(r: ProfiledRegion, total: number, listed: boolean, symbols: Symbols | undefined): ProfileRow {
  const symbol = symbols?.at(r.linear);
  return {
    share: total > 0 ? r.instructions / total : 0,
    instructions: r.instructions,
    linear: hex(r.linear),
    physical: hex(r.physical),
    ...(symbol === undefined ? {} : { symbol }),
    codeSize: r.codeSize,
    translations: r.translations,
    guestBytes: r.guestBytes,
    wasmBytes: r.wasmBytes,
    ...(listed ? { listing: listingOf(r) } : {}),
  };
}

const listingOf = (r: ProfiledRegion): readonly BlockListing[] =>
  r.blocks().map(({ executions, instructions }) => ({
    executions,
    instructions: instructions.map(({ address, bytes, ir, wasm }) => ({
      address: hex(address),
      bytes: Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' '),
      guest: disassemble(bytes, r.codeSize, address).text,
      ir: ir === '' ? [] : ir.split('\n'),
      wasm,
    })),
  }));
