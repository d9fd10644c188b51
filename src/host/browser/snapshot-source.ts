/** Snapshots as a page has them: where they are large they are read when the guest asks for its memory. */
import { LARGE, type SnapshotSource } from '../../api/restore.ts';
import type { RandomSource } from '../../snapshot/random-access.ts';
import { HttpLink } from '../../storage/http/exchange.ts';
import { PATIENCE } from '../../storage/http/platform.ts';
import { problemOf } from '../../storage/http/problem.ts';
import { openRanges, type RangeSource } from '../../storage/http/range-source.ts';
import { UserError } from '../../user-error.ts';
import { downloadStream, headOf, type ProgressListener } from './download.ts';
import { browserHttp } from './http.ts';

/** @throws UserError when it cannot be had. */
export async function openSnapshot(
  source: string | Blob | Uint8Array<ArrayBuffer>,
  load: 'demand' | 'whole' | undefined,
  progress: ProgressListener,
): Promise<SnapshotSource> {
  if (typeof source !== 'string') return new BlobSnapshot(source instanceof Blob ? source : new Blob([source]));
  if (load !== 'whole') {
    const { size, inRanges } = await headOf(source, 1);
    if (inRanges && (load === 'demand' || size! > LARGE)) return openRemote(source);
  }
  return downloadStream({ url: source, name: 'the snapshot' }, progress);
}

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

/** A file on a server that answers ranges. */
class RemoteSnapshot implements RandomSource {
  readonly name: string;
  readonly size: number;
  readonly #ranges: RangeSource;
  readonly #link: HttpLink;

  constructor(url: string, ranges: RangeSource, link: HttpLink) {
    this.name = url;
    this.size = ranges.size;
    this.#ranges = ranges;
    this.#link = link;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    await this.#ranges.read(offset, bytes, () => {}).catch(this.#fail);
    return bytes;
  }

  readNow(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    try {
      this.#ranges.readNow(offset, bytes);
    } catch (error) {
      this.#fail(error);
    }
    return bytes;
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  #fail = (error: unknown): never => {
    throw new UserError(`${this.name}: ${problemOf(error).message}`);
  };
}

/** @throws UserError */
async function openRemote(url: string): Promise<RandomSource> {
  const link = new HttpLink(browserHttp, PATIENCE);
  return new RemoteSnapshot(url, await openRanges(url, link), link);
}
