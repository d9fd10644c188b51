/** Which way snapshots are read: at any place, where their memory can come on demand, or from start to end. */
import { isRandomSource, type RandomSource } from '../snapshot/random-access.ts';
import type { ByteSource } from '../snapshot/streams.ts';
import { RemoteContent } from '../storage/http/remote-content.ts';
import type { LOADS } from './choices.ts';
import { OptionError } from './options.ts';

/** Where a snapshot is read from: a stream, or what can be read at any place. */
export type SnapshotSource = ByteSource | RandomSource;

/** A smaller file is read whole: that takes no longer. */
const LARGE = 8 * 2 ** 20;

/** Whether the guest runs before the memory of these files is there, where that can be. */
export const isOnDemand = (
  sources: readonly (object | { readonly size: number | undefined })[],
  load: (typeof LOADS)[number] | undefined,
): boolean => {
  const size = sources.reduce((sum: number, one) => sum + ('size' in one ? (one.size ?? 0) : 0), 0);
  return load === 'demand' || (load === undefined && size > LARGE);
};

/**
 * How a snapshot, or one and its base, are to be read of those that were found on servers. `told` hears how many bytes have come of what is
 * read from start to end, and of how many.
 */
export function sourcesOf(
  found: readonly (SnapshotSource | RemoteContent)[],
  load: (typeof LOADS)[number] | undefined,
  told: (bytes: number, of: number | undefined) => void = () => {},
): readonly SnapshotSource[] {
  const whole = found.find((one) => one instanceof RemoteContent && !one.inRanges) as RemoteContent | undefined;
  if (load === 'demand' && whole !== undefined)
    throw new OptionError(
      'load',
      `the server of ${whole.url} does not send parts of files: serve it with one that does, such as nginx or Apache, or choose whole`,
    );
  // Of two that are read from start to end, one would keep its server waiting.
  const inRanges = (isOnDemand(found, load) && whole === undefined) || found.length > 1;
  return found.map((one) => {
    if (!(one instanceof RemoteContent)) return one;
    return inRanges && one.inRanges ? one.file() : one.stream((bytes) => told(bytes, one.size));
  });
}

/** The files are not needed, since something else failed. */
export async function closeSources(sources: readonly (SnapshotSource | RemoteContent | undefined)[]): Promise<void> {
  for (const one of sources)
    if (one !== undefined && !(one instanceof RemoteContent) && isRandomSource(one)) await one.close();
}
