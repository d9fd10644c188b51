/** Blocks in memory: those used last, up to so many bytes. */
export class BlockCache {
  /** In the order of use, the least recent first. */
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #capacity: number;
  #bytes = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  has(index: number): boolean {
    return this.#blocks.has(index);
  }

  get(index: number): Uint8Array | undefined {
    const block = this.#blocks.get(index);
    if (block === undefined) return undefined;
    this.#blocks.delete(index);
    this.#blocks.set(index, block);
    return block;
  }

  set(index: number, block: Uint8Array): void {
    this.#forget(index);
    this.#blocks.set(index, block);
    this.#bytes += block.length;
    for (const oldest of this.#blocks.keys()) {
      if (this.#bytes <= this.#capacity) break;
      this.#forget(oldest);
    }
  }

  #forget(index: number): void {
    this.#bytes -= this.#blocks.get(index)?.length ?? 0;
    this.#blocks.delete(index);
  }
}
