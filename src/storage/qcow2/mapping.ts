import type { SizedFile } from '../file.ts';
import { CorruptImageError, ENTRY_SIZE, entryOffset, type Geometry, viewOf } from './format.ts';
import type { Header } from './header.ts';
import { checkedEntry, type Descriptor, type L2Entry, readL2Entry, subclusterOf, UNALLOCATED } from './l2-entry.ts';
import { type Table, TableCache } from './table-cache.ts';

/** Bytes of L2 tables in memory: with clusters of 64 KiB enough for 128 GiB of disk. */
const CACHE_BYTES = 16 * 2 ** 20;

/** The L1 table, and the image's end in whole clusters. */
interface LoadedTable {
  readonly l1: Uint8Array;
  readonly end: number;
}

export async function loadL1(file: SizedFile, { geometry, l1: place }: Header): Promise<LoadedTable> {
  const l1 = new Uint8Array(place.entries * ENTRY_SIZE);
  await file.read(place.offset, l1);
  const { clusterSize } = geometry;
  return { l1, end: Math.ceil((await file.size()) / clusterSize) * clusterSize };
}

/** Where guest clusters are: an L1 table, in memory, of L2 tables, the latest used in memory. */
export class Mapping {
  protected readonly file: SizedFile;
  protected readonly image: string;
  protected readonly geometry: Geometry;
  protected l1: Uint8Array;
  protected view: DataView;
  protected l1Offset: number;
  protected readonly tables: TableCache;
  /** The image's end, in whole clusters. */
  protected end: number;

  constructor(file: SizedFile, image: string, header: Header, { l1, end }: LoadedTable) {
    this.file = file;
    this.image = image;
    this.geometry = header.geometry;
    this.l1 = l1;
    this.view = viewOf(l1);
    this.l1Offset = header.l1.offset;
    this.tables = new TableCache(file, header.geometry.clusterSize, CACHE_BYTES);
    this.end = end;
  }

  /** Whether a cluster stands there in the file; at 0 there is only the header. */
  holds(host: number): boolean {
    return host > 0 && host < this.end;
  }

  /** The table for a guest cluster, or undefined where the whole of its range is unallocated. */
  async tableOf(cluster: number): Promise<Table | undefined> {
    const index = Math.floor(cluster / this.geometry.l2Entries);
    for (;;) {
      const offset = this.tableAt(index);
      if (offset === 0) return undefined;
      const table = await this.tables.load(offset);
      // It may have moved meanwhile.
      if (this.tableAt(index) === offset) return table;
    }
  }

  /** The entry of a guest cluster in its table. @throws CorruptImageError */
  entry(table: Table | undefined, cluster: number): L2Entry {
    if (table === undefined) return UNALLOCATED;
    const one = readL2Entry(table.view, cluster % this.geometry.l2Entries, this.geometry);
    return checkedEntry(one, this.geometry, this.image, this.end);
  }

  /** What the table says of a subcluster, counted from the start of the disk. @throws CorruptImageError */
  descriptor(table: Table | undefined, subcluster: number): Descriptor {
    const { subclusters } = this.geometry;
    const entry = this.entry(table, Math.floor(subcluster / subclusters));
    return subclusterOf(entry, subcluster % subclusters, this.geometry);
  }

  /** Where an L2 table is; 0: there is none. @throws CorruptImageError */
  protected tableAt(index: number): number {
    const offset = entryOffset(this.view, index);
    if (offset % this.geometry.clusterSize !== 0 || offset >= this.end)
      throw new CorruptImageError(this.image, `the L2 table at ${offset} lies outside of the file or between clusters`);
    return offset;
  }
}
