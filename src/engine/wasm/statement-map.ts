/** Maps from the statements of one body, which are looked up by their numbers. */
import type { Statement } from '../../isa/ir/types.ts';

export class StatementMap<T> {
  readonly #items: (T | undefined)[];

  /** `size`: the body's (`sizeOf`). */
  constructor(size: number) {
    this.#items = new Array(size);
  }
  get(s: Statement): T | undefined {
    return this.#items[s.number];
  }
  set(s: Statement, item: T | undefined): void {
    this.#items[s.number] = item;
  }
}

export class StatementSet {
  readonly #items: boolean[];

  constructor(size: number) {
    this.#items = new Array(size).fill(false);
  }
  has(s: Statement): boolean {
    return this.#items[s.number];
  }
  add(s: Statement): void {
    this.#items[s.number] = true;
  }
  delete(s: Statement): void {
    this.#items[s.number] = false;
  }
}

/** Numbers of a body's statements are below this, as far as anybody looks them up: constants may lie above. */
export function sizeOf(body: readonly Statement[]): number {
  let size = 0;
  // What lies inside an `if` or a loop was built before it.
  for (const s of body) if (s.number >= size) size = s.number + 1;
  return size;
}
