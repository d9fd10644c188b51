/** A disk whose blocks are fetched from a server when they are read. */
import type { BlockBackend, FetchFigures } from '../../devices/contract.ts';
import { toHex } from '../../hex.ts';
import type { RandomAccessFile } from '../file.ts';
import { BlockCache } from './block-cache.ts';
import type { HttpLink } from './exchange.ts';
import { FetchQueue } from './fetch-queue.ts';
import type { KeptBlocks } from './kept-blocks.ts';
import type { Manifest } from './manifest.ts';
import { HttpProblem, problemOf } from './problem.ts';
import type { RangeSource } from './range-source.ts';
import { ReadAhead } from './read-ahead.ts';

/** Browsers keep six connections to a server (HTTP/1.1). */
const CONCURRENT = 6;
/** Bytes of one request at most, and how far ahead of a reader. */
const LONGEST_RUN = 2 ** 20;
/** Bytes of blocks in memory. */
const MEMORY = 32 * 2 ** 20;
/** How often a block that is not the manifest's is fetched. */
const FETCHES = 3;

export interface HttpDiskParts {
  readonly source: RangeSource;
  readonly link: HttpLink;
  readonly blockSize: number;
  readonly manifest: Manifest | undefined;
  readonly kept: KeptBlocks | undefined;
  /** Told in one line when the server is in trouble, once each time. */
  readonly report: (line: string) => void;
}

/**
 * Never written: a guest that is to write gets an overlay over it. Reads may begin and end anywhere, so that it also
 * serves as the file of a disk format.
 */
export class HttpDisk implements BlockBackend, RandomAccessFile {
  readonly size: number;
  readonly readOnly = true;
  /** Changes when the image does; undefined where nothing tells. */
  readonly identity: string | undefined;
  readonly #parts: HttpDiskParts;
  readonly #memory = new BlockCache(MEMORY);
  readonly #queue: FetchQueue;
  readonly #ahead: ReadAhead;
  readonly #loading = new Map<number, Promise<Uint8Array>>();
  readonly #zeros: Uint8Array;
  #hits = 0;
  #keptHits = 0;
  #failures = 0;
  #inTrouble = false;

  constructor(parts: HttpDiskParts, identity: string | undefined) {
    this.#parts = parts;
    this.size = parts.source.size;
    this.identity = identity;
    const longest = Math.max(1, LONGEST_RUN / parts.blockSize);
    this.#queue = new FetchQueue((first, count, deliver) => this.#fetchRun(first, count, deliver), CONCURRENT, longest);
    this.#ahead = new ReadAhead(longest);
    this.#zeros = new Uint8Array(parts.blockSize);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const { blockSize } = this.#parts;
    for (let done = 0; done < into.length; ) {
      const length = Math.min(into.length - done, LONGEST_RUN);
      const [from, to] = [offset + done, Math.min(offset + done + length, this.size)];
      const piece = into.subarray(done, done + length);
      // What lies behind the end is zero, as in any file.
      piece.fill(0, Math.max(0, to - from));
      if (to > from) await this.#copy(from, piece.subarray(0, to - from), blockSize);
      done += length;
    }
  }

  write(): Promise<void> {
    return Promise.reject(new Error('the disk is read-only'));
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    this.#parts.link.close();
    await Promise.allSettled(this.#loading.values());
    await this.#parts.kept?.close();
  }

  fetched(): FetchFigures {
    const { requests, bytes, retries } = this.#parts.link.counts;
    return {
      requests,
      bytes,
      retries,
      failures: this.#failures,
      cacheHits: this.#hits,
      keptHits: this.#keptHits,
    };
  }

  async #copy(offset: number, into: Uint8Array, blockSize: number): Promise<void> {
    const first = Math.floor(offset / blockSize);
    const last = Math.floor((offset + into.length - 1) / blockSize);
    const blocks = this.#blocks(first, last + 1, true);
    const ahead = this.#ahead.note(first, last);
    const end = Math.min(ahead.end, Math.ceil(this.size / blockSize));
    if (this.#parts.source.well) void this.#blocks(ahead.first, end, false);
    for (const [i, block] of (await Promise.all(blocks)).entries()) {
      const at = (first + i) * blockSize - offset;
      into.set(block.subarray(Math.max(0, -at), into.length - at), Math.max(0, at));
    }
  }

  /** Blocks from `first` to before `end`. `urgent`: somebody waits for them. */
  #blocks(first: number, end: number, urgent: boolean): Promise<Uint8Array>[] {
    const blocks: Promise<Uint8Array>[] = [];
    const missing: number[] = [];
    for (let index = first; index < end; index++) {
      const there = this.#there(index, urgent);
      if (there === undefined) missing.push(index);
      else blocks[index - first] = there;
    }
    const kept = missing.length === 0 ? undefined : this.#lookUp(missing);
    for (const index of missing) {
      const loading = this.#load(index, urgent, kept);
      // What is read ahead may fail unheard.
      loading.catch(() => {});
      this.#loading.set(index, loading);
      blocks[index - first] = loading;
    }
    return blocks;
  }

  /** A block that needs no request: of zeros, in memory, or on its way. */
  #there(index: number, urgent: boolean): Promise<Uint8Array> | undefined {
    if (this.#parts.manifest?.blocks[index] === null) return Promise.resolve(this.#zeros);
    const block = this.#memory.get(index);
    const there = block === undefined ? this.#loading.get(index) : Promise.resolve(block);
    if (urgent && there !== undefined) {
      this.#hits += 1;
      this.#queue.hurry(index);
    }
    return there;
  }

  /** Those of the blocks that an earlier run kept. */
  async #lookUp(indices: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    const found = new Map<number, Uint8Array>();
    const { kept } = this.#parts;
    if (kept === undefined) return found;
    const look = async (index: number): Promise<void> => {
      const block = await kept.get(index).catch(() => undefined);
      if (block !== undefined) found.set(index, block);
    };
    await Promise.all(indices.map(look));
    return found;
  }

  async #load(
    index: number,
    urgent: boolean,
    kept: Promise<ReadonlyMap<number, Uint8Array>> | undefined,
  ): Promise<Uint8Array> {
    try {
      const found = (await kept)?.get(index);
      if (found !== undefined) this.#keptHits += 1;
      const block = found ?? (await this.#queue.add(index, urgent));
      this.#memory.set(index, block);
      return block;
    } finally {
      this.#loading.delete(index);
    }
  }

  async #fetchRun(
    first: number,
    count: number,
    deliver: (index: number, block: Promise<Uint8Array>) => void,
  ): Promise<void> {
    const { source, blockSize } = this.#parts;
    const bytes = new Uint8Array(Math.min(count * blockSize, this.size - first * blockSize));
    let delivered = 0;
    const progress = (done: number): void => {
      while (delivered < count && done >= Math.min((delivered + 1) * blockSize, bytes.length)) {
        const at = delivered * blockSize;
        deliver(first + delivered, this.#accept(first + delivered, bytes.slice(at, at + blockSize)));
        delivered += 1;
      }
    };
    await this.#told(source.read(first * blockSize, bytes, progress));
  }

  /** Checks a block by the manifest; fetches it again when it is wrong. @throws HttpProblem */
  async #accept(index: number, block: Uint8Array): Promise<Uint8Array> {
    const { manifest, source, link, blockSize, kept } = this.#parts;
    const wanted = manifest?.blocks[index];
    if (wanted !== undefined)
      for (let fetches = 1; toHex(await link.platform.sha256(block)) !== wanted; fetches++) {
        if (fetches === FETCHES) await this.#told(Promise.reject(wrongBlock(index, block.length, blockSize)));
        link.counts.retries += 1;
        await this.#told(source.read(index * blockSize, block, () => {}));
      }
    void kept?.put(index, block);
    return block;
  }

  /** Tells, once for each time of trouble, that the guest gets errors. */
  async #told(fetching: Promise<void>): Promise<void> {
    const { report, link } = this.#parts;
    try {
      await fetching;
      if (this.#inTrouble) report('the server answers again');
      this.#inTrouble = false;
    } catch (error) {
      if (link.closed) throw error;
      this.#failures += 1;
      if (!this.#inTrouble) report(`${problemOf(error).message}; the guest gets read errors`);
      this.#inTrouble = true;
      throw error;
    }
  }
}

function wrongBlock(index: number, length: number, blockSize: number): HttpProblem {
  const at = index * blockSize;
  return new HttpProblem(
    'refused',
    `bytes ${at}-${at + length - 1} are not those of the manifest: make it again or serve the right file`,
  );
}
