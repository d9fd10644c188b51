/** Machines out of what a page asks for, and back into files. */
import type { Host } from '../api/host.ts';
import { createMachine, type Machine } from '../api/machine.ts';
import { type MachineOptions, OptionError, type TerminalSize } from '../api/options.ts';
import type { ProfilingMachine } from '../api/profile.ts';
import { type RestoreOptions, restoreMachine } from '../api/restore.ts';
import type { SnapshotSource } from '../api/snapshot-sources.ts';
import type { ProgressListener } from '../host/browser/download.ts';
import { openSnapshots } from '../host/browser/snapshot-source.ts';
import type { ByteSource } from '../snapshot/streams.ts';
import { UserError } from '../user-error.ts';
import type { DiskSource, Source, VmOptions } from './protocol.ts';

const DEFAULT_MEMORY = '256M';

export interface Surroundings {
  /** The folder of the static build. */
  readonly base: string;
  readonly terminal: TerminalSize | undefined;
  readonly progress: ProgressListener;
  readonly warning: (line: string) => void;
}

/** A machine, and how to profile it if that was asked for. */
type Made = Partial<ProfilingMachine> & { readonly machine: Machine };

/** @throws UserError when something is wrong or cannot be had. */
export async function makeMachine(
  host: Host,
  options: VmOptions,
  { base: folder, terminal, progress, warning }: Surroundings,
): Promise<Made> {
  const { kernel, initrd, append, memory, snapshot, snapshotBase, load, profile, time } = options;
  const disks = await Promise.all((options.disks ?? []).map((disk) => diskOf(disk, warning)));
  const common = { terminal, disks, onWarning: warning };
  if (snapshot !== undefined) {
    const sources = snapshotBase === undefined ? [snapshot] : [snapshot, snapshotBase];
    const [source, base] = await openSnapshots(sources, { load, base: folder, progress });
    return await restored(host, source!, { ...common, clock: time, load, base }, profile === true);
  }
  if (snapshotBase !== undefined) throw new UserError('snapshotBase is for a snapshot: name that too');
  const images = { kernel: await content(kernel), initrd: await content(initrd) };
  const all: MachineOptions = { ...common, ...images, append, memory: memory ?? DEFAULT_MEMORY };
  if (profile !== true) return { machine: await createMachine(host, all) };
  const { createProfilingMachine } = await import('../api/profile.ts');
  return createProfilingMachine(host, all);
}

async function content(image: Source | undefined): Promise<string | Uint8Array | undefined> {
  if (!(image instanceof Blob)) return image;
  try {
    return new Uint8Array(await image.arrayBuffer());
  } catch {
    throw new UserError(`${image instanceof File ? image.name : 'the file'} cannot be read: choose it again`);
  }
}

async function diskOf(
  { image, name, mode = 'cow', overlay, cache }: DiskSource,
  warning: (line: string) => void,
): Promise<NonNullable<MachineOptions['disks']>[number]> {
  if (typeof image === 'string') return { path: image, mode, overlay, cache };
  const { openImageDisk } = await import('../host/browser/disks.ts');
  return openImageDisk(
    { name: name ?? (image instanceof File ? image.name : 'of the page'), blob: image },
    mode,
    warning,
  );
}

/** @throws UserError */
async function restored(host: Host, source: SnapshotSource, options: RestoreOptions, profile: boolean): Promise<Made> {
  try {
    if (!profile) return { machine: await restoreMachine(host, source, options) };
    const { restoreProfilingMachine } = await import('../api/profile.ts');
    return await restoreProfilingMachine(host, source, options);
  } catch (error) {
    if (!(error instanceof OptionError) || error.option !== 'base') throw error;
    const given = options.base !== undefined;
    throw new UserError(
      given ? 'the snapshot is complete: leave its base out' : `${error.problem}, by opening both or as snapshotBase`,
    );
  }
}

/** The machine as a snapshot; with `base` only what differs from that. */
export async function saved(machine: Machine, base: ByteSource | undefined, progress: ProgressListener): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const target = new WritableStream<Uint8Array<ArrayBuffer>>({ write: (part) => void parts.push(part) });
  await machine.save(target, {
    base,
    onProgress: ({ memoryDone, memory }) => progress({ name: 'memory to save', loaded: memoryDone, total: memory }),
  });
  return new Blob(parts, { type: 'application/octet-stream' });
}
