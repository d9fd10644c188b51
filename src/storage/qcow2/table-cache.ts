import type { RandomAccessFile } from '../file.ts';
import { ENTRY_SIZE, SECTOR, viewOf } from './format.ts';

/** A cluster of entries, in memory. */
export interface Table {
  /** Where it stands in the image. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** The least number of tables that a cache keeps, whatever their size. */
const LEAST_TABLES = 8;

/**
 * Tables of one cluster each, the latest used of them in memory. Changed ones stay until they are written.
 *
 * Who changes a table says so in the same turn in which it got it, so that there is never a second changed copy.
 */
export class TableCache {
  readonly #file: RandomAccessFile;
  readonly #clusterSize: number;
  readonly #most: number;
  /** Least recently used first. */
  readonly #tables = new Map<number, Table>();
  readonly #loading = new Map<number, Promise<Table>>();
  readonly #changed = new Set<Table>();

  /** `budget`: bytes of tables to keep in memory. */
  constructor(file: RandomAccessFile, clusterSize: number, budget: number) {
    this.#file = file;
    this.#clusterSize = clusterSize;
    this.#most = Math.max(LEAST_TABLES, Math.floor(budget / clusterSize));
  }

  /** Whether so much was changed that it should be written soon. */
  get crowded(): boolean {
    return this.#changed.size >= this.#most / 2;
  }

  /** Tables changed since they were written. */
  get changed(): ReadonlySet<Table> {
    return this.#changed;
  }

  load(offset: number): Promise<Table> {
    const known = this.#tables.get(offset);
    if (known !== undefined) {
      this.#tables.delete(offset);
      this.#tables.set(offset, known);
      return Promise.resolve(known);
    }
    let loading = this.#loading.get(offset);
    if (loading === undefined) {
      loading = this.#read(offset).finally(() => this.#loading.delete(offset));
      this.#loading.set(offset, loading);
    }
    return loading;
  }

  /** A table that is not in the file yet. */
  create(offset: number, bytes: Uint8Array): Table {
    const table = { offset, bytes, view: viewOf(bytes) };
    this.touch(table);
    return table;
  }

  /** Says that the table was changed. */
  touch(table: Table): void {
    this.#tables.set(table.offset, table);
    this.#changed.add(table);
  }

  /** Forgets a table whose cluster is given up. */
  drop(offset: number): void {
    const table = this.#tables.get(offset);
    if (table === undefined) return;
    this.#tables.delete(offset);
    this.#changed.delete(table);
  }

  /** Writes what was changed. What cannot be written stays changed. */
  async write(): Promise<void> {
    for (const table of [...this.#changed].sort((a, b) => a.offset - b.offset)) {
      await this.#file.write(table.offset, table.bytes);
      this.#changed.delete(table);
    }
    this.#shrink();
  }

  async #read(offset: number): Promise<Table> {
    const bytes = new Uint8Array(this.#clusterSize);
    await this.#file.read(offset, bytes);
    const known = this.#tables.get(offset);
    if (known !== undefined) return known;
    const table = { offset, bytes, view: viewOf(bytes) };
    this.#tables.set(offset, table);
    this.#shrink();
    return table;
  }

  #shrink(): void {
    for (const [offset, table] of this.#tables) {
      if (this.#tables.size <= this.#most) return;
      if (!this.#changed.has(table)) this.#tables.delete(offset);
    }
  }
}

/** Writes the sectors of a table in memory in which changed entries stand. */
export async function writeEntries(
  file: RandomAccessFile,
  offset: number,
  table: Uint8Array,
  changed: ReadonlySet<number>,
): Promise<void> {
  for (const sector of new Set([...changed].map((index) => Math.floor((index * ENTRY_SIZE) / SECTOR))))
    await file.write(offset + sector * SECTOR, table.subarray(sector * SECTOR, (sector + 1) * SECTOR));
}
