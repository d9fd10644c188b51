import type { BlockBackend } from '../../devices/contract.ts';
import type { SizedFile } from '../file.ts';
import type { CompressedClusters } from './compressed.ts';
import type { Header } from './header.ts';
import type { Descriptor } from './l2-entry.ts';
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
  readonly #geometry: Header['geometry'];
  readonly #subclusterSize: number;
  readonly #mapping: Mapping;
  readonly #compressed: CompressedClusters;
  readonly #backing: BlockBackend | undefined;

  constructor({ file, header, mapping, compressed, backing }: ClusterParts) {
    this.#file = file;
    this.#geometry = header.geometry;
    this.#subclusterSize = header.geometry.subclusterSize;
    this.#mapping = mapping;
    this.#compressed = compressed;
    this.#backing = backing;
  }

  /** What stands at `offset` and how far that goes, as far as is known without reading content; not regarding the end of the disk. */
  async extent(offset: number): Promise<Extent> {
    const first = Math.floor(offset / this.#subclusterSize);
    const table = await this.#mapping.tableOf(Math.floor(offset / this.#geometry.clusterSize));
    const zero = (at: number): boolean => {
      const { kind } = this.#mapping.descriptor(table, at);
      return kind === 'zero' || (kind === 'unallocated' && this.#backing === undefined);
    };
    const limit = this.tableEnd(offset) / this.#subclusterSize;
    let end = first + 1;
    if (table === undefined) end = limit;
    else while (end < limit && zero(end) === zero(first)) end += 1;
    return { zero: zero(first), length: end * this.#subclusterSize - offset };
  }

  /**
   * What the subcluster at `offset` is, and how many bytes from there to before `end` are like it: neighbours in the
   * file, or of one kind.
   */
  async alike(offset: number, end: number): Promise<{ readonly one: Descriptor; readonly length: number }> {
    const first = Math.floor(offset / this.#subclusterSize);
    const table = await this.#mapping.tableOf(Math.floor(offset / this.#geometry.clusterSize));
    const one = this.#mapping.descriptor(table, first);
    const stop = Math.min(end, this.tableEnd(offset));
    let at = first + 1;
    while (
      at * this.#subclusterSize < stop &&
      follows(one, this.#mapping.descriptor(table, at), (at - first) * this.#subclusterSize)
    )
      at += 1;
    return { one, length: Math.min(stop, at * this.#subclusterSize) - offset };
  }

  /** Reads from the start of `into` what is alike, at least a byte; `missing`: it is the backing disk's to say. */
  async readRun(offset: number, into: Uint8Array): Promise<{ readonly length: number; readonly missing: boolean }> {
    const { one, length } = await this.alike(offset, offset + into.length);
    const start = offset % this.#subclusterSize;
    const piece = into.subarray(0, length);
    if (one.kind === 'zero') piece.fill(0);
    else if (one.kind === 'data') await this.#file.read(one.host + start, piece);
    else if (one.kind === 'compressed') {
      const from = one.start + start;
      piece.set((await this.#compressed.read(one)).subarray(from, from + length));
    }
    return { length, missing: one.kind === 'unallocated' };
  }

  /** The end of what the L2 table for `offset` has, which is a multiple of the cluster size. */
  tableEnd(offset: number): number {
    const bytes = this.#geometry.clusterSize * this.#geometry.l2Entries;
    return (Math.floor(offset / bytes) + 1) * bytes;
  }

  /** What the backing disk shows; zeros behind its end. */
  async readBacking(offset: number, into: Uint8Array): Promise<void> {
    const known = Math.max(0, Math.min(into.length, (this.#backing?.size ?? 0) - offset));
    if (known > 0) await this.#backing!.read(offset, into.subarray(0, known));
    into.fill(0, known);
  }
}

/** Whether `next` goes on where `one` ends: `distance` is that between their starts. */
function follows(one: Descriptor, next: Descriptor, distance: number): boolean {
  switch (one.kind) {
    case 'unallocated':
    case 'zero':
      return next.kind === one.kind;
    case 'data':
      return next.kind === 'data' && next.host === one.host + distance && next.copied === one.copied;
    case 'compressed':
      return next.kind === 'compressed' && next.offset === one.offset && next.start === one.start + distance;
    default:
      return one satisfies never;
  }
}
