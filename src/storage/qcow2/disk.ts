import type { BlockBackend } from '../../devices/contract.ts';
import { UserError } from '../../user-error.ts';
import { type SizedFile, StorageFullError } from '../file.ts';
import { Lock } from '../lock.ts';
import { repairImage } from './check.ts';
import { ClusterReader, type Extent } from './cluster-reader.ts';
import { ClusterWriter } from './cluster-writer.ts';
import { CompressedClusters } from './compressed.ts';
import { l1EntriesFor } from './create.ts';
import { CorruptImageError, type Geometry, HEADER, viewOf, writeU64 } from './format.ts';
import type { Header } from './header.ts';
import { loadL1, Mapping } from './mapping.ts';
import { Refcounts } from './refcounts.ts';
import { WritableMapping } from './writable-mapping.ts';

export interface Qcow2Options {
  /** How messages call the image. */
  readonly name: string;
  readonly readOnly: boolean;
  /** What shows through where the image has nothing; it is never written, and closed with the image. */
  readonly backing: BlockBackend | undefined;
  /** Called once, when the host first has no room for a write. */
  readonly onFull?: (() => void) | undefined;
}

/** What changes when an image is written. */
interface ChangingTables {
  readonly mapping: WritableMapping;
  readonly refcounts: Refcounts;
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
  readonly readOnly: boolean;
  readonly #file: SizedFile;
  readonly #geometry: Geometry;
  readonly #backing: BlockBackend | undefined;
  readonly #reader: ClusterReader;
  /** Undefined when the image is only read, as is what writes. */
  readonly #tables: ChangingTables | undefined;
  readonly #writer: ClusterWriter | undefined;
  readonly #changes = new Lock();
  /** Transfers of clusters where they are: these must not be given to others meanwhile. */
  readonly #transfers = new Set<Promise<unknown>>();
  #size: number;
  #onFull: (() => void) | undefined;
  /** Why nothing is written any more. */
  #broken: CorruptImageError | undefined;
  #autoclear: boolean;

  private constructor(
    file: SizedFile,
    header: Header,
    options: Qcow2Options,
    mapping: Mapping,
    tables: ChangingTables | undefined,
  ) {
    this.#size = header.size;
    this.readOnly = options.readOnly;
    this.#file = file;
    this.#geometry = header.geometry;
    this.#backing = options.backing;
    const { name: image, backing } = options;
    const compressed = new CompressedClusters(file, image, header);
    const parts = { file, image, header, mapping, compressed, backing };
    this.#reader = new ClusterReader(parts);
    this.#tables = tables;
    this.#writer =
      tables &&
      new ClusterWriter({
        ...parts,
        ...tables,
        reader: this.#reader,
        read: (offset, into) => this.read(offset, into),
        commit: () => this.#commit(),
      });
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
    const l1 = await loadL1(file, header);
    if (options.readOnly)
      return new Qcow2Disk(file, header, options, new Mapping(file, options.name, header, l1), undefined);
    const mapping = new WritableMapping(file, options.name, header, l1);
    const refcounts = await Refcounts.open(file, options.name, header);
    mapping.reserve(refcounts);
    return new Qcow2Disk(file, header, options, mapping, { mapping, refcounts });
  }

  get size(): number {
    return this.#size;
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
        const inPlace = this.#autoclear ? 0 : await this.#transfer(this.#writer!.writeInPlace(at, piece));
        done += inPlace > 0 ? inPlace : await this.#change((writer) => writer.writeNew(at, piece));
      } catch (error) {
        throw this.#failed(error);
      }
    }
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.#mayWrite();
    const { subclusterSize } = this.#geometry;
    const head = Math.min(length, (subclusterSize - (offset % subclusterSize)) % subclusterSize);
    if (head > 0) await this.#zeroPart(offset, head);
    const end = offset + length;
    // The last cluster of the disk counts as whole where the disk ends inside of it.
    const wholeEnd = end === this.size ? this.#clusterEnd(end) : end - (end % subclusterSize);
    for (let at = offset + head; at < wholeEnd; )
      at += await this.#change((writer) => writer.zeroClusters(at, wholeEnd));
    const tail = Math.max(wholeEnd, offset + head);
    if (end > tail) await this.#zeroPart(tail, end - tail);
  }

  async flush(): Promise<void> {
    if (this.#tables === undefined) return;
    await this.#changes.run(() => this.#commit());
  }

  async close(): Promise<void> {
    try {
      if (this.#tables !== undefined && this.#broken === undefined)
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
  async extent(offset: number): Promise<Extent> {
    const { zero, length } = await this.#reader.extent(offset);
    return { zero, length: Math.min(length, this.size - offset) };
  }

  /**
   * Makes the disk larger, by zeros, or smaller. Returns the end of what the image uses of its file now. Wherever the
   * power goes it is as large as before, or as asked for.
   */
  async resize(size: number): Promise<number> {
    const before = this.#size;
    const entries = l1EntriesFor(size, this.#geometry);
    const { mapping, refcounts } = this.#tables!;
    if (size > before) {
      await this.#change(() => mapping.grow(entries, refcounts));
      this.#size = size;
      // What the last cluster has behind the old end, and what the backing disk would show there.
      const stop = Math.min(size, Math.max(this.#clusterEnd(before), this.#backing?.size ?? 0));
      if (stop > before) await this.writeZeroes(before, stop - before);
    } else {
      const kept = this.#clusterEnd(size);
      if (kept > size) await this.writeZeroes(size, Math.min(kept, before) - size);
      for (let at = kept; at < before; )
        at += await this.#change((writer) => writer.discardClusters(at, this.#clusterEnd(before)));
      await this.#change(async () => mapping.shrink(entries, refcounts));
      this.#size = size;
    }
    await this.flush();
    await this.#writeSize();
    // Counts of what the first has given up.
    await this.flush();
    return (await refcounts.end()) * this.#geometry.clusterSize;
  }

  /**
   * Stores a whole cluster that is compressed already, as the image has them, behind the one stored before it; for images
   * made in one go. Returns false when it is not worth it or cannot be: then it is to be written as it is.
   */
  writeCompressed(offset: number, stream: Uint8Array): Promise<boolean> {
    this.#mayWrite();
    return this.#change((writer) => writer.placeCompressed(offset, stream));
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
  #change<T>(action: (writer: ClusterWriter) => Promise<T>): Promise<T> {
    return this.#changes.run(async () => {
      this.#mayWrite();
      const { mapping, refcounts } = this.#tables!;
      try {
        if (this.#autoclear) await this.#clearFeatures();
        if (refcounts.crowded || mapping.crowded) await this.#commit();
        return await action(this.#writer!);
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
    const { mapping, refcounts } = this.#tables!;
    if (this.#broken !== undefined) throw this.#broken;
    try {
      if (refcounts.changed || mapping.changed) await refcounts.write();
      else await this.#file.flush();
      if (mapping.changed) await mapping.write();
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

  async #writeSize(): Promise<void> {
    const field = new Uint8Array(8);
    writeU64(viewOf(field), 0, this.#size);
    await this.#file.write(HEADER.size, field);
    await this.#file.flush();
  }

  #clusterEnd(offset: number): number {
    const { clusterSize } = this.#geometry;
    return Math.ceil(offset / clusterSize) * clusterSize;
  }

  /** Part of a subcluster: nothing to do where it reads as zeros already. */
  async #zeroPart(offset: number, length: number): Promise<void> {
    const { zero, length: known } = await this.extent(offset);
    if (zero && known >= length) return;
    await this.write(offset, new Uint8Array(length));
  }
}
