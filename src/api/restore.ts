/** Machines out of snapshots. */
import { SavedBootSource } from '../snapshot/boot-sections.ts';
import type { Section } from '../snapshot/container.ts';
import { SnapshotReader } from '../snapshot/container.ts';
import type { SnapshotDescription } from '../snapshot/description.ts';
import { parseDescription } from '../snapshot/description.ts';
import { snapshotProblem } from '../snapshot/problem.ts';
import type { ByteSource } from '../snapshot/streams.ts';
import type { Host } from './host.ts';
import { engineParts, Machine, openDisks } from './machine.ts';
import type { MachineOptions } from './options.ts';
import { checkOptions, OptionError } from './options.ts';
import type { LoadedBoot, Restoring, SnapshotListener } from './snapshot.ts';
import { checkDisks } from './snapshot.ts';

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
  readonly onProgress?: SnapshotListener | undefined;
  /** The snapshot that this one was saved against, if any was. */
  readonly base?: ByteSource | undefined;
}

/**
 * Makes a machine as a snapshot has it; `run` goes on from there.
 * @throws UserError when the snapshot is damaged, was made for other disks, or is of a version that this Trapeze cannot read.
 */
export async function restoreMachine(host: Host, source: ByteSource, options: RestoreOptions = {}): Promise<Machine> {
  const reader = new SnapshotReader(source);
  try {
    return await restore(host, reader, options);
  } catch (error) {
    await reader.cancel();
    throw error;
  }
}

/** Reads what a snapshot says of itself, and no further. */
export async function describeSnapshot(source: ByteSource): Promise<SnapshotDescription> {
  const reader = new SnapshotReader(source);
  try {
    return await description(reader);
  } finally {
    await reader.cancel();
  }
}

/** Reads all of a snapshot and checks that nothing in it is damaged. Returns how long it is. */
export async function verifySnapshot(source: ByteSource): Promise<number> {
  const reader = new SnapshotReader(source);
  try {
    await description(reader);
    while ((await reader.next()) !== undefined);
    return reader.position;
  } finally {
    await reader.cancel();
  }
}

async function description(reader: SnapshotReader): Promise<SnapshotDescription> {
  const first = await reader.next();
  if (first?.kind !== 'META') throw snapshotProblem('it does not begin with its description');
  return parseDescription(first.content);
}

async function restore(host: Host, reader: SnapshotReader, options: RestoreOptions): Promise<Machine> {
  const saved = await description(reader);
  const { clock, onProgress, base, ...rest } = options;
  const restoring = {
    jumps: jumpsInTime(clock, saved.clock),
    base: wantedBase(saved.base, base),
    listener: onProgress ?? (() => {}),
  };
  const checked = checkOptions({
    ...rest,
    memory: saved.memory,
    clock: saved.clock,
    debugExit: saved.debugExit ?? undefined,
  });
  const { boot, next } = await readBoot(reader);
  const opened = await openDisks(host, checked);
  try {
    await checkDisks(saved.disks, opened.disks);
    const { commandLine } = boot;
    const parts = {
      ...opened,
      ...(await engineParts(host, checked)),
      commandLine,
      boot: { later: loader(host, boot) },
    };
    const machine = new Machine(host, checked, parts);
    await machine.restoreFrom(reader, next, restoring);
    return machine;
  } catch (error) {
    await opened.closeDisks();
    throw error;
  }
}

function wantedBase(id: string | null, source: ByteSource | undefined): Restoring['base'] {
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
  let section = await reader.next();
  for (; section?.kind === 'BOOT'; section = await reader.next()) boot.add(section.content);
  if (section === undefined || !boot.complete) throw snapshotProblem('some of what it booted from is missing');
  return { boot, next: section };
}

/** Loads what the machine boots from when that is first asked for. */
function loader(host: Host, saved: SavedBootSource): () => Promise<LoadedBoot> {
  let loaded: Promise<LoadedBoot> | undefined;
  const load = async (): Promise<LoadedBoot> => {
    if (!saved.usesEmbedded) return saved.source(() => new Uint8Array(0));
    const guest = await host.embeddedGuest();
    return saved.source((role) => guest[role]);
  };
  return () => (loaded ??= load());
}
