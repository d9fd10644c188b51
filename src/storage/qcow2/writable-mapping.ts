import { CorruptImageError, ENTRY_SIZE, entryCopied, HEADER, setEntry, viewOf, writeU64 } from './format.ts';
import { type L2Entry, writeL2Entry } from './l2-entry.ts';
import { Mapping } from './mapping.ts';
import type { Refcounts } from './refcounts.ts';
import { type Table, writeEntries } from './table-cache.ts';

/** A mapping that changes, in memory until it is written. */
export class WritableMapping extends Mapping {
  /** The L1 table stands at a new place, which the header does not name yet. */
  #moved = false;
  readonly #changedEntries = new Set<number>();

  /** Tells the refcounts where the tables are. @throws CorruptImageError when two entries share one. */
  reserve(refcounts: Refcounts): void {
    const { clusterSize } = this.geometry;
    refcounts.reserve(this.l1Offset, this.l1.length);
    for (let index = 0; index < this.l1.length / ENTRY_SIZE; index++) {
      const offset = this.tableAt(index);
      if (offset === 0) continue;
      if (refcounts.isMetadata(offset / clusterSize))
        throw new CorruptImageError(this.image, `the L2 table at ${offset} is another table too`);
      refcounts.reserve(offset, clusterSize);
    }
  }

  get changed(): boolean {
    return this.tables.changed.size > 0 || this.#changedEntries.size > 0 || this.#moved;
  }

  /** Whether so much was changed that it should be written soon. */
  get crowded(): boolean {
    return this.tables.crowded;
  }

  /** Says that the file is in use up to there. */
  grown(end: number): void {
    const { clusterSize } = this.geometry;
    this.end = Math.max(this.end, Math.ceil(end / clusterSize) * clusterSize);
  }

  /** Sets a guest cluster's entry; its table is made or copied where needed. */
  async set(cluster: number, one: L2Entry, refcounts: Refcounts): Promise<void> {
    const table = await this.#writable(Math.floor(cluster / this.geometry.l2Entries), refcounts);
    writeL2Entry(table.view, cluster % this.geometry.l2Entries, one, this.geometry);
    this.tables.touch(table);
  }

  /** Makes the L1 table as large as so many entries want it, at another place. */
  async grow(entries: number, refcounts: Refcounts): Promise<void> {
    const { clusterSize } = this.geometry;
    const [old, oldOffset] = [this.l1, this.l1Offset];
    if (entries * ENTRY_SIZE <= old.length) return;
    const place = await refcounts.allocateTables(Math.ceil((entries * ENTRY_SIZE) / clusterSize));
    this.l1 = new Uint8Array(entries * ENTRY_SIZE);
    this.l1.set(old);
    this.view = viewOf(this.l1);
    this.l1Offset = place;
    this.#moved = true;
    this.grown(place + this.l1.length);
    for (let at = 0; at < old.length; at += clusterSize) refcounts.giveUpTable(oldOffset + at);
  }

  /** Gives up the L2 tables behind so many, to which nothing is left. */
  shrink(entries: number, refcounts: Refcounts): void {
    for (let index = entries; index < this.l1.length / ENTRY_SIZE; index++) {
      const offset = this.tableAt(index);
      if (offset === 0) continue;
      setEntry(this.view, index, 0, false);
      this.#changedEntries.add(index);
      this.tables.drop(offset);
      refcounts.giveUpTable(offset);
    }
  }

  /** Writes changed L2 tables and makes them durable; then the entries that point to them. */
  async write(): Promise<void> {
    await this.tables.write();
    await this.file.flush();
    if (this.#moved) {
      await this.file.write(this.l1Offset, this.l1);
      await this.file.flush();
      await this.#nameTable();
    } else if (this.#changedEntries.size > 0)
      await writeEntries(this.file, this.l1Offset, this.l1, this.#changedEntries);
    else return;
    await this.file.flush();
    this.#changedEntries.clear();
  }

  /** Both fields stand in one sector: the header names the old table or the new one. */
  async #nameTable(): Promise<void> {
    const fields = new Uint8Array(12);
    viewOf(fields).setUint32(0, this.l1.length / ENTRY_SIZE);
    writeU64(viewOf(fields), 4, this.l1Offset);
    await this.file.write(HEADER.l1, fields);
    this.#moved = false;
  }

  async #writable(index: number, refcounts: Refcounts): Promise<Table> {
    const offset = this.tableAt(index);
    const { clusterSize } = this.geometry;
    if (offset !== 0 && entryCopied(this.view, index)) return this.tables.load(offset);
    const bytes = offset === 0 ? new Uint8Array(clusterSize) : (await this.tables.load(offset)).bytes.slice();
    const place = await refcounts.allocateTable();
    this.grown(place + clusterSize);
    const table = this.tables.create(place, bytes);
    setEntry(this.view, index, place, true);
    this.#changedEntries.add(index);
    if (offset !== 0) {
      this.tables.drop(offset);
      refcounts.giveUpTable(offset);
    }
    return table;
  }
}
