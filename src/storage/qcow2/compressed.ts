import type { SizedFile } from '../file.ts';
import { CorruptImageError, type Geometry } from './format.ts';
import type { CompressionType, Header } from './header.ts';
import { inflate } from './inflate.ts';
import { compressedLimit } from './l2-entry.ts';
import type { Refcounts } from './refcounts.ts';

type Decompress = (from: Uint8Array, into: Uint8Array) => string | undefined;

/** Few images need the second, which is not loaded for the others. */
const decompressor = async (type: CompressionType): Promise<Decompress> =>
  type === 'zlib' ? inflate : (await import('../zstd/decompress.ts')).decompressZstd;

/** Where compressed streams are read, and where new ones go: next to each other, also in one cluster of the file. */
export class CompressedClusters {
  readonly #file: SizedFile;
  readonly #image: string;
  readonly #geometry: Geometry;
  readonly #type: CompressionType;
  /** The cluster that was read last, as guests read them in pieces. */
  #latest: { readonly offset: number; readonly bytes: Uint8Array } | undefined;
  /** Behind the stream that was stored last. */
  #tail: { readonly cluster: number; readonly at: number } | undefined;

  constructor(file: SizedFile, image: string, { geometry, compressionType }: Header) {
    this.#file = file;
    this.#image = image;
    this.#geometry = geometry;
    this.#type = compressionType;
  }

  /** The content of a whole cluster. @throws CorruptImageError */
  async read({ offset, length }: { readonly offset: number; readonly length: number }): Promise<Uint8Array> {
    if (this.#latest?.offset === offset) return this.#latest.bytes;
    const stream = new Uint8Array(length);
    await this.#file.read(offset, stream);
    const bytes = new Uint8Array(this.#geometry.clusterSize);
    const problem = (await decompressor(this.#type))(stream, bytes);
    if (problem !== undefined)
      throw new CorruptImageError(this.#image, `the compressed cluster at ${offset} cannot be read (${problem})`);
    this.#latest = { offset, bytes };
    return bytes;
  }

  /** Says that the stream there is given up. */
  forget(offset: number): void {
    if (this.#latest?.offset === offset) this.#latest = undefined;
  }

  /** Writes a stream, at most a cluster long. Returns where, or undefined when no entry could name the place. */
  async store(stream: Uint8Array, refcounts: Refcounts): Promise<number | undefined> {
    const place = await this.#place(stream.length, refcounts);
    if (place + stream.length > compressedLimit(this.#geometry)) return undefined;
    await this.#file.write(place, stream);
    return place;
  }

  /** Room for a stream: behind the last one where its cluster, and the next if needed, can be shared. */
  async #place(length: number, refcounts: Refcounts): Promise<number> {
    const { clusterSize } = this.#geometry;
    const tail = this.#tail;
    const left = tail === undefined ? 0 : clusterSize - tail.at;
    if (tail === undefined || left === 0 || !(await refcounts.addReference(tail.cluster))) {
      const { first } = await refcounts.allocate(1);
      this.#tail = { cluster: first, at: length };
      return first * clusterSize;
    }
    const behind = tail.cluster * clusterSize + tail.at;
    if (length <= left) {
      this.#tail = { cluster: tail.cluster, at: tail.at + length };
      return behind;
    }
    const { first } = await refcounts.allocate(1);
    if (first === tail.cluster + 1) {
      this.#tail = { cluster: first, at: length - left };
      return behind;
    }
    await refcounts.release({ first: tail.cluster, count: 1 });
    this.#tail = { cluster: first, at: length };
    return first * clusterSize;
  }
}
