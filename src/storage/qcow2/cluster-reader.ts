import type { BlockBackend } from '../../devices/contract.ts';
import type { SizedFile } from '../file.ts';
import type { CompressedClusters } from './compressed.ts';
import type { Descriptor } from './format.ts';
import type { Header } from './header.ts';
import type { Mapping } from './mapping.ts';

/** What a stretch of a disk is: nothing but zeros as its tables say, or content. */
export interface Extent {
  readonly zero: boolean;
  readonly length: number;
}

export interface ClusterParts {
  readonly file: SizedFile;
  readonly header: Header;
  readonly mapping: Mapping;
  readonly compressed: CompressedClusters;
  /** What shows through where the image has nothing. */
  readonly backing: BlockBackend | undefined;
}

/** Reads the clusters of a disk, wherever they are. */
export class ClusterReader {
  readonly #file: SizedFile;
  readonly #size: number;
  readonly #geometry: Header['geometry'];
  readonly #clusterSize: number;
  readonly #mapping: Mapping;
  readonly #compressed: CompressedClusters;
  readonly #backing: BlockBackend | undefined;

  constructor({ file, header, mapping, compressed, backing }: ClusterParts) {
    this.#file = file;
    this.#size = header.size;
    this.#geometry = header.geometry;
    this.#clusterSize = header.geometry.clusterSize;
    this.#mapping = mapping;
    this.#compressed = compressed;
    this.#backing = backing;
  }

  /** What stands at `offset` and how far that goes, as far as is known without reading content. */
  async extent(offset: number): Promise<Extent> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const { tableEntries } = this.#geometry;
    const table = await this.#mapping.tableOf(cluster);
    const zero = (at: number): boolean => {
      const { kind } = this.#mapping.descriptor(table, at);
      return kind === 'zero' || (kind === 'unallocated' && this.#backing === undefined);
    };
    const limit = (Math.floor(cluster / tableEntries) + 1) * tableEntries;
    let end = cluster + 1;
    if (table === undefined) end = limit;
    else while (end < limit && zero(end) === zero(cluster)) end += 1;
    return { zero: zero(cluster), length: Math.min(end * this.#clusterSize, this.#size) - offset };
  }

  /** How many of the clusters from `first` to before `end` are like the first: neighbours in the file, or of one kind. */
  alike(first: Descriptor, describe: (at: number) => Descriptor, cluster: number, end: number): number {
    if (first.kind === 'compressed') return 1;
    for (let count = 1; ; count++) {
      if (cluster + count >= end) return count;
      const next = describe(cluster + count);
      if (next.kind !== first.kind) return count;
      if (next.kind === 'data' && first.kind === 'data') {
        if (next.host !== first.host + count * this.#clusterSize || next.copied !== first.copied) return count;
      }
    }
  }

  /** Reads from the start of `into` what is alike, at least a byte; `missing`: it is the backing disk's to say. */
  async readRun(offset: number, into: Uint8Array): Promise<{ readonly length: number; readonly missing: boolean }> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const start = offset % this.#clusterSize;
    const table = await this.#mapping.tableOf(cluster);
    const describe = (at: number): Descriptor => this.#mapping.descriptor(table, at);
    const one = describe(cluster);
    const count = this.alike(one, describe, cluster, this.endOf(cluster, offset + into.length));
    const piece = into.subarray(0, count * this.#clusterSize - start);
    const missing = one.kind === 'unallocated';
    if (one.kind === 'zero') piece.fill(0);
    else if (one.kind === 'data') await this.#file.read(one.host + start, piece);
    else if (one.kind === 'compressed')
      piece.set((await this.#compressed.read(one)).subarray(start, start + piece.length));
    return { length: piece.length, missing };
  }

  /** Clusters up to `end`, as far as the same L2 table has them. */
  endOf(cluster: number, end: number): number {
    const { tableEntries } = this.#geometry;
    return Math.min(Math.ceil(end / this.#clusterSize), (Math.floor(cluster / tableEntries) + 1) * tableEntries);
  }

  /** What the backing disk shows; zeros behind its end. */
  async readBacking(offset: number, into: Uint8Array): Promise<void> {
    const known = Math.max(0, Math.min(into.length, (this.#backing?.size ?? 0) - offset));
    if (known > 0) await this.#backing!.read(offset, into.subarray(0, known));
    into.fill(0, known);
  }

  /** The content of a whole cluster. */
  async readCluster(cluster: number, one: Descriptor, into: Uint8Array): Promise<void> {
    if (one.kind === 'data') await this.#file.read(one.host, into);
    else if (one.kind === 'compressed') into.set(await this.#compressed.read(one));
    else if (one.kind === 'unallocated') await this.readBacking(cluster * this.#clusterSize, into);
  }
}
