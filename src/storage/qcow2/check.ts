/** Whether an image's tables agree with each other: what refers to clusters, and how often they are counted as used. */
import { UserError } from '../../user-error.ts';
import type { SizedFile } from '../file.ts';
import {
  CorruptImageError,
  type Descriptor,
  ENTRY_SIZE,
  entryCopied,
  entryOffset,
  HEADER,
  INCOMPATIBLE,
  printable,
  readDescriptor,
  readU64,
  refcountBlockOffset,
  setEntry,
  viewOf,
  writeDescriptor,
} from './format.ts';
import type { Header } from './header.ts';
import { readCount, writeCount } from './refcount-block.ts';
import { References, type Role } from './references.ts';
import { readSnapshots } from './snapshots.ts';

/** Problems told in words; all are counted. */
const MOST_TOLD = 100;
const BITMAP_FIELDS = 24;

export interface CheckReport {
  /** Contradictions: data may be lost, or will be when the image is written. */
  readonly errors: number;
  /** Clusters that are counted as used more often than they are: space lost, no data. */
  readonly leaks: number;
  /** What was put right, of both. */
  readonly repairedErrors: number;
  readonly repairedLeaks: number;
  /** The first of the problems, in words. */
  readonly problems: readonly string[];
  /** Guest clusters with content in the image; of these, compressed. */
  readonly allocatedClusters: number;
  readonly compressedClusters: number;
  readonly totalClusters: number;
  /** Behind the last cluster in use. */
  readonly imageEnd: number;
}

export type Repair = 'none' | 'leaks' | 'all';

export interface CheckOptions {
  readonly repair: Repair;
  /** Told from 0 to 1 how far it is. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/**
 * Checks an image and, if asked, repairs it: `leaks` lowers counts that are too high, `all` sets every count and flag
 * to what refers to the clusters. Nothing is repaired where references themselves are damaged.
 * @throws CorruptImageError when a table that leads to all others cannot be read.
 */
export async function checkImage(
  file: SizedFile,
  header: Header,
  image: string,
  options: CheckOptions,
): Promise<CheckReport> {
  return new Check(file, header, image, await file.size(), options).run();
}

/** Repairs an image that was not closed well, before it is written. @throws CorruptImageError when that cannot be. */
export async function repairImage(file: SizedFile, header: Header, image: string): Promise<void> {
  const report = await checkImage(file, header, image, { repair: 'all' });
  if (report.errors > report.repairedErrors)
    throw new CorruptImageError(image, `it was not closed well and cannot be repaired (${report.problems[0]})`);
}

interface L2Reference {
  times: number;
  active: boolean;
}

class Check {
  readonly #file: SizedFile;
  readonly #header: Header;
  readonly #image: string;
  readonly #fileSize: number;
  readonly #options: CheckOptions;
  readonly #references = new References();
  readonly #l2 = new Map<number, L2Reference>();
  /** What is counted for clusters in use, where that is not how often they are used. */
  readonly #miscounts = new Map<number, number>();
  readonly #problems: string[] = [];
  #errors = 0;
  #leaks = 0;
  #repairedErrors = 0;
  #repairedLeaks = 0;
  /** References are damaged: what they should lead to is unknown. */
  #unsure = false;
  #allocated = 0;
  #compressed = 0;

  constructor(file: SizedFile, header: Header, image: string, fileSize: number, options: CheckOptions) {
    this.#file = file;
    this.#header = header;
    this.#image = image;
    this.#fileSize = fileSize;
    this.#options = options;
  }

  async run(): Promise<CheckReport> {
    const { clusterSize } = this.#header.geometry;
    this.#use('the header', 0, clusterSize);
    const l1 = await this.#readL1s();
    await this.#readL2s();
    await this.#readBitmaps();
    const table = await this.#readRefcountTable();
    await this.#compareCounts(table);
    await this.#compareFlags(l1);
    if (this.#repairs('all') && this.#header.dirty) await this.#markClean();
    if (this.#options.repair !== 'none') await this.#file.flush();
    return {
      errors: this.#errors,
      leaks: this.#leaks,
      repairedErrors: this.#repairedErrors,
      repairedLeaks: this.#repairedLeaks,
      problems: this.#problems,
      allocatedClusters: this.#allocated,
      compressedClusters: this.#compressed,
      totalClusters: Math.ceil(this.#header.size / clusterSize),
      imageEnd: this.#references.end * clusterSize,
    };
  }

  /** Whether this much is to be repaired, and may be. */
  #repairs(what: Exclude<Repair, 'none'>): boolean {
    const { repair } = this.#options;
    return !this.#unsure && (repair === 'all' || repair === what);
  }

  #tell(problem: string): void {
    if (this.#problems.length < MOST_TOLD) this.#problems.push(printable(problem));
  }

  #error(problem: string): void {
    this.#errors += 1;
    this.#tell(`ERROR ${problem}`);
  }

  /** An error in what refers to clusters. */
  #damage(problem: string): void {
    this.#unsure = true;
    this.#error(problem);
  }

  #use(what: string, offset: number, bytes: number, times = 1, role: Role = 'table'): void {
    const { clusterSize } = this.#header.geometry;
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < offset + bytes; cluster++)
      if (!this.#references.add(cluster, times, role))
        this.#damage(`${what} at ${offset} shares cluster ${cluster} with another table or with data`);
  }

  /** Whether a cluster of a table can be there; if not, that is told. */
  #possible(what: string, offset: number): boolean {
    if (offset % this.#header.geometry.clusterSize === 0 && offset < this.#fileSize) return true;
    this.#damage(`${what} at ${offset} lies outside of the file or between clusters`);
    return false;
  }

  async #read(offset: number, bytes: number): Promise<Uint8Array> {
    const into = new Uint8Array(bytes);
    await this.#file.read(offset, into);
    return into;
  }

  /** Returns the active L1 table. */
  async #readL1s(): Promise<Uint8Array> {
    const { l1, snapshots } = this.#header;
    const active = await this.#read(l1.offset, l1.entries * ENTRY_SIZE);
    this.#use('the L1 table', l1.offset, active.length);
    this.#readL1('the L1 table', active, true);
    if (snapshots.count === 0) return active;
    const table = await readSnapshots(this.#file, this.#fileSize, this.#header, this.#image);
    this.#use('the table of snapshots', snapshots.offset, table.length);
    for (const snapshot of table.snapshots) {
      const what = `the L1 table of snapshot '${snapshot.name}'`;
      const bytes = await this.#read(snapshot.l1.offset, snapshot.l1.entries * ENTRY_SIZE);
      this.#use(what, snapshot.l1.offset, bytes.length);
      this.#readL1(what, bytes, false);
    }
    return active;
  }

  #readL1(what: string, bytes: Uint8Array, active: boolean): void {
    const view = viewOf(bytes);
    const seen = new Set<number>();
    for (let index = 0; index < bytes.length / ENTRY_SIZE; index++) {
      const offset = entryOffset(view, index);
      if (offset === 0 || !this.#possible('an L2 table', offset)) continue;
      if (seen.has(offset)) this.#damage(`${what} names the L2 table at ${offset} twice`);
      seen.add(offset);
      const known = this.#l2.get(offset);
      if (known === undefined) this.#l2.set(offset, { times: 1, active });
      else known.times += 1;
    }
  }

  /** Each once, however many snapshots share it. */
  async #readL2s(): Promise<void> {
    const { clusterSize, tableEntries } = this.#header.geometry;
    let done = 0;
    for (const [offset, { times, active }] of this.#l2) {
      this.#use('an L2 table', offset, clusterSize, times);
      const view = viewOf(await this.#read(offset, clusterSize));
      for (let index = 0; index < tableEntries; index++)
        this.#useCluster(readDescriptor(view, index, this.#header.geometry), times, active);
      this.#options.onProgress?.((done += 1) / this.#l2.size / 2);
    }
  }

  #useCluster(one: Descriptor, times: number, active: boolean): void {
    const { clusterSize, version } = this.#header.geometry;
    switch (one.kind) {
      case 'unallocated':
        return;
      case 'zero':
        if (version === 2) this.#damage('a zero cluster in an image of version 2');
        if (one.host === 0) return;
        if (active) this.#allocated += 1;
        if (this.#possible('a cluster kept for zeros', one.host))
          this.#use('a cluster', one.host, clusterSize, times, 'data');
        return;
      case 'data':
        if (active) this.#allocated += 1;
        if (this.#possible('a cluster', one.host)) this.#use('a cluster', one.host, clusterSize, times, 'data');
        return;
      case 'compressed':
        if (active) this.#allocated += 1;
        if (active) this.#compressed += 1;
        if (one.offset >= this.#fileSize)
          this.#damage(`a compressed cluster at ${one.offset} lies outside of the file`);
        else this.#use('a compressed cluster', one.offset, one.length, times, 'data');
        return;
      default:
        one satisfies never;
    }
  }

  /** Dirty bitmaps of others: their clusters are in use. */
  async #readBitmaps(): Promise<void> {
    const { bitmaps } = this.#header;
    if (bitmaps === undefined) return;
    const { directory, directorySize, count } = bitmaps;
    if (!this.#possible('the directory of bitmaps', directory) || directory + directorySize > this.#fileSize)
      return this.#damage('the directory of bitmaps lies outside of the file');
    this.#use('the directory of bitmaps', directory, directorySize);
    const view = viewOf(await this.#read(directory, directorySize));
    for (let i = 0, at = 0; i < count; i++) {
      if (at + BITMAP_FIELDS > directorySize) return this.#damage('the directory of bitmaps ends too early');
      await this.#readBitmap(readU64(view, at), view.getUint32(at + 8));
      at += Math.ceil((BITMAP_FIELDS + view.getUint16(at + 18) + view.getUint32(at + 20)) / 8) * 8;
    }
  }

  async #readBitmap(offset: number, entries: number): Promise<void> {
    const { clusterSize } = this.#header.geometry;
    const bytes = entries * ENTRY_SIZE;
    if (!this.#possible('a bitmap', offset)) return;
    if (offset + bytes > Math.ceil(this.#fileSize / clusterSize) * clusterSize)
      return this.#damage(`the bitmap at ${offset} lies outside of the file`);
    this.#use('a bitmap', offset, bytes);
    const view = viewOf(await this.#read(offset, bytes));
    for (let index = 0; index < entries; index++) {
      const cluster = entryOffset(view, index);
      if (cluster !== 0 && this.#possible('a cluster of a bitmap', cluster))
        this.#use('a cluster of a bitmap', cluster, clusterSize);
    }
  }

  async #readRefcountTable(): Promise<Uint8Array> {
    const { refcountTable, geometry } = this.#header;
    const table = await this.#read(refcountTable.offset, refcountTable.clusters * geometry.clusterSize);
    this.#use('the refcount table', refcountTable.offset, table.length);
    const view = viewOf(table);
    const seen = new Set<number>();
    for (let index = 0; index < table.length / ENTRY_SIZE; index++) {
      const offset = refcountBlockOffset(view, index);
      if (offset === 0) continue;
      if (seen.has(offset)) this.#damage(`the refcount table names the block at ${offset} twice`);
      if (!seen.has(offset) && this.#possible('a refcount block', offset))
        this.#use('a refcount block', offset, geometry.clusterSize);
      else setEntry(view, index, 0, false);
      seen.add(offset);
    }
    return table;
  }

  async #compareCounts(table: Uint8Array): Promise<void> {
    const { clusterSize } = this.#header.geometry;
    const view = viewOf(table);
    const entries = table.length / ENTRY_SIZE;
    // First: the places of new blocks are to be counted too.
    const places = this.#repairs('all') ? this.#placeBlocks(view, entries) : new Map<number, number>();
    for (let index = 0; index < entries; index++) {
      const offset = refcountBlockOffset(view, index);
      if (offset !== 0) await this.#compareBlock(index, offset, await this.#read(offset, clusterSize));
      this.#options.onProgress?.(0.5 + (index + 1) / entries / 2);
    }
    for (const index of this.#uncounted(view, entries))
      await this.#compareBlock(index, (places.get(index) ?? 0) * clusterSize, new Uint8Array(clusterSize));
    if (places.size > 0) await this.#nameBlocks(view, places);
  }

  /** Ranges in use that no block counts. */
  #uncounted(table: DataView, entries: number): number[] {
    const { blockEntries } = this.#header.geometry;
    return this.#references
      .groups(blockEntries)
      .filter((index) => index >= entries || refcountBlockOffset(table, index) === 0)
      .filter((index) => this.#references.anyIn(index * blockEntries, blockEntries));
  }

  /** Finds places for the blocks that are missing, behind all that is in use: a place may need a block in turn. */
  #placeBlocks(table: DataView, entries: number): ReadonlyMap<number, number> {
    const places = new Map<number, number>();
    for (;;) {
      const missing = this.#uncounted(table, entries).filter((index) => !places.has(index));
      if (missing.length === 0) return places;
      if (missing.some((index) => index >= entries))
        throw new UserError(
          `${this.#image}: the refcount table is too small to be repaired here: use \`qemu-img check -r all\``,
        );
      for (const index of missing) {
        places.set(index, this.#references.end);
        this.#references.add(this.#references.end, 1, 'table');
      }
    }
  }

  async #nameBlocks(table: DataView, places: ReadonlyMap<number, number>): Promise<void> {
    const { clusterSize } = this.#header.geometry;
    // The places had nothing in them, which was no problem of the image.
    this.#errors -= places.size;
    this.#repairedErrors -= places.size;
    await this.#file.flush();
    for (const [index, cluster] of places) {
      setEntry(table, index, cluster * clusterSize, false);
      const entry = new Uint8Array(table.buffer, table.byteOffset + index * ENTRY_SIZE, ENTRY_SIZE);
      await this.#file.write(this.#header.refcountTable.offset + index * ENTRY_SIZE, entry);
    }
  }

  async #compareBlock(index: number, offset: number, bytes: Uint8Array): Promise<void> {
    const { blockEntries, refcountBits } = this.#header.geometry;
    const view = viewOf(bytes);
    let changed = false;
    for (let at = 0; at < blockEntries; at++) {
      const [cluster, stored] = [index * blockEntries + at, readCount(view, at, refcountBits)];
      const actual = this.#references.count(cluster);
      if (stored === actual) continue;
      if (actual > 0) this.#miscounts.set(cluster, stored);
      if (!this.#differs(cluster, stored, actual)) continue;
      writeCount(view, at, refcountBits, actual);
      changed = true;
    }
    if (changed) await this.#file.write(offset, bytes);
  }

  /** Counts the problem; true when it is to be repaired. */
  #differs(cluster: number, stored: number, actual: number): boolean {
    const problem = `cluster ${cluster} is counted ${stored} times and used ${actual} times`;
    if (stored < actual) {
      this.#error(problem);
      if (this.#repairs('all')) this.#repairedErrors += 1;
      return this.#repairs('all');
    }
    this.#leaks += 1;
    this.#tell(`leak  ${problem}`);
    if (this.#repairs('leaks')) this.#repairedLeaks += 1;
    return this.#repairs('leaks');
  }

  /** The flag of what may be written in place must stand exactly where one reference is counted. */
  async #compareFlags(l1: Uint8Array): Promise<void> {
    const view = viewOf(l1);
    let changed = false;
    for (let index = 0; index < l1.length / ENTRY_SIZE; index++) {
      const offset = entryOffset(view, index);
      if (offset === 0 || !this.#l2.has(offset)) continue;
      const copied = entryCopied(view, index);
      if (this.#wrongFlag('the L2 table', offset, copied)) {
        setEntry(view, index, offset, !copied);
        changed = true;
      }
      await this.#compareL2Flags(offset);
    }
    if (changed) await this.#file.write(this.#header.l1.offset, l1);
  }

  async #compareL2Flags(offset: number): Promise<void> {
    const { geometry } = this.#header;
    const bytes = await this.#read(offset, geometry.clusterSize);
    const view = viewOf(bytes);
    let changed = false;
    for (let index = 0; index < geometry.tableEntries; index++) {
      const one = readDescriptor(view, index, geometry);
      if (one.kind !== 'data' && (one.kind !== 'zero' || one.host === 0)) continue;
      if (!this.#wrongFlag('the cluster', one.host, one.copied)) continue;
      writeDescriptor(view, index, { ...one, copied: !one.copied }, geometry);
      changed = true;
    }
    if (changed) await this.#file.write(offset, bytes);
  }

  /** Counts the problem, if it is one; true when the flag is to be turned. */
  #wrongFlag(what: string, offset: number, copied: boolean): boolean {
    const cluster = offset / this.#header.geometry.clusterSize;
    const used = this.#references.count(cluster);
    const counted = this.#miscounts.get(cluster) ?? used;
    const wrong = copied !== (counted === 1);
    if (wrong) this.#error(`${what} at ${offset} is counted ${counted} times and flagged otherwise`);
    // With the count put right the flag may be right as it is.
    if (wrong && this.#repairs('all')) this.#repairedErrors += 1;
    return copied !== (used === 1) && (this.#repairs('all') || (this.#repairs('leaks') && !copied));
  }

  async #markClean(): Promise<void> {
    await this.#file.flush();
    const features = viewOf(await this.#read(HEADER.incompatible, 8));
    const low = features.getUint32(4) & ~(1 << INCOMPATIBLE.dirty);
    features.setUint32(4, low >>> 0);
    await this.#file.write(HEADER.incompatible, new Uint8Array(features.buffer));
  }
}
