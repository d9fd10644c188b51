import type { BlockBackend } from '../../devices/contract.ts';
import { UserError } from '../../user-error.ts';
import { type SizedFile, StorageFullError } from '../file.ts';
import { Lock } from '../lock.ts';
import { repairImage } from './check.ts';
import { ClusterReader, type Extent } from './cluster-reader.ts';
import { CompressedClusters } from './compressed.ts';
import { CorruptImageError, type Descriptor, HEADER } from './format.ts';
import type { Header } from './header.ts';
import { Mapping } from './mapping.ts';
import { type ClusterRun, Refcounts } from './refcounts.ts';

export interface Qcow2Options {
  /** How messages call the image. */
  readonly name: string;
  readonly readOnly: boolean;
  /** What shows through where the image has nothing; it is never written, and closed with the image. */
  readonly backing: BlockBackend | undefined;
  /** Called once, when the host first has no room for a write. */
  readonly onFull?: (() => void) | undefined;
}

/**
 * A disk in a qcow2 image.
 *
 * Clusters that the image has for itself are read and written in place, by any number of requests at once.
 * What needs a new cluster waits for its turn, writes the content, and changes tables in memory. `commit` brings
 * them to the file in an order that leaves an image without contradictions wherever it is cut: counts, then L2 tables,
 * then L1 entries, each durable before the next; last of all, counts of clusters that were given up go down.
 */
export class Qcow2Disk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #file: SizedFile;
  readonly #header: Header;
  readonly #name: string;
  readonly #clusterSize: number;
  readonly #backing: BlockBackend | undefined;
  readonly #mapping: Mapping;
  readonly #compressed: CompressedClusters;
  readonly #reader: ClusterReader;
  /** Undefined when the image is only read. */
  readonly #refcounts: Refcounts | undefined;
  readonly #changes = new Lock();
  /** Transfers of clusters where they are: these must not be given to others meanwhile. */
  readonly #transfers = new Set<Promise<unknown>>();
  #onFull: (() => void) | undefined;
  /** Why nothing is written any more. */
  #broken: CorruptImageError | undefined;
  #autoclear: boolean;

  private constructor(
    file: SizedFile,
    header: Header,
    options: Qcow2Options,
    mapping: Mapping,
    refcounts: Refcounts | undefined,
  ) {
    this.size = header.size;
    this.readOnly = options.readOnly;
    this.#file = file;
    this.#header = header;
    this.#name = options.name;
    this.#clusterSize = header.geometry.clusterSize;
    this.#backing = options.backing;
    this.#mapping = mapping;
    this.#compressed = new CompressedClusters(file, options.name, header.geometry);
    const { backing } = options;
    this.#reader = new ClusterReader({ file, header, mapping, compressed: this.#compressed, backing });
    this.#refcounts = refcounts;
    this.#onFull = options.onFull;
    this.#autoclear = header.autoclear.some((bits) => bits !== 0);
  }

  /**
   * The image owns `file` and the backing disk from now on. An image that was not closed well (its dirty bit) is
   * repaired before it is written.
   * @throws UserError when it cannot be used this way.
   */
  static async open(file: SizedFile, header: Header, options: Qcow2Options): Promise<Qcow2Disk> {
    if (!options.readOnly && header.corrupt)
      throw new UserError(
        `${options.name}: the image is marked as corrupt and may only be read: copy what is left with \`trapeze disk convert\``,
      );
    if (!options.readOnly && header.dirty) await repairImage(file, header, options.name);
    const mapping = await Mapping.open(file, options.name, header);
    const refcounts = options.readOnly ? undefined : await Refcounts.open(file, options.name, header);
    if (refcounts !== undefined) mapping.reserve(refcounts);
    return new Qcow2Disk(file, header, options, mapping, refcounts);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const piece = into.subarray(done);
      const { length, missing } = await this.#transfer(this.#reader.readRun(offset + done, piece));
      if (missing) await this.#reader.readBacking(offset + done, piece.subarray(0, length));
      done += length;
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    this.#mayWrite();
    for (let done = 0; done < from.length; ) {
      const [at, piece] = [offset + done, from.subarray(done)];
      try {
        const inPlace = await this.#transfer(this.#writeInPlace(at, piece));
        done += inPlace > 0 ? inPlace : await this.#change((refcounts) => this.#writeNew(at, piece, refcounts));
      } catch (error) {
        throw this.#failed(error);
      }
    }
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.#mayWrite();
    const head = Math.min(length, (this.#clusterSize - (offset % this.#clusterSize)) % this.#clusterSize);
    if (head > 0) await this.#zeroPart(offset, head);
    const end = offset + length;
    // The last cluster of the disk counts as whole where the disk ends inside of it.
    const wholeEnd = end === this.size ? end : end - (end % this.#clusterSize);
    for (let at = offset + head; at < wholeEnd; )
      at += await this.#change((refcounts) => this.#zeroClusters(at, wholeEnd, refcounts));
    const tail = Math.max(wholeEnd, offset + head);
    if (end > tail) await this.#zeroPart(tail, end - tail);
  }

  async flush(): Promise<void> {
    if (this.#refcounts === undefined) return;
    await this.#changes.run(() => this.#commit());
  }

  async close(): Promise<void> {
    try {
      if (this.#refcounts !== undefined && this.#broken === undefined)
        await this.#changes.run(async () => {
          await this.#commit();
          // Counts of what the first has given up.
          await this.#commit();
        });
    } finally {
      await this.#file.close();
      await this.#backing?.close();
    }
  }

  /** What stands at `offset` and how far that goes, as far as is known without reading content. */
  extent(offset: number): Promise<Extent> {
    return this.#reader.extent(offset);
  }

  /**
   * Stores a whole cluster that is a deflate stream already, behind the one stored before it; for images made in one go.
   * Returns false when it is not worth it or cannot be: then it is to be written as it is.
   */
  writeCompressed(offset: number, stream: Uint8Array): Promise<boolean> {
    this.#mayWrite();
    return this.#change((refcounts) => this.#placeCompressed(offset, stream, refcounts));
  }

  #mayWrite(): void {
    if (this.readOnly) throw new Error('the disk is read-only');
    if (this.#broken !== undefined) throw this.#broken;
  }

  #transfer<T>(transfer: Promise<T>): Promise<T> {
    this.#transfers.add(transfer);
    const done = (): boolean => this.#transfers.delete(transfer);
    transfer.then(done, done);
    return transfer;
  }

  /** One change at a time. A host without room is reported, an image that contradicts itself is written no more. */
  #change<T>(action: (refcounts: Refcounts) => Promise<T>): Promise<T> {
    return this.#changes.run(async () => {
      this.#mayWrite();
      const refcounts = this.#refcounts!;
      try {
        if (this.#autoclear) await this.#clearFeatures();
        if (refcounts.crowded || this.#mapping.crowded) await this.#commit();
        return await action(refcounts);
      } catch (error) {
        throw this.#failed(error);
      }
    });
  }

  #failed(error: unknown): unknown {
    if (error instanceof CorruptImageError) this.#broken ??= error;
    if (error instanceof StorageFullError) {
      this.#onFull?.();
      this.#onFull = undefined;
    }
    return error;
  }

  async #commit(): Promise<void> {
    const refcounts = this.#refcounts!;
    if (this.#broken !== undefined) throw this.#broken;
    try {
      if (refcounts.changed || this.#mapping.changed) await refcounts.write();
      else await this.#file.flush();
      if (this.#mapping.changed) await this.#mapping.write();
      if (!refcounts.waiting) return;
      await Promise.allSettled([...this.#transfers]);
      await refcounts.settle();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Whoever changes an image drops what others keep in it and will not be kept true. */
  async #clearFeatures(): Promise<void> {
    await this.#file.write(HEADER.autoclear, new Uint8Array(8));
    await this.#file.flush();
    this.#autoclear = false;
  }

  /** Writes from the start of `from` what may be written where it is. Returns how much: 0 when there is no such cluster. */
  async #writeInPlace(offset: number, from: Uint8Array): Promise<number> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const start = offset % this.#clusterSize;
    const table = await this.#mapping.tableOf(cluster);
    const describe = (at: number): Descriptor => this.#mapping.descriptor(table, at);
    const one = describe(cluster);
    if (one.kind !== 'data' || !one.copied || this.#autoclear) return 0;
    const count = this.#reader.alike(one, describe, cluster, this.#reader.endOf(cluster, offset + from.length));
    this.#mustBeData(one.host, count);
    const piece = from.subarray(0, count * this.#clusterSize - start);
    await this.#file.write(one.host + start, piece);
    return piece.length;
  }

  #mustBeData(host: number, count: number): void {
    const first = host / this.#clusterSize;
    for (let cluster = first; cluster < first + count; cluster++)
      if (this.#refcounts!.isMetadata(cluster))
        throw new CorruptImageError(this.#name, `the cluster at ${host} holds data and a table`);
  }

  /** Writes the start of `from` to new clusters. Returns how much; others may have made the clusters meanwhile. */
  async #writeNew(offset: number, from: Uint8Array, refcounts: Refcounts): Promise<number> {
    const cluster = Math.floor(offset / this.#clusterSize);
    const start = offset % this.#clusterSize;
    const table = await this.#mapping.tableOf(cluster);
    const old = this.#mapping.descriptor(table, cluster);
    if (old.kind === 'data' && old.copied) return 0;
    if (start !== 0 || from.length < this.#clusterSize) {
      const content = new Uint8Array(this.#clusterSize);
      const length = Math.min(from.length, this.#clusterSize - start);
      await this.#reader.readCluster(cluster, old, content);
      content.set(from.subarray(0, length), start);
      await this.#replace(cluster, content, [old], refcounts);
      return length;
    }
    const limit = this.#reader.endOf(cluster, offset + from.length - (from.length % this.#clusterSize));
    const olds: Descriptor[] = [old];
    for (let at = cluster + 1; at < limit; at++) {
      const next = this.#mapping.descriptor(table, at);
      if ((next.kind === 'data' && next.copied) || next.kind === 'zero') break;
      olds.push(next);
    }
    return this.#replace(cluster, from.subarray(0, olds.length * this.#clusterSize), olds, refcounts);
  }

  /** Puts whole clusters of content in place of what `olds` describes. Returns the bytes for which there was a run. */
  async #replace(
    cluster: number,
    content: Uint8Array,
    olds: readonly Descriptor[],
    refcounts: Refcounts,
  ): Promise<number> {
    const [old] = olds;
    const kept = old?.kind === 'zero' && old.copied && this.#mapping.holds(old.host) ? old.host : undefined;
    const run: ClusterRun =
      kept === undefined ? await refcounts.allocate(olds.length) : { first: kept / this.#clusterSize, count: 1 };
    const host = run.first * this.#clusterSize;
    const length = run.count * this.#clusterSize;
    this.#mustBeData(host, run.count);
    let done = 0;
    try {
      await this.#file.write(host, content.subarray(0, length));
      this.#mapping.grown(host + length);
      for (; done < run.count; done++) {
        const one: Descriptor = { kind: 'data', host: host + done * this.#clusterSize, copied: true };
        await this.#mapping.set(cluster + done, one, refcounts);
        if (kept === undefined) this.#giveUp(olds[done]!, refcounts);
      }
    } catch (error) {
      if (kept === undefined) await refcounts.release({ first: run.first + done, count: run.count - done });
      throw error;
    }
    return length;
  }

  #giveUp(old: Descriptor, refcounts: Refcounts): void {
    switch (old.kind) {
      case 'unallocated':
        return;
      case 'zero':
      case 'data':
        if (old.host !== 0) refcounts.giveUp({ first: old.host / this.#clusterSize, count: 1 });
        return;
      case 'compressed': {
        const first = Math.floor(old.offset / this.#clusterSize);
        const last = Math.floor((old.offset + old.length - 1) / this.#clusterSize);
        this.#compressed.forget(old.offset);
        refcounts.giveUp({ first, count: last - first + 1 });
        return;
      }
      default:
        old satisfies never;
    }
  }

  /** Part of a cluster: nothing to do where it reads as zeros already. */
  async #zeroPart(offset: number, length: number): Promise<void> {
    const { zero, length: known } = await this.extent(offset);
    if (zero && known >= length) return;
    await this.write(offset, new Uint8Array(length));
  }

  /** Makes whole clusters from `offset` on zeros, as far as one L2 table has them. Returns how many bytes. */
  async #zeroClusters(offset: number, end: number, refcounts: Refcounts): Promise<number> {
    const first = offset / this.#clusterSize;
    const limit = this.#reader.endOf(first, end);
    const table = await this.#mapping.tableOf(first);
    if (table !== undefined || this.#backing !== undefined)
      for (let cluster = first; cluster < limit; cluster++) {
        await this.#zeroCluster(cluster, refcounts);
        // Many small clusters: what they leave behind must not pile up.
        if (refcounts.crowded || this.#mapping.crowded) await this.#commit();
      }
    return Math.min(limit * this.#clusterSize, end) - offset;
  }

  async #zeroCluster(cluster: number, refcounts: Refcounts): Promise<void> {
    const old = this.#mapping.descriptor(await this.#mapping.tableOf(cluster), cluster);
    const unallocated: Descriptor = { kind: 'unallocated' };
    if (old.kind === 'zero' || (old.kind === 'unallocated' && this.#backing === undefined)) return;
    if (this.#backing === undefined) await this.#mapping.set(cluster, unallocated, refcounts);
    else if (this.#header.geometry.version === 3)
      await this.#mapping.set(cluster, { kind: 'zero', host: 0, copied: false }, refcounts);
    else {
      // Version 2 has no other way to hide what the backing disk shows.
      const content = new Uint8Array(this.#clusterSize);
      if (old.kind === 'data' && old.copied) {
        this.#mustBeData(old.host, 1);
        await this.#file.write(old.host, content);
      } else await this.#replace(cluster, content, [old], refcounts);
      return;
    }
    this.#giveUp(old, refcounts);
  }

  async #placeCompressed(offset: number, stream: Uint8Array, refcounts: Refcounts): Promise<boolean> {
    const cluster = offset / this.#clusterSize;
    const old = this.#mapping.descriptor(await this.#mapping.tableOf(cluster), cluster);
    if (old.kind !== 'unallocated' || stream.length >= this.#clusterSize) return false;
    const place = await this.#compressed.store(stream, refcounts);
    if (place === undefined) return false;
    this.#mapping.grown(place + stream.length);
    await this.#mapping.set(cluster, { kind: 'compressed', offset: place, length: stream.length }, refcounts);
    return true;
  }
}
