/** The log of a persistent overlay: where clusters are, in the order of becoming durable. */
import { UserError } from '../../user-error.ts';
import type { RandomAccessFile } from '../file.ts';
import { Chunks } from './chunks.ts';
import {
  BASE_TEXT_LENGTH,
  CHUNK,
  type Cluster,
  decodeHeader,
  decodePage,
  encodeHeader,
  encodePage,
  HASH_BYTES,
  type Header,
  headerAt,
  type LogRecord,
  PAGE,
  PAGE_RECORDS,
  pageHash,
  SECTOR,
  type Sha256,
} from './format.ts';

/** Headers are in the first chunk. */
const FIRST_CHUNK = 1;
/** A file whose start is nothing but zeros, so far, is new. */
const LOOKED_AT = 2 * CHUNK;

/** What an overlay lies over. */
export interface Base {
  readonly size: number;
  /** What tells one state of it from another, in words: a person reads it when they differ. */
  readonly identity: string;
}

/** Where the next page goes. */
interface Head {
  at: number;
  previous: Uint8Array;
  pages: number;
  /** Chunks of the log. */
  readonly chunks: number[];
}

export interface OpenedLog {
  readonly log: ChangesLog;
  readonly clusters: Map<number, Cluster>;
}

export class ChangesLog {
  readonly chunks: Chunks;
  readonly #file: RandomAccessFile;
  readonly #sha256: Sha256;
  #header: Header;
  #head: Head;

  private constructor(file: RandomAccessFile, sha256: Sha256, header: Header, head: Head, chunks: Chunks) {
    this.#file = file;
    this.#sha256 = sha256;
    this.#header = header;
    this.#head = head;
    this.chunks = chunks;
  }

  /**
   * Opens the log of a file, or begins one in a new file.
   * @throws UserError, which begins with `name`, when the file is something else or for another base
   */
  static async open(file: RandomAccessFile, base: Base, sha256: Sha256, name: string): Promise<OpenedLog> {
    const found = await readHeader(file, sha256);
    const identity = base.identity.slice(0, BASE_TEXT_LENGTH);
    if (found === undefined) await checkNew(file, name);
    else checkHeader(found, { size: base.size, identity }, name);
    const logStart = found?.logStart ?? FIRST_CHUNK * CHUNK;
    // Pages written from now on differ from any that an earlier run left behind the end of the log.
    const sequence = (found?.sequence ?? 0) + 1;
    const header = { sequence, baseSize: base.size, logStart, base: identity, mark: found?.mark, filling: false };
    const clusters = new Map<number, Cluster>();
    const head = await replay(file, sha256, logStart, clusters);
    const used = new Set(head.chunks);
    for (const { chunk } of clusters.values()) used.add(chunk);
    const log = new ChangesLog(file, sha256, header, head, new Chunks(FIRST_CHUNK, used));
    await log.#writeHeader(header);
    return { log, clusters };
  }

  /** Pages of the log. */
  get pages(): number {
    return this.#head.pages;
  }

  /** Names the content of the overlay until it changes. */
  get mark(): string | undefined {
    return this.#header.mark;
  }

  /** Durable on return. */
  setMark(mark: string | undefined): Promise<void> {
    return this.#changeHeader({ mark });
  }

  /** Durable on return. */
  async setFilling(filling: boolean): Promise<void> {
    await this.#changeHeader({ filling, mark: undefined });
    // In both places: the other header, were it to count some day, would say that the file is empty.
    if (filling) await this.#changeHeader({});
  }

  async #changeHeader(change: Partial<Header>): Promise<void> {
    const header = { ...this.#header, ...change, sequence: this.#header.sequence + 1 };
    await this.#writeHeader(header);
    this.#header = header;
  }

  /** Writes records, which count when they are durable: after the file's next flush. */
  async append(records: readonly LogRecord[]): Promise<void> {
    await this.#write(this.#head, records);
  }

  /** A new log of these records in place of the old one, durable on return. */
  async replace(records: readonly LogRecord[]): Promise<void> {
    const chunk = this.chunks.take();
    const head: Head = { at: chunk * CHUNK, previous: new Uint8Array(HASH_BYTES), pages: 0, chunks: [chunk] };
    const header = { ...this.#header, sequence: this.#header.sequence + 1, logStart: head.at };
    try {
      await this.#write(head, records);
      await this.#file.flush();
    } catch (error) {
      this.chunks.release(head.chunks);
      throw error;
    }
    await this.#writeHeader(header);
    const old = this.#head.chunks;
    this.#head = head;
    this.#header = header;
    this.chunks.release(old);
  }

  async #writeHeader(header: Header): Promise<void> {
    await this.#file.write(headerAt(header.sequence), await encodeHeader(header, this.#sha256));
    await this.#file.flush();
  }

  async #write(head: Head, records: readonly LogRecord[]): Promise<void> {
    for (let done = 0; done < records.length; done += PAGE_RECORDS) {
      const lastOfChunk = (head.at + PAGE) % CHUNK === 0;
      const chunk = lastOfChunk ? this.chunks.take() : undefined;
      const next = chunk === undefined ? head.at + PAGE : chunk * CHUNK;
      const { previous } = head;
      const session = this.#header.sequence;
      const part = records.slice(done, done + PAGE_RECORDS);
      const bytes = await encodePage({ session, next, previous, records: part }, this.#sha256);
      try {
        await this.#file.write(head.at, bytes);
      } catch (error) {
        // The page is written again at the same place, by the next attempt.
        if (chunk !== undefined) this.chunks.release([chunk]);
        throw error;
      }
      head.at = next;
      head.previous = pageHash(bytes);
      head.pages += 1;
      if (chunk !== undefined) head.chunks.push(chunk);
    }
  }
}

async function readHeader(file: RandomAccessFile, sha256: Sha256): Promise<Header | undefined> {
  const headers: Header[] = [];
  for (const sequence of [0, 1]) {
    const bytes = new Uint8Array(SECTOR);
    await file.read(headerAt(sequence), bytes);
    const header = await decodeHeader(bytes, sha256);
    if (header !== undefined) headers.push(header);
  }
  return headers.sort((a, b) => b.sequence - a.sequence)[0];
}

async function checkNew(file: RandomAccessFile, name: string): Promise<void> {
  const start = new Uint8Array(LOOKED_AT);
  await file.read(0, start);
  if (start.some((byte) => byte !== 0))
    throw new UserError(`${name}: this file holds no changes of a disk, or is damaged: name another one`);
}

function checkHeader(header: Header, base: Base, name: string): void {
  if (header.filling)
    throw new UserError(
      `${name}: putting a snapshot's changes into it did not end, and some may be missing: remove it, or name another one, and restore again`,
    );
  // Earlier versions kept a few characters more.
  if (header.baseSize === base.size && header.base.slice(0, BASE_TEXT_LENGTH) === base.identity) return;
  throw new UserError(
    `${name}: the disk below changed since: it was ${header.base}, and is ${base.identity}; put the old one back, or begin anew with another overlay`,
  );
}

/** Reads the log up to its end, which is where no whole page follows. */
async function replay(
  file: RandomAccessFile,
  sha256: Sha256,
  start: number,
  clusters: Map<number, Cluster>,
): Promise<Head> {
  const head: Head = { at: start, previous: new Uint8Array(HASH_BYTES), pages: 0, chunks: [Math.floor(start / CHUNK)] };
  const bytes = new Uint8Array(PAGE);
  for (;;) {
    await file.read(head.at, bytes);
    const page = await decodePage(bytes, sha256);
    if (page === undefined || page.previous.some((byte, i) => byte !== head.previous[i])) return head;
    for (const { cluster, chunk, states } of page.records) clusters.set(cluster, { chunk, states });
    if (page.next !== head.at + PAGE) head.chunks.push(page.next / CHUNK);
    head.at = page.next;
    head.previous = pageHash(bytes);
    head.pages += 1;
  }
}
