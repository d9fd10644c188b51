/** Sections of memory that the helper reads and that come through shared memory. */
import type { SectionFeed, SectionTaker } from '../../snapshot/section-feed.ts';
import type { PlacedPages } from '../../snapshot/section-index.ts';
import { UserError } from '../../user-error.ts';
import { FAILED, type FilePlace, type FromHelper, type Problem, type ToHelper } from './helper-protocol.ts';
import { openWorker } from './open-worker.ts';
import { Staging } from './staging.ts';

/** Of a section of so many pages: the number of pages, and each with its number. */
const contentBytes = ({ runs }: PlacedPages): number =>
  4 + runs.reduce((sum, [, count]) => sum + count, 0) * (4 + 4096);

/** A helper that has a file open. */
export class HelperWorker {
  readonly #worker: Worker;

  /** Undefined where there can be none. @throws UserError when the file cannot be had. */
  static async open(base: string, place: FilePlace): Promise<HelperWorker | undefined> {
    if (!crossOriginIsolated) return undefined;
    const helper = new HelperWorker(base);
    const opened = await helper.#open(place).catch((error) => {
      helper.end();
      throw error;
    });
    if (!opened) helper.end();
    return opened ? helper : undefined;
  }

  private constructor(base: string) {
    this.#worker = openWorker(new URL('helper.js', base), 'trapeze-helper');
  }

  /** False: the script of the worker cannot be loaded. */
  #open(place: FilePlace): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#worker.onerror = () => resolve(false);
      this.listen((message) => (message.kind === 'failed' ? reject(errorOf(message.problem)) : resolve(true)));
      this.post({ kind: 'open', place });
    });
  }

  listen(heard: (message: FromHelper) => void): void {
    this.#worker.onmessage = ({ data }: MessageEvent<FromHelper>) => heard(data);
  }

  post(message: ToHelper): void {
    this.#worker.postMessage(message);
  }

  end(): void {
    this.#worker.terminate();
  }
}

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

  comeNow(section: number): void {
    this.#helper.post({ kind: 'comeNow', section });
    for (;;) {
      const rung = Atomics.load(this.#bell, 0);
      this.#take();
      if (this.#failure !== undefined) throw this.#failure;
      if (!this.#taker.wants(section)) return;
      Atomics.wait(this.#bell, 0, rung);
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

const errorOf = ({ line, expected }: Problem): Error => (expected ? new UserError(line) : new Error(line));
