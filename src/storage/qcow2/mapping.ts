import type { SizedFile } from '../file.ts';
import {
  CorruptImageError,
  ENTRY_SIZE,
  entryCopied,
  entryOffset,
  type Geometry,
  HEADER,
  setEntry,
  viewOf,
  writeU64,
} from './format.ts';
import type { Header } from './header.ts';
import {
  checkedEntry,
  type Descriptor,
  type L2Entry,
  readL2Entry,
  subclusterOf,
  UNALLOCATED,
  writeL2Entry,
} from './l2-entry.ts';
import type { Refcounts } from './refcounts.ts';
import { type Table, TableCache, writeEntries } from './table-cache.ts';

/** Bytes of L2 tables in memory: with clusters of 64 KiB enough for 128 GiB of disk. */
const CACHE_BYTES = 16 * 2 ** 20;

/** Where guest clusters are: an L1 table, in memory, of L2 tables, the latest used in memory. */
export class Mapping {
  readonly #file: SizedFile;
  readonly #image: string;
  readonly #geometry: Geometry;
  #l1: Uint8Array;
  #view: DataView;
  #l1Offset: number;
  /** The L1 table stands at a new place, which the header does not name yet. */
  #moved = false;
  readonly #tables: TableCache;
  readonly #changedEntries = new Set<number>();
  /** The image's end, in whole clusters. */
  #end: number;

  private constructor(file: SizedFile, image: string, header: Header, l1: Uint8Array, end: number) {
    this.#file = file;
    this.#image = image;
    this.#geometry = header.geometry;
    this.#l1 = l1;
    this.#view = viewOf(l1);
    this.#l1Offset = header.l1.offset;
    this.#tables = new TableCache(file, header.geometry.clusterSize, CACHE_BYTES);
    this.#end = end;
  }

  static async open(file: SizedFile, image: string, header: Header): Promise<Mapping> {
    const l1 = new Uint8Array(header.l1.entries * ENTRY_SIZE);
    await file.read(header.l1.offset, l1);
    const { clusterSize } = header.geometry;
    const end = Math.ceil((await file.size()) / clusterSize) * clusterSize;
    return new Mapping(file, image, header, l1, end);
  }

  /** Tells the refcounts where the tables are. @throws CorruptImageError when two entries share one. */
  reserve(refcounts: Refcounts): void {
    const { clusterSize } = this.#geometry;
    refcounts.reserve(this.#l1Offset, this.#l1.length);
    for (let index = 0; index < this.#l1.length / ENTRY_SIZE; index++) {
      const offset = this.#tableAt(index);
      if (offset === 0) continue;
      if (refcounts.isMetadata(offset / clusterSize))
        throw new CorruptImageError(this.#image, `the L2 table at ${offset} is another table too`);
      refcounts.reserve(offset, clusterSize);
    }
  }

  get changed(): boolean {
    return this.#tables.changed.size > 0 || this.#changedEntries.size > 0 || this.#moved;
  }

  /** Whether so much was changed that it should be written soon. */
  get crowded(): boolean {
    return this.#tables.crowded;
  }

  /** Says that the file is in use up to there. */
  grown(end: number): void {
    const { clusterSize } = this.#geometry;
    this.#end = Math.max(this.#end, Math.ceil(end / clusterSize) * clusterSize);
  }

  /** Whether a cluster stands there in the file; at 0 there is only the header. */
  holds(host: number): boolean {
    return host > 0 && host < this.#end;
  }

  /** The table for a guest cluster, or undefined where the whole of its range is unallocated. */
  async tableOf(cluster: number): Promise<Table | undefined> {
    const index = Math.floor(cluster / this.#geometry.l2Entries);
    for (;;) {
      const offset = this.#tableAt(index);
      if (offset === 0) return undefined;
      const table = await this.#tables.load(offset);
      // It may have moved meanwhile.
      if (this.#tableAt(index) === offset) return table;
    }
  }

  /** The entry of a guest cluster in its table. @throws CorruptImageError */
  entry(table: Table | undefined, cluster: number): L2Entry {
    if (table === undefined) return UNALLOCATED;
    const one = readL2Entry(table.view, cluster % this.#geometry.l2Entries, this.#geometry);
    return checkedEntry(one, this.#geometry, this.#image, this.#end);
  }

  /** What the table says of a subcluster, counted from the start of the disk. @throws CorruptImageError */
  descriptor(table: Table | undefined, subcluster: number): Descriptor {
    const { subclusters } = this.#geometry;
    const entry = this.entry(table, Math.floor(subcluster / subclusters));
    return subclusterOf(entry, subcluster % subclusters, this.#geometry);
  }

  /** Sets a guest cluster's entry; its table is made or copied where needed. */
  async set(cluster: number, one: L2Entry, refcounts: Refcounts): Promise<void> {
    const table = await this.#writable(Math.floor(cluster / this.#geometry.l2Entries), refcounts);
    writeL2Entry(table.view, cluster % this.#geometry.l2Entries, one, this.#geometry);
    this.#tables.touch(table);
  }

  /** Makes the L1 table as large as so many entries want it, at another place. */
  async grow(entries: number, refcounts: Refcounts): Promise<void> {
    const { clusterSize } = this.#geometry;
    const [old, oldOffset] = [this.#l1, this.#l1Offset];
    if (entries * ENTRY_SIZE <= old.length) return;
    const place = await refcounts.allocateTables(Math.ceil((entries * ENTRY_SIZE) / clusterSize));
    this.#l1 = new Uint8Array(entries * ENTRY_SIZE);
    this.#l1.set(old);
    this.#view = viewOf(this.#l1);
    this.#l1Offset = place;
    this.#moved = true;
    this.grown(place + this.#l1.length);
    for (let at = 0; at < old.length; at += clusterSize) refcounts.giveUpTable(oldOffset + at);
  }

  /** Gives up the L2 tables behind so many, to which nothing is left. */
  shrink(entries: number, refcounts: Refcounts): void {
    for (let index = entries; index < this.#l1.length / ENTRY_SIZE; index++) {
      const offset = this.#tableAt(index);
      if (offset === 0) continue;
      setEntry(this.#view, index, 0, false);
      this.#changedEntries.add(index);
      this.#tables.drop(offset);
      refcounts.giveUpTable(offset);
    }
  }

  /** Writes changed L2 tables and makes them durable; then the entries that point to them. */
  async write(): Promise<void> {
    await this.#tables.write();
    await this.#file.flush();
    if (this.#moved) {
      await this.#file.write(this.#l1Offset, this.#l1);
      await this.#file.flush();
      await this.#nameTable();
    } else if (this.#changedEntries.size > 0)
      await writeEntries(this.#file, this.#l1Offset, this.#l1, this.#changedEntries);
    else return;
    await this.#file.flush();
    this.#changedEntries.clear();
  }

  /** Both fields stand in one sector: the header names the old table or the new one. */
  async #nameTable(): Promise<void> {
    const fields = new Uint8Array(12);
    viewOf(fields).setUint32(0, this.#l1.length / ENTRY_SIZE);
    writeU64(viewOf(fields), 4, this.#l1Offset);
    await this.#file.write(HEADER.l1, fields);
    this.#moved = false;
  }

  #tableAt(index: number): number {
    const offset = entryOffset(this.#view, index);
    if (offset % this.#geometry.clusterSize !== 0 || offset >= this.#end)
      throw new CorruptImageError(
        this.#image,
        `the L2 table at ${offset} lies outside of the file or between clusters`,
      );
    return offset;
  }

  async #writable(index: number, refcounts: Refcounts): Promise<Table> {
    const offset = this.#tableAt(index);
    const { clusterSize } = this.#geometry;
    if (offset !== 0 && entryCopied(this.#view, index)) return this.#tables.load(offset);
    const bytes = offset === 0 ? new Uint8Array(clusterSize) : (await this.#tables.load(offset)).bytes.slice();
    const place = await refcounts.allocateTable();
    this.grown(place + clusterSize);
    const table = this.#tables.create(place, bytes);
    setEntry(this.#view, index, place, true);
    this.#changedEntries.add(index);
    if (offset !== 0) {
      this.#tables.drop(offset);
      refcounts.giveUpTable(offset);
    }
    return table;
  }
}
