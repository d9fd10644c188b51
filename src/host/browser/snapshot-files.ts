/** Files that hold snapshots and can be read at any place, on any thread. */
import type { RandomSource } from '../../snapshot/random-access.ts';
import { RemoteContent } from '../../storage/http/remote-content.ts';
import { UserError } from '../../user-error.ts';
import type { FilePlace } from './helper-protocol.ts';
import { browserHttp } from './http.ts';

/** A file that a person chose. */
export class BlobSnapshot implements RandomSource {
  readonly name: string;
  readonly size: number;
  readonly blob: Blob;

  constructor(blob: Blob) {
    this.blob = blob;
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
    return this.blob.slice(offset, offset + length);
  }
  #fail = (): never => {
    throw new UserError(`${this.name} cannot be read: choose it again`);
  };
}

/** What another thread has open. @throws UserError when it is there no more */
export async function openPlace(place: FilePlace): Promise<RandomSource> {
  if (place.kind === 'chosen') return new BlobSnapshot(place.blob);
  const content = await RemoteContent.open(place.url, browserHttp);
  if (content.size !== place.size || content.identity !== place.identity || !content.inRanges)
    throw new UserError(`${place.url}: the file changed on the server`);
  return content.file();
}
