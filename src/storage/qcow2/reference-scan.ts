/** What the tables of an image refer to: every cluster in use, how often, and as what. */
import type { SizedFile } from '../file.ts';
import { ENTRY_SIZE, entryOffset, printable, readU64, refcountBlockOffset, setEntry, viewOf } from './format.ts';
import type { Header } from './header.ts';
import { contradiction, hasSubclusterBits, readL2Entry, type StandardEntry } from './l2-entry.ts';
import { References, type Role } from './references.ts';
import { readSnapshots } from './snapshots.ts';

/** Problems told in words; all are counted. */
const MOST_TOLD = 100;
const BITMAP_FIELDS = 24;

/** What is wrong with an image. */
export class ProblemLog {
  /** The first of the problems, in words. */
  readonly problems: string[] = [];
  errors = 0;
  leaks = 0;
  /** References are damaged: what they should lead to is unknown. */
  unsure = false;

  error(problem: string): void {
    this.errors += 1;
    this.#tell(`ERROR ${problem}`);
  }

  leak(problem: string): void {
    this.leaks += 1;
    this.#tell(`leak  ${problem}`);
  }

  /** An error in what refers to clusters. */
  damage(problem: string): void {
    this.unsure = true;
    this.error(problem);
  }

  #tell(problem: string): void {
    if (this.problems.length < MOST_TOLD) this.problems.push(printable(problem));
  }
}

interface L2Reference {
  times: number;
  active: boolean;
}

/** Reads all tables of an image once. */
export class ReferenceScan {
  readonly references = new References();
  /** The L2 tables by where they are. */
  readonly l2 = new Map<number, L2Reference>();
  /** Guest clusters with content in the image; of these, compressed. */
  allocated = 0;
  compressed = 0;
  readonly #file: SizedFile;
  readonly #header: Header;
  readonly #image: string;
  readonly #fileSize: number;
  readonly #log: ProblemLog;

  constructor(file: SizedFile, header: Header, image: string, fileSize: number, log: ProblemLog) {
    this.#file = file;
    this.#header = header;
    this.#image = image;
    this.#fileSize = fileSize;
    this.#log = log;
  }

  /**
   * Reads what refers to clusters; `onProgress` is told from 0 to 1 how far that is. Returns the active L1 table and the
   * refcount table, the latter without what cannot be.
   * @throws CorruptImageError when the table of snapshots cannot be read.
   */
  async run(
    onProgress: (share: number) => void,
  ): Promise<{ readonly l1: Uint8Array; readonly refcountTable: Uint8Array }> {
    this.#use('the header', 0, this.#header.geometry.clusterSize);
    const l1 = await this.#readL1s();
    await this.#readL2s(onProgress);
    await this.#readBitmaps();
    return { l1, refcountTable: await this.#readRefcountTable() };
  }

  #use(what: string, offset: number, bytes: number, times = 1, role: Role = 'table'): void {
    const { clusterSize } = this.#header.geometry;
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < offset + bytes; cluster++)
      if (!this.references.add(cluster, times, role))
        this.#log.damage(`${what} at ${offset} shares cluster ${cluster} with another table or with data`);
  }

  /** Whether a cluster of a table can be there; if not, that is told. */
  #possible(what: string, offset: number): boolean {
    if (offset % this.#header.geometry.clusterSize === 0 && offset < this.#fileSize) return true;
    this.#log.damage(`${what} at ${offset} lies outside of the file or between clusters`);
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
      if (seen.has(offset)) this.#log.damage(`${what} names the L2 table at ${offset} twice`);
      seen.add(offset);
      const known = this.l2.get(offset);
      if (known === undefined) this.l2.set(offset, { times: 1, active });
      else known.times += 1;
    }
  }

  /** Each once, however many snapshots share it. */
  async #readL2s(onProgress: (share: number) => void): Promise<void> {
    const { clusterSize, l2Entries } = this.#header.geometry;
    let done = 0;
    for (const [offset, { times, active }] of this.l2) {
      this.#use('an L2 table', offset, clusterSize, times);
      const view = viewOf(await this.#read(offset, clusterSize));
      for (let index = 0; index < l2Entries; index++) this.#useCluster(view, index, times, active);
      onProgress((done += 1) / this.l2.size);
    }
  }

  #useCluster(view: DataView, index: number, times: number, active: boolean): void {
    const one = readL2Entry(view, index, this.#header.geometry);
    switch (one.kind) {
      case 'standard':
        this.#useStandard(one, times, active);
        return;
      case 'compressed':
        if (active) this.allocated += 1;
        if (active) this.compressed += 1;
        if (hasSubclusterBits(view, index, this.#header.geometry))
          this.#log.damage(`a compressed cluster at ${one.offset} has subclusters`);
        if (one.offset >= this.#fileSize)
          this.#log.damage(`a compressed cluster at ${one.offset} lies outside of the file`);
        else this.#use('a compressed cluster', one.offset, one.length, times, 'data');
        return;
      default:
        one satisfies never;
    }
  }

  #useStandard(one: StandardEntry, times: number, active: boolean): void {
    const { geometry } = this.#header;
    const problem = contradiction(one, geometry);
    if (problem !== undefined) this.#log.damage(problem);
    if (one.host === 0) return;
    if (active) this.allocated += 1;
    const what = one.data === 0 ? 'a cluster kept for later' : 'a cluster';
    if (this.#possible(what, one.host)) this.#use('a cluster', one.host, geometry.clusterSize, times, 'data');
  }

  /** Dirty bitmaps of others: their clusters are in use. */
  async #readBitmaps(): Promise<void> {
    const { bitmaps } = this.#header;
    if (bitmaps === undefined) return;
    const { directory, directorySize, count } = bitmaps;
    if (!this.#possible('the directory of bitmaps', directory) || directory + directorySize > this.#fileSize)
      return this.#log.damage('the directory of bitmaps lies outside of the file');
    this.#use('the directory of bitmaps', directory, directorySize);
    const view = viewOf(await this.#read(directory, directorySize));
    for (let i = 0, at = 0; i < count; i++) {
      if (at + BITMAP_FIELDS > directorySize) return this.#log.damage('the directory of bitmaps ends too early');
      await this.#readBitmap(readU64(view, at), view.getUint32(at + 8));
      at += Math.ceil((BITMAP_FIELDS + view.getUint16(at + 18) + view.getUint32(at + 20)) / 8) * 8;
    }
  }

  async #readBitmap(offset: number, entries: number): Promise<void> {
    const { clusterSize } = this.#header.geometry;
    const bytes = entries * ENTRY_SIZE;
    if (!this.#possible('a bitmap', offset)) return;
    if (offset + bytes > Math.ceil(this.#fileSize / clusterSize) * clusterSize)
      return this.#log.damage(`the bitmap at ${offset} lies outside of the file`);
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
      if (seen.has(offset)) this.#log.damage(`the refcount table names the block at ${offset} twice`);
      if (!seen.has(offset) && this.#possible('a refcount block', offset))
        this.#use('a refcount block', offset, geometry.clusterSize);
      else setEntry(view, index, 0, false);
      seen.add(offset);
    }
    return table;
  }
}
