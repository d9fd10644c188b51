/** Snapshots as a page has them: where they are large they are read when the guest asks for its memory. */
import { isOnDemand, type SnapshotSource, sourcesOf } from '../../api/snapshot-sources.ts';
import { isRandomSource, type RandomSource, streamOf as wholeStream } from '../../snapshot/random-access.ts';
import type { ByteSource } from '../../snapshot/streams.ts';
import { RemoteContent } from '../../storage/http/remote-content.ts';
import type { ProgressListener } from './download.ts';
import type { FilePlace } from './helper-protocol.ts';
import { HelperWorker } from './helper-worker.ts';
import { browserHttp } from './http.ts';
import { SharedFeed } from './shared-feed.ts';
import { BlobSnapshot } from './snapshot-files.ts';

/** A file: its address, a file that a person chose, or its bytes. */
type Source = string | Blob | Uint8Array<ArrayBuffer>;

/** How snapshots are opened. */
export interface SnapshotLook {
  readonly load: 'demand' | 'whole' | undefined;
  /** The folder of the static build. */
  readonly base: string;
  readonly progress: ProgressListener;
}

/** A snapshot and its base, if it has one. @throws UserError when they cannot be had. */
export async function openSnapshots(
  sources: readonly Source[],
  { load, base, progress }: SnapshotLook,
): Promise<readonly SnapshotSource[]> {
  const found: (BlobSnapshot | RemoteContent)[] = [];
  for (const source of sources) found.push(typeof source === 'string' ? await openRemote(source) : blobOf(source));
  const opened = sourcesOf(found, load, (loaded, total) => progress({ name: 'the snapshot', loaded, total }));
  if (!opened.every(isRandomSource) || !isOnDemand(opened, load)) return opened;
  return Promise.all(opened.map((file, i) => withHelper(file, placeOf(found[i]!), base)));
}

/** Where memory may be shared, another worker reads what the guest waits for. @throws UserError */
async function withHelper(file: RandomSource, place: FilePlace, base: string): Promise<RandomSource> {
  const helper = crossOriginIsolated ? await HelperWorker.start(base) : undefined;
  if (helper === undefined) return file;
  await helper.open(place).catch((error) => {
    helper.end();
    throw error;
  });
  return {
    name: file.name,
    size: file.size,
    read: (offset, length) => file.read(offset, length),
    readNow: (offset, length) => file.readNow(offset, length),
    feed: (sections, taker) => new SharedFeed(helper, sections, taker),
    async close() {
      helper.end();
      await file.close();
    },
  };
}

function placeOf(file: BlobSnapshot | RemoteContent): FilePlace {
  if (file instanceof BlobSnapshot) return { kind: 'chosen', blob: file.blob };
  const { url, size, identity } = file;
  return { kind: 'remote', url, size: size!, identity };
}

/** From start to end. */
export const streamOf = async (source: Source): Promise<ByteSource> =>
  typeof source === 'string' ? (await openRemote(source)).stream() : wholeStream(blobOf(source));

const openRemote = (url: string): Promise<RemoteContent> => RemoteContent.open(url, browserHttp);
const blobOf = (source: Blob | Uint8Array<ArrayBuffer>): BlobSnapshot =>
  new BlobSnapshot(source instanceof Blob ? source : new Blob([source]));
