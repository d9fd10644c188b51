/** Machines out of snapshots. */
import type { ArrivalFile } from '../snapshot/arrival.ts';
import { SavedBootSource } from '../snapshot/boot-sections.ts';
import type { Section } from '../snapshot/container.ts';
import { SnapshotReader } from '../snapshot/container.ts';
import type { SnapshotDescription } from '../snapshot/description.ts';
import { snapshotProblem } from '../snapshot/problem.ts';
import { isRandomSource, type RandomSource, readPlaces, streamOf } from '../snapshot/random-access.ts';
import type { ByteSource } from '../snapshot/streams.ts';
import { LOADS } from './choices.ts';
import { readDescription } from './describe-snapshot.ts';
import type { Host } from './host.ts';
import { engineParts, Machine, type Probe } from './machine.ts';
import { openDisks } from './open-disks.ts';
import type { MachineOptions } from './options.ts';
import { checkOptions, OptionError } from './options.ts';
import type { LateMemory, Restoring } from './restorer.ts';
import { checkDisks } from './restorer.ts';
import type { LoadedBoot, SnapshotListener } from './snapshot.ts';
import { checkBase } from './snapshot.ts';
import { closeSources, isOnDemand, type SnapshotSource } from './snapshot-sources.ts';

/** What a restored machine can be given; all else is as it was when the snapshot was taken. */
export interface RestoreOptions
  extends Pick<
    MachineOptions,
    'disks' | 'engine' | 'tier' | 'terminal' | 'noReboot' | 'timeout' | 'trace' | 'onTrace' | 'onTimeline' | 'onWarning'
  > {
  /**
   * `jump` (the default under a real clock): the guest's time goes to the host's, as if it had slept since.
   * `continue`: no time has passed for it. Under a virtual clock time always continues.
   */
  readonly clock?: 'continue' | 'jump' | undefined;
  /**
   * `demand`: the guest runs before its memory is there, which comes when it looks at it, and by and by. `whole`: all is read and
   * checked before. Unless given, what can be read at any place and is large comes on demand.
   */
  readonly load?: (typeof LOADS)[number] | undefined;
  /** Told while a snapshot is read; with `demand` also while the guest runs. */
  readonly onProgress?: SnapshotListener | undefined;
  /** The snapshot that this one was saved against, if any was. */
  readonly base?: SnapshotSource | undefined;
}

/**
 * Makes a machine as a snapshot has it; `run` goes on from there. What can be read at any place is closed when all was read.
 * @throws UserError when the snapshot is damaged, was made for other disks, or is of a version that this Trapeze cannot read.
 */
export async function restoreMachine(
  host: Host,
  source: SnapshotSource,
  options: RestoreOptions = {},
  probe?: Probe,
): Promise<Machine> {
  const reader = readerOf(source);
  const close = (): Promise<void> => closeSources([source, options.base]);
  try {
    const { machine, isWhole } = await restore(host, { source, reader }, options, probe);
    if (isWhole) await close();
    return machine;
  } catch (error) {
    await reader.cancel();
    await close();
    throw error;
  }
}

const readerOf = (source: SnapshotSource): SnapshotReader =>
  new SnapshotReader(isRandomSource(source) ? streamOf(source) : source);

interface Opened {
  readonly source: SnapshotSource;
  readonly reader: SnapshotReader;
}

async function restore(
  host: Host,
  opened: Opened,
  options: RestoreOptions,
  probe: Probe | undefined,
): Promise<{ readonly machine: Machine; readonly isWhole: boolean }> {
  const { reader } = opened;
  const saved = await readDescription(reader);
  const { clock, onProgress, base, load, ...rest } = options;
  const jumps = jumpsInTime(clock, saved.clock);
  const wanted = wantedBase(saved.base, base);
  const checked = checkOptions({
    ...rest,
    memory: saved.memory,
    clock: saved.clock,
    debugExit: saved.debugExit ?? undefined,
  });
  const late = await lateMemory(opened, saved, wanted?.source, load);
  const { boot, next } = await readBoot(reader);
  const disks = await openDisks(host, checked);
  try {
    const toFill = await checkDisks(saved.disks, disks.disks);
    const { commandLine } = boot;
    const loadBoot = loader(host, boot, () => machine.lateFiles());
    const parts = { ...disks, ...(await engineParts(host, checked, probe)), commandLine, boot: { later: loadBoot } };
    const machine: Machine = new Machine(host, checked, parts);
    const restoring: Restoring = {
      jumps,
      boot,
      late,
      base: late === undefined && wanted !== undefined ? { ...wanted, source: wholeStream(wanted.source) } : undefined,
      listener: onProgress ?? (() => {}),
    };
    for (const overlay of toFill) await overlay.begin();
    await machine.restoreFrom(reader, next, restoring);
    for (const overlay of toFill) await overlay.end();
    return { machine, isWhole: late === undefined };
  } catch (error) {
    await disks.closeDisks();
    throw error;
  }
}

const wholeStream = (source: SnapshotSource): ByteSource => (isRandomSource(source) ? streamOf(source) : source);

/** Where memory comes from while the guest runs; undefined where it comes before. @throws UserError when that cannot be */
async function lateMemory(
  { source, reader }: Opened,
  saved: SnapshotDescription,
  base: SnapshotSource | undefined,
  load: RestoreOptions['load'],
): Promise<LateMemory | undefined> {
  if (load !== undefined && !LOADS.includes(load)) throw new OptionError('load', "choose 'demand' or 'whole'");
  const places = [source, ...(base === undefined ? [] : [base])].filter(isRandomSource);
  const [own, below] = places;
  const canWait = own !== undefined && places.length === (base === undefined ? 1 : 2);
  if (load === 'demand' && !canWait) throw new OptionError('load', 'a stream can only be read whole: give a file');
  if (!canWait || !isOnDemand(places, load)) return undefined;
  const { inflateNow } = await import('./inflate-now.ts');
  const found = await readPlaces(own, saved.memory);
  reader.leave(found.rest);
  return {
    snapshot: { source: own, places: found.places },
    base: below && (await openBase(below, saved)),
    inflateNow,
  };
}

/** Reads and checks all of a base but its memory. @throws UserError when it is not the one of the snapshot */
async function openBase(source: RandomSource, saved: SnapshotDescription): Promise<ArrivalFile> {
  const reader = new SnapshotReader(streamOf(source));
  checkBase(await readDescription(reader), saved.memory, saved.base ?? undefined);
  const { places, rest } = await readPlaces(source, saved.memory);
  reader.leave(rest);
  while ((await reader.next()) !== undefined);
  return { source, places };
}

function wantedBase(
  id: string | null,
  source: SnapshotSource | undefined,
): { readonly id: string; readonly source: SnapshotSource } | undefined {
  if (id === null && source === undefined) return undefined;
  if (id === null) throw new OptionError('base', 'the snapshot is complete: leave the base out');
  if (source === undefined)
    throw new OptionError('base', `the snapshot holds only what differs from the snapshot ${id}: give that as base`);
  return { id, source };
}

function jumpsInTime(asked: 'continue' | 'jump' | undefined, clock: 'real' | 'virtual'): boolean {
  if (asked !== undefined && asked !== 'continue' && asked !== 'jump')
    throw new OptionError('clock', "choose 'continue' or 'jump'");
  if (clock === 'real') return asked !== 'continue';
  if (asked === 'jump') throw new OptionError('clock', 'the snapshot has a virtual clock, which can only continue');
  return false;
}

async function readBoot(reader: SnapshotReader): Promise<{ boot: SavedBootSource; next: Section }> {
  const first = await reader.next();
  if (first?.kind !== 'BOOT') throw snapshotProblem('it does not say what it booted from');
  const boot = new SavedBootSource(first.content);
  const next = await reader.next();
  if (next === undefined) throw snapshotProblem('the state of processor is missing');
  return { boot, next };
}

/** Loads what the machine boots from when that is first asked for; `missing` has what comes late. */
function loader(
  host: Host,
  saved: SavedBootSource,
  missing: () => Promise<readonly Uint8Array[]>,
): () => Promise<LoadedBoot> {
  let loaded: Promise<LoadedBoot> | undefined;
  const load = async (): Promise<LoadedBoot> => {
    for (const content of await missing()) saved.add(content);
    saved.finish();
    if (!saved.usesEmbedded) return saved.source(() => new Uint8Array(0));
    const guest = await host.embeddedGuest();
    return saved.source((role) => guest[role]);
  };
  return () => (loaded ??= load());
}
