import type { BlockBackend } from '../../devices/contract.ts';
import type { SizedFile } from '../file.ts';
import type { ClusterReader } from './cluster-reader.ts';
import type { CompressedClusters } from './compressed.ts';
import { CorruptImageError, type Geometry } from './format.ts';
import type { Header } from './header.ts';
import { allSubclusters, type L2Entry, type StandardEntry, subclusterBits, UNALLOCATED } from './l2-entry.ts';
import type { Refcounts } from './refcounts.ts';
import type { WritableMapping } from './writable-mapping.ts';

export interface ClusterWriterParts {
  readonly file: SizedFile;
  readonly image: string;
  readonly header: Header;
  readonly mapping: WritableMapping;
  readonly reader: ClusterReader;
  readonly compressed: CompressedClusters;
  readonly refcounts: Refcounts;
  /** What shows through where the image has nothing. */
  readonly backing: BlockBackend | undefined;
  /** Reads the disk. */
  readonly read: (offset: number, into: Uint8Array) => Promise<void>;
  /** Writes the changes of tables to the file. */
  readonly commit: () => Promise<void>;
}

/** Writes clusters of a disk, and finds places for them. But for `writeInPlace` one caller at a time. */
export class ClusterWriter {
  readonly #file: SizedFile;
  readonly #image: string;
  readonly #geometry: Geometry;
  readonly #clusterSize: number;
  readonly #mapping: WritableMapping;
  readonly #reader: ClusterReader;
  readonly #compressed: CompressedClusters;
  readonly #refcounts: Refcounts;
  readonly #backing: BlockBackend | undefined;
  readonly #read: ClusterWriterParts['read'];
  readonly #commit: ClusterWriterParts['commit'];

  constructor(parts: ClusterWriterParts) {
    this.#file = parts.file;
    this.#image = parts.image;
    this.#geometry = parts.header.geometry;
    this.#clusterSize = parts.header.geometry.clusterSize;
    this.#mapping = parts.mapping;
    this.#reader = parts.reader;
    this.#compressed = parts.compressed;
    this.#refcounts = parts.refcounts;
    this.#backing = parts.backing;
    this.#read = parts.read;
    this.#commit = parts.commit;
  }

  /** Writes from the start of `from` what may be written where it is. Returns how much: 0 when there is no such cluster. */
  async writeInPlace(offset: number, from: Uint8Array): Promise<number> {
    const { one, length } = await this.#reader.alike(offset, offset + from.length);
    if (one.kind !== 'data' || !one.copied) return 0;
    const start = one.host + (offset % this.#geometry.subclusterSize);
    this.#mustBeData(start, length);
    await this.#file.write(start, from.subarray(0, length));
    return length;
  }

  #mustBeData(host: number, length: number): void {
    for (let cluster = Math.floor(host / this.#clusterSize); cluster * this.#clusterSize < host + length; cluster++)
      if (this.#refcounts.isMetadata(cluster))
        throw new CorruptImageError(this.#image, `the cluster at ${host} holds data and a table`);
  }

  /** Whether the image has a cluster of the file for this one alone. */
  #owns(entry: L2Entry): entry is StandardEntry {
    return entry.kind === 'standard' && entry.copied && this.#mapping.holds(entry.host);
  }

  /** Writes the start of `from` to subclusters that had no place. Returns how much; others may have made them meanwhile. */
  async writeNew(offset: number, from: Uint8Array): Promise<number> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const table = await this.#mapping.tableOf(cluster);
    const old = this.#mapping.entry(table, cluster);
    const start = offset % this.#clusterSize;
    if (start !== 0 || from.length < this.#clusterSize || this.#owns(old))
      return this.#writePart(cluster, start, from.subarray(0, this.#clusterSize - start), old);
    const olds: L2Entry[] = [old];
    const limit = Math.min(offset + from.length, this.#reader.tableEnd(offset));
    for (let at = cluster + 1; (at + 1) * this.#clusterSize <= limit; at++) {
      const next = this.#mapping.entry(table, at);
      if (this.#owns(next)) break;
      olds.push(next);
    }
    return this.#replace(cluster, from.subarray(0, olds.length * this.#clusterSize), olds);
  }

  /** Puts whole clusters of content in place of what `olds` describes. Returns the bytes for which there was a run. */
  async #replace(cluster: number, content: Uint8Array, olds: readonly L2Entry[]): Promise<number> {
    const run = await this.#refcounts.allocate(olds.length);
    const host = run.first * this.#clusterSize;
    const length = run.count * this.#clusterSize;
    let done = 0;
    try {
      await this.#writeContent(host, content.subarray(0, length));
      for (; done < run.count; done++) {
        const place = host + done * this.#clusterSize;
        await this.#setData(cluster + done, place, { data: allSubclusters(this.#geometry), zero: 0 });
        this.#giveUp(olds[done]!);
      }
    } catch (error) {
      await this.#refcounts.release({ first: run.first + done, count: run.count - done });
      throw error;
    }
    return length;
  }

  /**
   * Writes from the start of `from` to a part of a cluster that begins with a subcluster without a place: in the cluster
   * that is there for it, or in a new one, into which the subclusters move that are elsewhere. Returns how much.
   */
  async #writePart(cluster: number, start: number, from: Uint8Array, old: L2Entry): Promise<number> {
    const { subclusterSize } = this.#geometry;
    const owned = this.#owns(old);
    const first = Math.floor(start / subclusterSize);
    let end = Math.ceil((start + from.length) / subclusterSize);
    // What has its place is written there, by any number of requests at once.
    if (owned) end = firstSet(old.data, first, end);
    if (end === first) return 0;
    const written = subclusterBits(first, end);
    const kept = old.kind === 'compressed' ? allSubclusters(this.#geometry) : old.data;
    const moved = owned ? written : (written | kept) >>> 0;
    const [low, high] = [31 - Math.clz32(moved & -moved), 32 - Math.clz32(moved)];
    const content = new Uint8Array((high - low) * subclusterSize);
    const place = start - low * subclusterSize;
    const length = Math.min(from.length, end * subclusterSize - start);
    if (length < content.length) await this.#read(cluster * this.#clusterSize + low * subclusterSize, content);
    content.set(from.subarray(0, length), place);
    const zero = old.kind === 'compressed' ? 0 : (old.zero & ~written) >>> 0;
    const bits = { data: (written | kept) >>> 0, zero };
    const host = owned ? old.host : (await this.#refcounts.allocate(1)).first * this.#clusterSize;
    try {
      await this.#writeContent(host + low * subclusterSize, content);
      await this.#setData(cluster, host, bits);
    } catch (error) {
      if (!owned) await this.#refcounts.release({ first: host / this.#clusterSize, count: 1 });
      throw error;
    }
    if (!owned) this.#giveUp(old);
    return length;
  }

  async #writeContent(host: number, content: Uint8Array): Promise<void> {
    this.#mustBeData(host, content.length);
    await this.#file.write(host, content);
    this.#mapping.grown(host + content.length);
  }

  #setData(cluster: number, host: number, bits: Pick<StandardEntry, 'data' | 'zero'>): Promise<void> {
    return this.#mapping.set(cluster, { kind: 'standard', host, copied: true, ...bits }, this.#refcounts);
  }

  #giveUp(old: L2Entry): void {
    switch (old.kind) {
      case 'standard':
        if (old.host !== 0) this.#refcounts.giveUp({ first: old.host / this.#clusterSize, count: 1 });
        return;
      case 'compressed': {
        const first = Math.floor(old.offset / this.#clusterSize);
        const last = Math.floor((old.offset + old.length - 1) / this.#clusterSize);
        this.#compressed.forget(old.offset);
        this.#refcounts.giveUp({ first, count: last - first + 1 });
        return;
      }
      default:
        old satisfies never;
    }
  }

  /** Makes whole subclusters from `offset` on zeros, as far as one L2 table has them. Returns how many bytes. */
  async zeroClusters(offset: number, end: number): Promise<number> {
    const stop = Math.min(end, this.#reader.tableEnd(offset));
    const table = await this.#mapping.tableOf(Math.floor(offset / this.#clusterSize));
    if (table !== undefined || this.#backing !== undefined)
      for (let at = offset; at < stop; ) {
        const next = (Math.floor(at / this.#clusterSize) + 1) * this.#clusterSize;
        await this.#zeroCluster(at, Math.min(next, stop));
        // Many small clusters: what they leave behind must not pile up.
        if (this.#refcounts.crowded || this.#mapping.crowded) await this.#commit();
        at = next;
      }
    return stop - offset;
  }

  /** Makes the subclusters from `offset` to before `end`, of one cluster, zeros. */
  async #zeroCluster(offset: number, end: number): Promise<void> {
    const { subclusterSize, version } = this.#geometry;
    const cluster = Math.floor(offset / this.#clusterSize);
    const old = this.#mapping.entry(await this.#mapping.tableOf(cluster), cluster);
    const start = offset % this.#clusterSize;
    const bits = subclusterBits(start / subclusterSize, start / subclusterSize + (end - offset) / subclusterSize);
    if (this.#readsAsZeros(old, bits)) return;
    const whole = bits === allSubclusters(this.#geometry);
    const hidden = this.#backing !== undefined;
    if (old.kind === 'compressed' && !whole) await this.#writePart(cluster, start, new Uint8Array(end - offset), old);
    else if (whole && hidden && version === 2) await this.#writeZeros(cluster, old);
    else {
      const others = whole || old.kind === 'compressed' ? UNALLOCATED : old;
      const data = (others.data & ~bits) >>> 0;
      const zero = whole && !hidden ? 0 : (others.zero | bits) >>> 0;
      // Where nothing is left of it the cluster in the file is given up.
      const one: L2Entry = data === 0 ? { ...UNALLOCATED, zero } : { ...others, data, zero };
      await this.#mapping.set(cluster, one, this.#refcounts);
      if (data === 0) this.#giveUp(old);
    }
  }

  /** Gives up what is in whole clusters from `offset` on, as far as one L2 table has them. Returns how many bytes. */
  async discardClusters(offset: number, end: number): Promise<number> {
    const stop = Math.min(end, this.#reader.tableEnd(offset));
    for (let cluster = offset / this.#clusterSize; cluster * this.#clusterSize < stop; cluster++) {
      const table = await this.#mapping.tableOf(cluster);
      if (table === undefined) break;
      const old = this.#mapping.entry(table, cluster);
      if (old.kind === 'standard' && old.host === 0 && old.zero === 0) continue;
      await this.#mapping.set(cluster, UNALLOCATED, this.#refcounts);
      this.#giveUp(old);
      if (this.#refcounts.crowded || this.#mapping.crowded) await this.#commit();
    }
    return stop - offset;
  }

  /** Version 2 has no other way to hide what the backing disk shows. */
  async #writeZeros(cluster: number, old: L2Entry): Promise<void> {
    const content = new Uint8Array(this.#clusterSize);
    if (this.#owns(old)) await this.#writeContent(old.host, content);
    else await this.#replace(cluster, content, [old]);
  }

  /** Whether the tables say so of these subclusters. */
  #readsAsZeros(entry: L2Entry, bits: number): boolean {
    if (entry.kind === 'compressed') return false;
    return (bits & (this.#backing === undefined ? entry.data : ~entry.zero)) === 0;
  }

  /** Stores a whole cluster that is compressed; false when it is not worth it or cannot be. */
  async placeCompressed(offset: number, stream: Uint8Array): Promise<boolean> {
    const cluster = offset / this.#clusterSize;
    const old = this.#mapping.entry(await this.#mapping.tableOf(cluster), cluster);
    const empty = old.kind === 'standard' && old.host === 0 && old.zero === 0;
    if (!empty || stream.length >= this.#clusterSize) return false;
    const place = await this.#compressed.store(stream, this.#refcounts);
    if (place === undefined) return false;
    this.#mapping.grown(place + stream.length);
    await this.#mapping.set(cluster, { kind: 'compressed', offset: place, length: stream.length }, this.#refcounts);
    return true;
  }
}

/** The first of the bits from `from` to before `end` that is set, or `end`. */
function firstSet(bits: number, from: number, end: number): number {
  let at = from;
  while (at < end && ((bits >>> at) & 1) === 0) at += 1;
  return at;
}
