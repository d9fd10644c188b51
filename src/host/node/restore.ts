/** Machines out of snapshots in files and on servers. */
import type { RestoreOptions } from '../../api/restore.ts';
import { closeSources, type SnapshotSource } from '../../api/snapshot-sources.ts';
import { openSources } from './snapshot-files.ts';

/** As `RestoreOptions`; the base may be a file or an address too. */
export interface NodeRestoreOptions extends Omit<RestoreOptions, 'base'> {
  readonly base?: string | SnapshotSource | undefined;
}

/** Opens what is named, and gives it to `restore`. @throws UserError */
export async function restoreFrom<T>(
  snapshot: string | SnapshotSource,
  { base, ...options }: NodeRestoreOptions,
  restore: (source: SnapshotSource, options: RestoreOptions) => Promise<T>,
): Promise<T> {
  const given = base === undefined ? [snapshot] : [snapshot, base];
  const sources = await openSources(given, options.load);
  try {
    return await restore(sources[0]!, { ...options, base: sources[1] });
  } catch (error) {
    await closeSources(sources.filter((_, i) => typeof given[i] === 'string'));
    throw error;
  }
}
