/** Lines on stderr that tell how far a long run is. */
import process from 'node:process';

const EVERY_MS = 10_000;
const EVERY_SHARE = 0.05;
const MS_PER_S = 1000;

export interface ProgressOptions {
  /** Someone watches: a line each ten seconds, else one for each twentieth of the work. */
  readonly watched: boolean;
  readonly now: () => number;
  readonly print: (line: string) => void;
}

export class Progress {
  readonly #name: string;
  readonly #total: number;
  readonly #options: ProgressOptions;
  readonly #startMs: number;
  #lastMs: number;
  #lastDone = 0;

  constructor(name: string, total: number, options?: ProgressOptions) {
    this.#name = name;
    this.#total = total;
    this.#options = options ?? {
      watched: process.stderr.isTTY === true,
      now: () => performance.now(),
      print: (line) => process.stderr.write(`${line}\n`),
    };
    this.#startMs = this.#lastMs = this.#options.now();
  }

  /** `done` cases are through; `more` is said as well. */
  at(done: number, more = ''): void {
    const { watched, now, print } = this.#options;
    const ms = now();
    const isTime = watched ? ms - this.#lastMs >= EVERY_MS : done - this.#lastDone >= this.#total * EVERY_SHARE;
    if (!isTime) return;
    this.#lastMs = ms;
    this.#lastDone = done;
    const share = Math.round((100 * done) / this.#total);
    const rate = Math.round((done * MS_PER_S) / Math.max(1, ms - this.#startMs));
    print(`${this.#name}: ${done} of ${this.#total} (${share} %), ${rate} a second${more}`);
  }
}
