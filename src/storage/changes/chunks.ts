/** Which chunks of a file are in use. */
export class Chunks {
  readonly #free: number[] = [];
  #end: number;

  /** All from `first` on are free but those `used`. */
  constructor(first: number, used: ReadonlySet<number>) {
    this.#end = first;
    for (const chunk of used) this.#end = Math.max(this.#end, chunk + 1);
    for (let chunk = this.#end - 1; chunk >= first; chunk--) if (!used.has(chunk)) this.#free.push(chunk);
  }

  take(): number {
    return this.#free.pop() ?? this.#end++;
  }

  release(chunks: readonly number[]): void {
    this.#free.push(...chunks);
  }
}
