/** Snapshots as a page has them: where they are large they are read when the guest asks for its memory. */
import { type SnapshotSource, sourcesOf } from '../../api/snapshot-sources.ts';
import { type RandomSource, streamOf as wholeStream } from '../../snapshot/random-access.ts';
import type { ByteSource } from '../../snapshot/streams.ts';
import { RemoteContent } from '../../storage/http/remote-content.ts';
import { UserError } from '../../user-error.ts';
import type { ProgressListener } from './download.ts';
import { browserHttp } from './http.ts';

/** A file: its address, a file that a person chose, or its bytes. */
type Source = string | Blob | Uint8Array<ArrayBuffer>;

/** A snapshot and its base, if it has one. @throws UserError when they cannot be had. */
export async function openSnapshots(
  sources: readonly Source[],
  load: 'demand' | 'whole' | undefined,
  progress: ProgressListener,
): Promise<readonly SnapshotSource[]> {
  const found: (SnapshotSource | RemoteContent)[] = [];
  for (const source of sources) found.push(typeof source === 'string' ? await openRemote(source) : blobOf(source));
  return sourcesOf(found, load, (loaded, total) => progress({ name: 'the snapshot', loaded, total }));
}

/** From start to end. */
export const streamOf = async (source: Source): Promise<ByteSource> =>
  typeof source === 'string' ? (await openRemote(source)).stream() : wholeStream(blobOf(source));

const openRemote = (url: string): Promise<RemoteContent> => RemoteContent.open(url, browserHttp);
const blobOf = (source: Blob | Uint8Array<ArrayBuffer>): BlobSnapshot =>
  new BlobSnapshot(source instanceof Blob ? source : new Blob([source]));

/** A file that a person chose. */
class BlobSnapshot implements RandomSource {
  readonly name: string;
  readonly size: number;
  readonly #blob: Blob;

  constructor(blob: Blob) {
    this.#blob = blob;
    this.name = blob instanceof File ? blob.name : 'the snapshot';
    this.size = blob.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return new Uint8Array(await this.#part(offset, length).arrayBuffer().catch(this.#fail));
  }

  readNow(offset: number, length: number): Uint8Array {
    try {
      return new Uint8Array(new FileReaderSync().readAsArrayBuffer(this.#part(offset, length)));
    } catch {
      return this.#fail();
    }
  }

  async close(): Promise<void> {}

  #part(offset: number, length: number): Blob {
    return this.#blob.slice(offset, offset + length);
  }
  #fail = (): never => {
    throw new UserError(`${this.name} cannot be read: choose it again`);
  };
}
