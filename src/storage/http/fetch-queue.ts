/** Blocks to be fetched: neighbours go together, those that somebody waits for go first. */

/** Fetches `count` blocks from `first` on and hands each over, as it comes, to `deliver`; rejects when one does not come. */
export type FetchRun = (
  first: number,
  count: number,
  deliver: (index: number, block: Promise<Uint8Array>) => void,
) => Promise<void>;

interface Wanted {
  readonly promise: Promise<Uint8Array>;
  resolve(block: Uint8Array | Promise<Uint8Array>): void;
  reject(error: unknown): void;
}

export class FetchQueue {
  readonly #fetchRun: FetchRun;
  readonly #concurrent: number;
  readonly #longest: number;
  /** Not asked for yet. */
  readonly #urgent = new Map<number, Wanted>();
  readonly #ahead = new Map<number, Wanted>();
  #running = 0;
  #scheduled = false;

  /** At most `concurrent` runs at once, each of at most `longest` blocks. */
  constructor(fetchRun: FetchRun, concurrent: number, longest: number) {
    this.#fetchRun = fetchRun;
    this.#concurrent = concurrent;
    this.#longest = longest;
  }

  /** The block, when it has come. `urgent`: somebody waits for it. A block is added once at a time. */
  add(index: number, urgent: boolean): Promise<Uint8Array> {
    const wanted = deferred();
    (urgent ? this.#urgent : this.#ahead).set(index, wanted);
    this.#schedule();
    return wanted.promise;
  }

  /** Somebody waits now for a block that was added without. */
  hurry(index: number): void {
    const wanted = this.#ahead.get(index);
    if (wanted === undefined) return;
    this.#ahead.delete(index);
    this.#urgent.set(index, wanted);
  }

  /** Later in this turn, so that what is asked for at once goes together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    void Promise.resolve().then(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#running < this.#concurrent) {
      // What nobody waits for leaves room for what somebody will.
      const ahead = this.#running < this.#concurrent / 2 ? this.#ahead.keys().next().value : undefined;
      const next: number | undefined = this.#urgent.keys().next().value ?? ahead;
      if (next === undefined) return;
      void this.#run(next);
    }
  }

  async #run(seed: number): Promise<void> {
    let first = seed;
    while (seed - first < this.#longest - 1 && this.#waits(first - 1)) first -= 1;
    let end = seed + 1;
    while (end - first < this.#longest && this.#waits(end)) end += 1;
    const run = new Map<number, Wanted>();
    for (let index = first; index < end; index++) run.set(index, this.#take(index));
    this.#running += 1;
    try {
      await this.#fetchRun(first, end - first, (index, block) => {
        run.get(index)?.resolve(block);
        run.delete(index);
      });
    } catch (error) {
      for (const wanted of run.values()) wanted.reject(error);
    } finally {
      this.#running -= 1;
      this.#pump();
    }
  }

  #waits(index: number): boolean {
    return this.#urgent.has(index) || this.#ahead.has(index);
  }

  #take(index: number): Wanted {
    const wanted = (this.#urgent.get(index) ?? this.#ahead.get(index))!;
    this.#urgent.delete(index);
    this.#ahead.delete(index);
    return wanted;
  }
}

function deferred(): Wanted {
  let resolve!: Wanted['resolve'];
  let reject!: Wanted['reject'];
  const promise = new Promise<Uint8Array>((ok, no) => {
    resolve = ok;
    reject = no;
  });
  // Nobody may be waiting for what is read ahead.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
