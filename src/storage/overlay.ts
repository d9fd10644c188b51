import type { BlockBackend, DiskChange, DiskOverlay, FetchFigures } from '../devices/contract.ts';
import { type RandomAccessFile, StorageFullError } from './file.ts';
import { BASE, SectorMap, WRITTEN, ZERO } from './sector-map.ts';

const SECTOR = 512;
/** Sectors of one listed change: 1 MiB. */
const LISTED_SECTORS = 2048;

export interface OverlayOptions {
  /** Called once, when the host first has no room for a write. */
  readonly onFull?: () => void;
}

/**
 * Copy-on-write over a disk that is never written: changed sectors live in a temporary file at the same offsets.
 *
 * Sectors are the unit, the smallest that a guest can write, so no write ever needs to read its surroundings first.
 * A sector counts as written only once its write has succeeded: when the host has no room, the guest gets an error
 * and the sectors of that write hold their old or their new content.
 */
export class OverlayDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly = false;
  readonly overlay: DiskOverlay;
  readonly #base: BlockBackend;
  readonly #changes: RandomAccessFile;
  readonly #map = new SectorMap();
  #onFull: (() => void) | undefined;

  /** `changes` is empty; the overlay owns both and closes them. */
  constructor(base: BlockBackend, changes: RandomAccessFile, options: OverlayOptions = {}) {
    this.#base = base;
    this.#changes = changes;
    this.size = base.size;
    this.overlay = { base, changes: () => this.#listChanges() };
    this.#onFull = options.onFull;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { state, count } = this.#map.run((offset + done) / SECTOR, (into.length - done) / SECTOR);
      const piece = into.subarray(done, done + count * SECTOR);
      if (state === BASE) await this.#base.read(offset + done, piece);
      else if (state === WRITTEN) await this.#changes.read(offset + done, piece);
      else piece.fill(0);
      done += piece.length;
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    try {
      await this.#changes.write(offset, from);
    } catch (error) {
      if (error instanceof StorageFullError) {
        this.#onFull?.();
        this.#onFull = undefined;
      }
      throw error;
    }
    this.#map.set(offset / SECTOR, from.length / SECTOR, WRITTEN);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.#map.set(offset / SECTOR, length / SECTOR, ZERO);
  }

  async *#listChanges(): AsyncGenerator<DiskChange> {
    for (const { first, count, state } of this.#map.changed()) {
      for (let done = 0; done < count; done += LISTED_SECTORS) {
        const offset = (first + done) * SECTOR;
        const length = Math.min(LISTED_SECTORS, count - done) * SECTOR;
        if (state === ZERO) yield { offset, length };
        else {
          const bytes = new Uint8Array(length);
          await this.#changes.read(offset, bytes);
          yield { offset, length, bytes };
        }
      }
    }
  }

  /** The changes do not outlive the machine, so they need not be durable. */
  async flush(): Promise<void> {}

  fetched(): FetchFigures | undefined {
    return this.#base.fetched?.();
  }

  async close(): Promise<void> {
    await this.#changes.close();
    await this.#base.close();
  }
}
