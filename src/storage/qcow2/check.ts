/** Whether an image's tables agree with each other: what refers to clusters, and how often they are counted as used. */
import { UserError } from '../../user-error.ts';
import type { SizedFile } from '../file.ts';
import {
  CorruptImageError,
  ENTRY_SIZE,
  entryCopied,
  entryOffset,
  HEADER,
  INCOMPATIBLE,
  refcountBlockOffset,
  setEntry,
  viewOf,
} from './format.ts';
import type { Header } from './header.ts';
import { readL2Entry, writeL2Entry } from './l2-entry.ts';
import { readCount, writeCount } from './refcount-block.ts';
import { ProblemLog, ReferenceScan } from './reference-scan.ts';

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

class Check {
  readonly #file: SizedFile;
  readonly #header: Header;
  readonly #image: string;
  readonly #options: CheckOptions;
  readonly #log = new ProblemLog();
  readonly #scan: ReferenceScan;
  /** What is counted for clusters in use, where that is not how often they are used. */
  readonly #miscounts = new Map<number, number>();
  #repairedErrors = 0;
  #repairedLeaks = 0;

  constructor(file: SizedFile, header: Header, image: string, fileSize: number, options: CheckOptions) {
    this.#file = file;
    this.#header = header;
    this.#image = image;
    this.#scan = new ReferenceScan(file, header, image, fileSize, this.#log);
    this.#options = options;
  }

  async run(): Promise<CheckReport> {
    const { clusterSize } = this.#header.geometry;
    const { l1, refcountTable } = await this.#scan.run((share) => this.#options.onProgress?.(share / 2));
    await this.#compareCounts(refcountTable);
    await this.#compareFlags(l1);
    if (this.#repairs('all') && this.#header.dirty) await this.#markClean();
    if (this.#options.repair !== 'none') await this.#file.flush();
    return {
      errors: this.#log.errors,
      leaks: this.#log.leaks,
      repairedErrors: this.#repairedErrors,
      repairedLeaks: this.#repairedLeaks,
      problems: this.#log.problems,
      allocatedClusters: this.#scan.allocated,
      compressedClusters: this.#scan.compressed,
      totalClusters: Math.ceil(this.#header.size / clusterSize),
      imageEnd: this.#scan.references.end * clusterSize,
    };
  }

  /** Whether this much is to be repaired, and may be. */
  #repairs(what: Exclude<Repair, 'none'>): boolean {
    const { repair } = this.#options;
    return !this.#log.unsure && (repair === 'all' || repair === what);
  }

  async #read(offset: number, bytes: number): Promise<Uint8Array> {
    const into = new Uint8Array(bytes);
    await this.#file.read(offset, into);
    return into;
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
    return this.#scan.references
      .groups(blockEntries)
      .filter((index) => index >= entries || refcountBlockOffset(table, index) === 0)
      .filter((index) => this.#scan.references.anyIn(index * blockEntries, blockEntries));
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
        places.set(index, this.#scan.references.end);
        this.#scan.references.add(this.#scan.references.end, 1, 'table');
      }
    }
  }

  async #nameBlocks(table: DataView, places: ReadonlyMap<number, number>): Promise<void> {
    const { clusterSize } = this.#header.geometry;
    // The places had nothing in them, which was no problem of the image.
    this.#log.errors -= places.size;
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
      const actual = this.#scan.references.count(cluster);
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
      this.#log.error(problem);
      if (this.#repairs('all')) this.#repairedErrors += 1;
      return this.#repairs('all');
    }
    this.#log.leak(problem);
    if (this.#repairs('leaks')) this.#repairedLeaks += 1;
    return this.#repairs('leaks');
  }

  /** The flag of what may be written in place must stand exactly where one reference is counted. */
  async #compareFlags(l1: Uint8Array): Promise<void> {
    const view = viewOf(l1);
    let changed = false;
    for (let index = 0; index < l1.length / ENTRY_SIZE; index++) {
      const offset = entryOffset(view, index);
      if (offset === 0 || !this.#scan.l2.has(offset)) continue;
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
    for (let index = 0; index < geometry.l2Entries; index++) {
      const one = readL2Entry(view, index, geometry);
      if (one.kind === 'compressed' || one.host === 0) continue;
      if (!this.#wrongFlag('the cluster', one.host, one.copied)) continue;
      writeL2Entry(view, index, { ...one, copied: !one.copied }, geometry);
      changed = true;
    }
    if (changed) await this.#file.write(offset, bytes);
  }

  /** Counts the problem, if it is one; true when the flag is to be turned. */
  #wrongFlag(what: string, offset: number, copied: boolean): boolean {
    const cluster = offset / this.#header.geometry.clusterSize;
    const used = this.#scan.references.count(cluster);
    const counted = this.#miscounts.get(cluster) ?? used;
    const wrong = copied !== (counted === 1);
    if (wrong) this.#log.error(`${what} at ${offset} is counted ${counted} times and flagged otherwise`);
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
