import type { SizedFile } from '../file.ts';
import { StorageFullError } from '../file.ts';
import {
  CorruptImageError,
  ENTRY_SIZE,
  type Geometry,
  HEADER,
  refcountBlockOffset,
  setEntry,
  viewOf,
  writeU64,
} from './format.ts';
import { type Header, MAXIMUM_REFCOUNT_TABLE_BYTES } from './header.ts';
import { largestCount, readCount, writeCount } from './refcount-block.ts';
import { type Table, TableCache, writeEntries } from './table-cache.ts';

/** Bytes of refcount blocks in memory. */
const CACHE_BYTES = 4 * 2 ** 20;

/** Clusters given up that wait, at most; more of them ask for a commit. */
const MOST_WAITING = 65_536;

/** Neighbouring clusters. */
export interface ClusterRun {
  /** Number of the first, counted from the start of the image. */
  readonly first: number;
  readonly count: number;
}

/**
 * Which clusters of an image are in use, and how often: a table of blocks of counts.
 *
 * Counts go up in memory at once and reach the file by `write`, before anything refers to the clusters.
 * They go down by `settle`, when nothing durable refers to the clusters any more. In between a cut loses clusters at worst.
 * One caller at a time.
 */
export class Refcounts {
  readonly #file: SizedFile;
  readonly #image: string;
  readonly #geometry: Geometry;
  readonly #blocks: TableCache;
  readonly #largest: number;
  /** Clusters of tables, which nothing else may use: a damaged image may have lost their counts. */
  readonly #metadata: Set<number>;
  #table: Uint8Array;
  #view: DataView;
  #tableOffset: number;
  /** The table stands at a new place, which the header does not name yet. */
  #moved = false;
  readonly #changedEntries = new Set<number>();
  #waiting: ClusterRun[] = [];
  #waitingClusters = 0;
  /** Below it every cluster is in use. */
  #hint = 0;

  private constructor(file: SizedFile, image: string, geometry: Geometry, table: Uint8Array, offset: number) {
    this.#file = file;
    this.#image = image;
    this.#geometry = geometry;
    this.#blocks = new TableCache(file, geometry.clusterSize, CACHE_BYTES);
    this.#largest = largestCount(geometry.refcountBits);
    this.#table = table;
    this.#view = viewOf(table);
    this.#tableOffset = offset;
    this.#metadata = new Set([0]);
    this.reserve(offset, table.length);
  }

  /** @throws CorruptImageError when a block cannot be where the table says. */
  static async open(file: SizedFile, image: string, { geometry, refcountTable }: Header): Promise<Refcounts> {
    const { clusterSize } = geometry;
    const table = new Uint8Array(refcountTable.clusters * clusterSize);
    await file.read(refcountTable.offset, table);
    const refcounts = new Refcounts(file, image, geometry, table, refcountTable.offset);
    const end = await file.size();
    for (let index = 0; index < table.length / ENTRY_SIZE; index++) {
      const offset = refcountBlockOffset(refcounts.#view, index);
      if (offset === 0) continue;
      if (offset % clusterSize !== 0 || offset >= end)
        throw new CorruptImageError(
          image,
          `a refcount block at ${offset} lies outside of the file or between clusters`,
        );
      if (refcounts.isMetadata(offset / clusterSize))
        throw new CorruptImageError(image, `the refcount block at ${offset} is another table too`);
      refcounts.reserve(offset, clusterSize);
    }
    return refcounts;
  }

  /** Says that a range holds tables. */
  reserve(offset: number, bytes: number): void {
    const { clusterSize } = this.#geometry;
    for (let at = Math.floor(offset / clusterSize); at * clusterSize < offset + bytes; at++) this.#metadata.add(at);
  }

  /** Whether a cluster holds a table. */
  isMetadata(cluster: number): boolean {
    return this.#metadata.has(cluster);
  }

  /** Whether anything waits to be written. */
  get changed(): boolean {
    return this.#moved || this.#changedEntries.size > 0 || this.#blocks.changed.size > 0;
  }

  /** Whether clusters were given up that `settle` has not taken back yet. */
  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether so much waits that it should be written soon. */
  get crowded(): boolean {
    return this.#blocks.crowded || this.#waitingClusters > MOST_WAITING;
  }

  async count(cluster: number): Promise<number> {
    const block = await this.#blockOf(cluster);
    return block === undefined ? 0 : this.#read(block, cluster);
  }

  /** Takes at least one and at most `most` free neighbours. */
  async allocate(most: number): Promise<ClusterRun> {
    for (;;) {
      const first = await this.#firstFree();
      const block = await this.#blockOf(first);
      if (block === undefined) {
        await this.#addBlock(first);
        continue;
      }
      let count = 0;
      while (count < most && this.#isFree(block, first, first + count)) {
        if (this.#metadata.has(first + count))
          throw new CorruptImageError(this.#image, `cluster ${first + count} is a table and counted as free`);
        this.#write(block, first + count, 1);
        count += 1;
      }
      this.#hint = first + count;
      return { first, count };
    }
  }

  /** Takes a free cluster for a table. */
  async allocateTable(): Promise<number> {
    const { first } = await this.allocate(1);
    this.#metadata.add(first);
    return first * this.#geometry.clusterSize;
  }

  /** Takes so many free neighbours for a table. Returns where they are. */
  async allocateTables(clusters: number): Promise<number> {
    const { clusterSize, blockEntries } = this.#geometry;
    // In a range of so many there is a block, which would stand in between.
    const first = clusters < blockEntries ? await this.#neighbours(clusters) : await this.#behindBlocks(clusters);
    this.reserve(first * clusterSize, clusters * clusterSize);
    return first * clusterSize;
  }

  /** Behind the last cluster that is in use. */
  async end(): Promise<number> {
    const { blockEntries } = this.#geometry;
    for (let index = this.#tableEntries - 1; index >= 0; index--) {
      const block = await this.#blockOf(index * blockEntries);
      if (block === undefined) continue;
      for (let at = (index + 1) * blockEntries; at > index * blockEntries; at--)
        if (this.#read(block, at - 1) !== 0) return at;
    }
    return 0;
  }

  /** One more reference to a cluster; false when its count has no room for it. */
  async addReference(cluster: number): Promise<boolean> {
    const block = await this.#blockOf(cluster);
    const count = block === undefined ? 0 : this.#read(block, cluster);
    if (block === undefined || count === 0 || count >= this.#largest) return false;
    this.#write(block, cluster, count + 1);
    return true;
  }

  /** Takes back clusters that nothing refers to, in the file or in memory. */
  async release({ first, count }: ClusterRun): Promise<void> {
    for (let cluster = first; cluster < first + count; cluster++) await this.#lower(cluster);
  }

  /** Gives up one reference each; `settle` takes the clusters back. */
  giveUp(run: ClusterRun): void {
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.first + last.count === run.first)
      this.#waiting[this.#waiting.length - 1] = { first: last.first, count: last.count + run.count };
    else this.#waiting.push(run);
    this.#waitingClusters += run.count;
  }

  /** A table's cluster is one no more. */
  giveUpTable(offset: number): void {
    const first = offset / this.#geometry.clusterSize;
    this.#metadata.delete(first);
    this.giveUp({ first, count: 1 });
  }

  /** Makes counts and the table durable. */
  async write(): Promise<void> {
    await this.#blocks.write();
    if (this.#moved) await this.#file.write(this.#tableOffset, this.#table);
    await this.#file.flush();
    if (this.#moved) await this.#nameTable();
    else if (this.#changedEntries.size > 0)
      await writeEntries(this.#file, this.#tableOffset, this.#table, this.#changedEntries);
    else return;
    await this.#file.flush();
    this.#changedEntries.clear();
  }

  /** Counts down what was given up. Only when nothing in the file refers to it any more, and nobody reads it. */
  async settle(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingClusters = 0;
    for (const run of waiting) await this.release(run);
  }

  async #lower(cluster: number): Promise<void> {
    const block = await this.#blockOf(cluster);
    const count = block === undefined ? 0 : this.#read(block, cluster);
    if (block === undefined || count === 0)
      throw new CorruptImageError(this.#image, `cluster ${cluster} was in use and counted as free`);
    this.#write(block, cluster, count - 1);
    if (count === 1) this.#hint = Math.min(this.#hint, cluster);
  }

  #read(block: Table, cluster: number): number {
    return readCount(block.view, cluster % this.#geometry.blockEntries, this.#geometry.refcountBits);
  }

  #write(block: Table, cluster: number, count: number): void {
    writeCount(block.view, cluster % this.#geometry.blockEntries, this.#geometry.refcountBits, count);
    this.#blocks.touch(block);
  }

  /** Whether `cluster` is in the same block as `first` and nobody's. */
  #isFree(block: Table, first: number, cluster: number): boolean {
    const { blockEntries } = this.#geometry;
    if (Math.floor(cluster / blockEntries) !== Math.floor(first / blockEntries)) return false;
    return this.#read(block, cluster) === 0;
  }

  async #firstFree(): Promise<number> {
    const { blockEntries } = this.#geometry;
    for (let cluster = this.#hint; ; ) {
      const block = await this.#blockOf(cluster);
      if (block === undefined) return cluster;
      const end = (Math.floor(cluster / blockEntries) + 1) * blockEntries;
      while (cluster < end && this.#read(block, cluster) !== 0) cluster += 1;
      if (cluster < end) return (this.#hint = cluster);
    }
  }

  get #tableEntries(): number {
    return this.#table.length / ENTRY_SIZE;
  }

  async #blockOf(cluster: number): Promise<Table | undefined> {
    const index = Math.floor(cluster / this.#geometry.blockEntries);
    if (index >= this.#tableEntries) return undefined;
    const offset = refcountBlockOffset(this.#view, index);
    return offset === 0 ? undefined : this.#blocks.load(offset);
  }

  /** Makes a block for the range of a free cluster, in that cluster. */
  async #addBlock(cluster: number): Promise<void> {
    const index = Math.floor(cluster / this.#geometry.blockEntries);
    if (index >= this.#tableEntries) return this.#growTable(cluster);
    this.#mustHaveNoTable(cluster);
    this.#placeBlock(index, cluster);
    this.#changedEntries.add(index);
  }

  #placeBlock(index: number, cluster: number): void {
    const { clusterSize, blockEntries } = this.#geometry;
    const block = this.#blocks.create(cluster * clusterSize, new Uint8Array(clusterSize));
    setEntry(this.#view, index, block.offset, false);
    this.#metadata.add(cluster);
    if (Math.floor(cluster / blockEntries) === index) this.#write(block, cluster, 1);
  }

  /** Takes free clusters until enough of them follow each other, and gives the others back. */
  async #neighbours(clusters: number): Promise<number> {
    const others: ClusterRun[] = [];
    let run = await this.allocate(clusters);
    while (run.count < clusters) {
      const next = await this.allocate(clusters - run.count);
      if (next.first === run.first + run.count) run = { first: run.first, count: run.count + next.count };
      else {
        others.push(run);
        run = next;
      }
    }
    for (const other of others) await this.release(other);
    return run.first;
  }

  /** Takes clusters behind all that blocks count. */
  async #behindBlocks(clusters: number): Promise<number> {
    const { blockEntries } = this.#geometry;
    for (;;) {
      let index = this.#tableEntries;
      while (index > 0 && refcountBlockOffset(this.#view, index - 1) === 0) index -= 1;
      const first = index * blockEntries;
      if (index + this.#blocksFor(first, clusters) <= this.#tableEntries) {
        await this.#claim(first, clusters);
        return first;
      }
      await this.#growTable(Math.max(first, this.#tableEntries * blockEntries));
    }
  }

  /** How many blocks it takes to count `clusters` from `first` on, and themselves behind. */
  #blocksFor(first: number, clusters: number): number {
    const { blockEntries } = this.#geometry;
    const firstBlock = Math.floor(first / blockEntries);
    let blocks = 0;
    while (Math.floor((first + clusters + blocks - 1) / blockEntries) >= firstBlock + blocks) blocks += 1;
    return blocks;
  }

  /** Takes clusters where no block counts yet, and clusters behind them for the blocks. */
  async #claim(first: number, clusters: number): Promise<void> {
    const end = first + clusters + this.#blocksFor(first, clusters);
    for (let cluster = first; cluster < end; cluster++) this.#mustHaveNoTable(cluster);
    const firstBlock = Math.floor(first / this.#geometry.blockEntries);
    for (let at = first + clusters; at < end; at++) {
      const index = firstBlock + at - first - clusters;
      this.#placeBlock(index, at);
      this.#changedEntries.add(index);
    }
    for (let cluster = first; cluster < end; cluster++) this.#write((await this.#blockOf(cluster))!, cluster, 1);
  }

  #mustHaveNoTable(cluster: number): void {
    if (this.#metadata.has(cluster))
      throw new CorruptImageError(this.#image, `cluster ${cluster} is a table and has no count`);
  }

  /** Moves the table to a larger place from the free cluster `first` on, behind all that it covers now, with the blocks for it. */
  async #growTable(first: number): Promise<void> {
    const { clusterSize, blockEntries, tableEntries } = this.#geometry;
    const firstBlock = Math.floor(first / blockEntries);
    const least = Math.ceil(Math.max(firstBlock + 1, this.#tableEntries) * 1.5);
    const clusters = Math.ceil(least / tableEntries);
    if (clusters * clusterSize > Math.max(MAXIMUM_REFCOUNT_TABLE_BYTES, clusterSize))
      throw new StorageFullError(`${this.#image}: an image with clusters this small cannot grow further`);
    if (firstBlock + this.#blocksFor(first, clusters) > clusters * tableEntries)
      throw new StorageFullError(`${this.#image}: the image cannot grow further`);
    const old = { first: this.#tableOffset / clusterSize, count: this.#table.length / clusterSize };
    const table = new Uint8Array(clusters * clusterSize);
    table.set(this.#table);
    this.#table = table;
    this.#view = viewOf(table);
    this.#tableOffset = first * clusterSize;
    this.#moved = true;
    await this.#claim(first, clusters);
    this.reserve(this.#tableOffset, table.length);
    for (let cluster = old.first; cluster < old.first + old.count; cluster++) this.#metadata.delete(cluster);
    this.giveUp(old);
  }

  /** Both fields stand in one sector: the header names the old table or the new one. */
  async #nameTable(): Promise<void> {
    const fields = new Uint8Array(12);
    writeU64(viewOf(fields), 0, this.#tableOffset);
    viewOf(fields).setUint32(8, this.#table.length / this.#geometry.clusterSize);
    await this.#file.write(HEADER.refcountTable, fields);
    this.#moved = false;
  }
}
