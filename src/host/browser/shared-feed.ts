/** Sections of memory that the helper reads and that come through shared memory. */
import type { SectionFeed, SectionTaker } from '../../snapshot/section-feed.ts';
import type { PlacedPages } from '../../snapshot/section-index.ts';
import { FAILED, type FromHelper, type Problem } from './helper-protocol.ts';
import { errorOf, type HelperWorker } from './helper-worker.ts';
import { Staging } from './staging.ts';

/** Of a section of so many pages: the number of pages, and each with its number. */
const contentBytes = ({ runs }: PlacedPages): number =>
  4 + runs.reduce((sum, [, count]) => sum + count, 0) * (4 + 4096);

/** Milliseconds after which a wait is long, and those who want to know hear of it again. */
const LONG_MS = 50;

export class SharedFeed implements SectionFeed {
  readonly #helper: HelperWorker;
  readonly #sections: readonly PlacedPages[];
  readonly #taker: SectionTaker;
  readonly #staging: Staging;
  /** Counts what was put there; who waits is woken. */
  readonly #bell = new Int32Array(new SharedArrayBuffer(4));
  readonly #coming: { readonly came: () => void; readonly failed: (error: Error) => void }[] = [];
  #failure: Error | undefined;
  bytes = 0;

  constructor(helper: HelperWorker, sections: readonly PlacedPages[], taker: SectionTaker) {
    this.#helper = helper;
    this.#sections = sections;
    this.#taker = taker;
    this.#staging = Staging.for(sections.reduce((most, section) => Math.max(most, contentBytes(section)), 0));
    const { shared, slotBytes } = this.#staging;
    helper.listen((message) => this.#hear(message));
    const places = sections.map(({ offset, length, checksum }) => ({ offset, length, checksum }));
    helper.post({ kind: 'sections', sections: places, staging: shared, slotBytes, bell: this.#bell });
  }

  come(sections: readonly number[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#helper.post({ kind: 'come', sections });
    return new Promise((came, failed) => this.#coming.push({ came, failed }));
  }

  comeNow(section: number, slow: () => void): void {
    this.#helper.post({ kind: 'comeNow', section });
    let told = performance.now();
    for (;;) {
      const rung = Atomics.load(this.#bell, 0);
      this.#take();
      if (this.#failure !== undefined) throw this.#failure;
      if (!this.#taker.wants(section)) return;
      Atomics.wait(this.#bell, 0, rung, LONG_MS);
      if (performance.now() - told < LONG_MS) continue;
      slow();
      told = performance.now();
    }
  }

  close(): void {
    this.#helper.end();
    for (const { came } of this.#coming.splice(0)) came();
  }

  #hear({ kind }: FromHelper): void {
    this.#take();
    if (kind === 'came') this.#coming.shift()?.came();
  }

  #take(): void {
    if (this.#failure !== undefined) return;
    try {
      const taken = this.#staging.take((number, content) => {
        // Text decoders want memory that is not shared.
        if (number === FAILED) throw errorOf(JSON.parse(new TextDecoder().decode(content.slice())) as Problem);
        this.bytes += this.#sections[number]!.length;
        void this.#taker.take(number, content);
      });
      if (taken > 0) this.#helper.post({ kind: 'taken' });
    } catch (error) {
      this.#failure = error as Error;
      for (const { failed } of this.#coming.splice(0)) failed(this.#failure);
    }
  }
}
