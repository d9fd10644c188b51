/** How often each cluster of an image is referred to, and as what. Memory only for what is referred to. */
const CHUNK = 1024;

/** What a cluster holds. */
export type Role = 'table' | 'data';

const ROLE_BIT: Readonly<Record<Role, number>> = { table: 1, data: 2 };

interface Chunk {
  readonly counts: Uint32Array;
  readonly roles: Uint8Array;
}

export class References {
  readonly #chunks = new Map<number, Chunk>();
  /** The number behind the last cluster that is referred to. */
  end = 0;

  count(cluster: number): number {
    return this.#chunks.get(Math.floor(cluster / CHUNK))?.counts[cluster % CHUNK] ?? 0;
  }

  /** Adds references. False when the cluster holds something else already, or a table twice. */
  add(cluster: number, times: number, role: Role): boolean {
    const index = Math.floor(cluster / CHUNK);
    let chunk = this.#chunks.get(index);
    if (chunk === undefined)
      this.#chunks.set(index, (chunk = { counts: new Uint32Array(CHUNK), roles: new Uint8Array(CHUNK) }));
    const at = cluster % CHUNK;
    const before = chunk.roles[at]!;
    chunk.counts[at]! += times;
    chunk.roles[at]! |= ROLE_BIT[role];
    this.end = Math.max(this.end, cluster + 1);
    return before === 0 || (role === 'data' && before === ROLE_BIT.data);
  }

  /** The numbers of the groups of `size` clusters of which some may be referred to, in order. */
  groups(size: number): readonly number[] {
    const groups = new Set<number>();
    for (const index of this.#chunks.keys())
      for (let group = Math.floor((index * CHUNK) / size); group * size < (index + 1) * CHUNK; group++)
        groups.add(group);
    return [...groups].sort((a, b) => a - b);
  }

  /** Whether anything in the range of clusters is referred to. */
  anyIn(first: number, count: number): boolean {
    const end = Math.min(first + count, this.end);
    for (let cluster = first; cluster < end; ) {
      const chunk = this.#chunks.get(Math.floor(cluster / CHUNK));
      const next = Math.min(end, (Math.floor(cluster / CHUNK) + 1) * CHUNK);
      if (chunk?.counts.subarray(cluster % CHUNK, ((next - 1) % CHUNK) + 1).some((one) => one > 0)) return true;
      cluster = next;
    }
    return false;
  }
}
