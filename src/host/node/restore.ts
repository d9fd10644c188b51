/** Machines out of snapshots in files and on servers. */
import type { RestoreOptions } from '../../api/restore.ts';
import type { SnapshotSource } from '../../api/snapshot-sources.ts';
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
  const [source, opened] = await openSources(base === undefined ? [snapshot] : [snapshot, base], options.load);
  return restore(source!, { ...options, base: opened });
}
