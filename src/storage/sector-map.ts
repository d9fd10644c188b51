/** Where the current content of a sector is. */
export const BASE = 0;
export const WRITTEN = 1;
export const ZERO = 2;
export type SectorState = typeof BASE | typeof WRITTEN | typeof ZERO;

/** Sectors that share one allocation: 32 MiB of disk in 64 KiB of memory. */
const CHUNK = 65_536;

/** The state of every sector of a disk; memory only where something was written. */
export class SectorMap {
  readonly #chunks = new Map<number, Uint8Array>();

  set(first: number, count: number, state: Exclude<SectorState, typeof BASE>): void {
    for (let sector = first, end = first + count; sector < end; ) {
      const start = sector % CHUNK;
      const length = Math.min(CHUNK - start, end - sector);
      this.#chunk(Math.floor(sector / CHUNK)).fill(state, start, start + length);
      sector += length;
    }
  }

  /** The state of sector `first` and how many sectors from there, at most `count`, share it (fewer at a chunk's end). */
  run(first: number, count: number): { readonly state: SectorState; readonly count: number } {
    const start = first % CHUNK;
    const limit = Math.min(CHUNK, start + count);
    const chunk = this.#chunks.get(Math.floor(first / CHUNK));
    if (chunk === undefined) return { state: BASE, count: limit - start };
    const state = chunk[start] as SectorState;
    let end = start + 1;
    while (end < limit && chunk[end] === state) end++;
    return { state, count: end - start };
  }

  /** Every run of sectors that are not the base's, in the order of the disk within each chunk. */
  *changed(): Generator<{ readonly first: number; readonly count: number; readonly state: SectorState }> {
    for (const index of this.#chunks.keys()) {
      for (let first = index * CHUNK; first < (index + 1) * CHUNK; ) {
        const { state, count } = this.run(first, CHUNK);
        if (state !== BASE) yield { first, count, state };
        first += count;
      }
    }
  }

  #chunk(index: number): Uint8Array {
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK)));
    return chunk;
  }
}
