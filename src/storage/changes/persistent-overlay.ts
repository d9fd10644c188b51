/** Copy-on-write over a disk that is never written, with changes that last and survive a loss of power at any moment. */
import type { BlockBackend, FetchFigures, OverlayFilling } from '../../devices/contract.ts';
import { type RandomAccessFile, StorageFullError } from '../file.ts';
import { Lock } from '../lock.ts';
import { BASE, WRITTEN, ZERO } from '../sector-map.ts';
import { CHUNK, CHUNK_SECTORS, type Cluster, type LogRecord, PAGE_RECORDS, SECTOR, type Sha256 } from './format.ts';
import { type Base, ChangesLog, type OpenedLog } from './log.ts';

export interface PersistentOverlayOptions {
  /** What tells one state of the base from another, in words. */
  readonly identity: string;
  readonly sha256: Sha256;
  /** The file's name, for messages. */
  readonly name: string;
  /** Called once, when the host first has no room for a write. */
  readonly onFull?: () => void;
  /** Pages of log beyond what the changes need, before it is written anew. */
  readonly spareLogPages?: number;
}

/** 1 MiB of log. */
const SPARE_LOG_PAGES = 256;

/** A piece of a read or write that lies in one place. */
interface Extent {
  readonly state: number;
  /** Where in the base, or in the file of changes. */
  readonly at: number;
  readonly done: number;
  length: number;
}

/**
 * Changed sectors lie in chunks of a file; a log there tells which. A sector is overwritten in place, so that a loss
 * of power leaves its old content or its new one. Where sectors are becomes durable after they have, at each flush:
 * what was flushed is there, and what was not is old or new, sector by sector, as with any disk.
 */
export class PersistentOverlay implements BlockBackend {
  readonly size: number;
  readonly readOnly = false;
  readonly filling: OverlayFilling;
  readonly #base: BlockBackend;
  readonly #file: RandomAccessFile;
  readonly #log: ChangesLog;
  readonly #clusters: Map<number, Cluster>;
  readonly #spareLogPages: number;
  /** Clusters of which the log does not tell the latest. */
  readonly #dirty = new Set<number>();
  /** Chunks that are free once the log tells so. */
  readonly #released: number[] = [];
  /** Writes under way, by cluster: its chunk stays where it is meanwhile. */
  readonly #writing = new Map<number, number>();
  #unsynced = false;
  /** Who changes headers or the log. */
  readonly #lock = new Lock();
  /** The content is about to have no name any more. */
  #unpinning: Promise<void> | undefined;
  /** A host that could not make something durable cannot say what is. */
  #broken: unknown;
  #onFull: (() => void) | undefined;

  private constructor(
    base: BlockBackend,
    file: RandomAccessFile,
    { log, clusters }: OpenedLog,
    options: PersistentOverlayOptions,
  ) {
    this.#base = base;
    this.#file = file;
    this.#log = log;
    this.#clusters = clusters;
    this.size = base.size;
    this.#spareLogPages = options.spareLogPages ?? SPARE_LOG_PAGES;
    this.#onFull = options.onFull;
    this.filling = this.#makeFilling();
  }

  /**
   * Opens the changes in `file`, or begins some in a new one. The overlay owns base and file and closes them.
   * @throws UserError when the file is something else, or the base is not the one that it is for
   */
  static async open(
    base: BlockBackend,
    file: RandomAccessFile,
    options: PersistentOverlayOptions,
  ): Promise<PersistentOverlay> {
    const below: Base = { size: base.size, identity: options.identity };
    return new PersistentOverlay(base, file, await ChangesLog.open(file, below, options.sha256, options.name), options);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (const { state, at, done, length } of this.#extents(offset, into.length)) {
      const piece = into.subarray(done, done + length);
      if (state === BASE) await this.#base.read(at, piece);
      else if (state === WRITTEN) await this.#file.read(at, piece);
      else piece.fill(0);
    }
  }

  /** The name that `pin` gave the content, unless it has changed since. */
  get identity(): string | undefined {
    return this.#log.mark;
  }

  async pin(id: string): Promise<void> {
    await this.flush();
    if (this.#log.mark === undefined) await this.#lock.run(() => this.#log.setMark(id));
  }

  #makeFilling(): OverlayFilling {
    const isEmpty = (): boolean => this.#clusters.size === 0;
    let isBegun = false;
    return {
      base: this.#base,
      get state() {
        return isBegun ? 'begun' : isEmpty() ? 'empty' : 'written';
      },
      begin: async () => {
        await this.#lock.run(() => this.#log.setFilling(true));
        isBegun = true;
      },
      end: async () => {
        await this.flush();
        await this.#lock.run(() => this.#log.setFilling(false));
        isBegun = false;
      },
    };
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    if (this.#log.mark !== undefined) await this.#unpin();
    const touched = clustersOf(offset, from.length);
    for (const cluster of touched) {
      const entry = this.#entry(cluster);
      if (entry.chunk === 0) entry.chunk = this.#log.chunks.take();
      this.#writing.set(cluster, (this.#writing.get(cluster) ?? 0) + 1);
    }
    try {
      for (const { at, done, length } of this.#places(offset, from.length))
        await this.#file.write(at, from.subarray(done, done + length));
    } catch (error) {
      throw this.#toldFull(error);
    } finally {
      for (const cluster of touched) this.#wrote(cluster);
      this.#unsynced = true;
    }
    this.#mark(offset, from.length, WRITTEN);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    if (this.#log.mark !== undefined) await this.#unpin();
    this.#mark(offset, length, ZERO);
    for (const cluster of clustersOf(offset, length)) {
      const entry = this.#entry(cluster);
      if (entry.chunk === 0 || this.#writing.has(cluster) || entry.states.some((state) => state !== ZERO)) continue;
      this.#released.push(entry.chunk);
      entry.chunk = 0;
    }
  }

  flush(): Promise<void> {
    return this.#lock.run(() => this.#commit());
  }

  fetched(): FetchFigures | undefined {
    return this.#base.fetched?.();
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#file.close();
      await this.#base.close();
    }
  }

  /** Before anything changes, the file no longer says that it has not. */
  #unpin(): Promise<void> {
    this.#unpinning ??= this.#lock
      .run(() => this.#log.setMark(undefined))
      .catch((error: unknown) => {
        throw this.#toldFull(error);
      })
      .finally(() => (this.#unpinning = undefined));
    return this.#unpinning;
  }

  #toldFull(error: unknown): unknown {
    if (!(error instanceof StorageFullError)) return error;
    this.#onFull?.();
    this.#onFull = undefined;
    return error;
  }

  async #commit(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    if (!this.#unsynced && this.#dirty.size === 0) return;
    const compact = this.#log.pages > this.#spareLogPages + (2 * this.#clusters.size) / PAGE_RECORDS;
    // As of now: what is written while this goes on may not be durable when the log is.
    const dirty = [...this.#dirty];
    const records = this.#records(compact ? this.#clusters.keys() : dirty);
    const released = this.#released.splice(0);
    this.#dirty.clear();
    this.#unsynced = false;
    try {
      await this.#file.flush();
      if (compact) await this.#log.replace(records);
      else if (records.length > 0) {
        await this.#log.append(records);
        await this.#file.flush();
      }
      this.#log.chunks.release(released);
    } catch (error) {
      for (const cluster of dirty) this.#dirty.add(cluster);
      this.#released.push(...released);
      this.#unsynced = true;
      // A host without room has changed nothing. After any other failure nobody knows what the file holds.
      if (!(error instanceof StorageFullError)) this.#broken = error;
      throw error;
    }
  }

  #records(clusters: Iterable<number>): LogRecord[] {
    return Array.from(clusters, (cluster) => {
      const { chunk, states } = this.#clusters.get(cluster)!;
      return { cluster, chunk, states: states.slice() };
    });
  }

  #entry(cluster: number): Cluster {
    let entry = this.#clusters.get(cluster);
    if (entry === undefined)
      this.#clusters.set(cluster, (entry = { chunk: 0, states: new Uint8Array(CHUNK_SECTORS).fill(BASE) }));
    return entry;
  }

  #wrote(cluster: number): void {
    const left = this.#writing.get(cluster)! - 1;
    if (left === 0) this.#writing.delete(cluster);
    else this.#writing.set(cluster, left);
  }

  #mark(offset: number, length: number, state: typeof WRITTEN | typeof ZERO): void {
    for (const cluster of clustersOf(offset, length)) {
      const { states } = this.#entry(cluster);
      const start = Math.max(0, offset / SECTOR - cluster * CHUNK_SECTORS);
      const end = Math.min(CHUNK_SECTORS, (offset + length) / SECTOR - cluster * CHUNK_SECTORS);
      if (states.subarray(start, end).every((old) => old === state)) continue;
      states.fill(state, start, end);
      this.#dirty.add(cluster);
    }
  }

  /** Where a range is, in pieces as large as can be. */
  #extents(offset: number, length: number): Extent[] {
    const extents: Extent[] = [];
    for (let done = 0; done < length; done += SECTOR) {
      const sector = (offset + done) / SECTOR;
      const entry = this.#clusters.get(Math.floor(sector / CHUNK_SECTORS));
      const within = sector % CHUNK_SECTORS;
      const state = entry?.states[within] ?? BASE;
      const at = state === WRITTEN ? entry!.chunk * CHUNK + within * SECTOR : offset + done;
      append(extents, { state, at, done, length: SECTOR });
    }
    return extents;
  }

  /** Where a range is to be written. */
  #places(offset: number, length: number): Extent[] {
    const places: Extent[] = [];
    for (const cluster of clustersOf(offset, length)) {
      const start = Math.max(offset, cluster * CHUNK);
      const end = Math.min(offset + length, (cluster + 1) * CHUNK);
      const at = this.#entry(cluster).chunk * CHUNK + (start % CHUNK);
      append(places, { state: WRITTEN, at, done: start - offset, length: end - start });
    }
    return places;
  }
}

function append(extents: Extent[], extent: Extent): void {
  const last = extents.at(-1);
  if (last !== undefined && last.state === extent.state && last.at + last.length === extent.at)
    last.length += extent.length;
  else extents.push(extent);
}

function clustersOf(offset: number, length: number): number[] {
  const clusters: number[] = [];
  for (let cluster = Math.floor(offset / CHUNK); cluster * CHUNK < offset + length; cluster++) clusters.push(cluster);
  return clusters;
}
