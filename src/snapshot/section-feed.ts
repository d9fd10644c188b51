/** Where the memory of a machine that runs already comes from: sections of a file, checked and decompressed. */
import { UserError } from '../user-error.ts';
import { inflated, placedSection, type StoredSection } from './container.ts';
import { damaged } from './problem.ts';
import type { RandomSource } from './random-access.ts';
import type { PlacedSection } from './section-index.ts';

/** Who the sections are for, by their places in the index. */
export interface SectionTaker {
  /** False: it has come another way. */
  wants(section: number): boolean;
  /** More may follow when the promise resolves, if there is one. */
  take(section: number, content: Uint8Array): void | Promise<void>;
}

/** Brings sections of memory of one file to a taker. What goes wrong once is thrown ever after: the file is lost. */
export interface SectionFeed {
  /** Read of the file so far. */
  readonly bytes: number;
  /** Lets sections come, in this order; resolves when they have, or nothing more is wanted. @throws UserError when one cannot be had */
  come(sections: readonly number[]): Promise<void>;
  /**
   * Lets one come at once, with the caller's thread waiting. `slow` is called before the wait is long, and now and then while it is where
   * the thread can do that. @throws UserError when it cannot be had
   */
  comeNow(section: number, slow: () => void): void;
  /** Nothing more is wanted. */
  close(): void;
}

/** Decompresses at once; undefined: what it was given is damaged. */
export type InflateNow = (stored: Uint8Array, length: number) => Uint8Array | undefined;

/** Bytes of a file that are read at once when nobody waits for them. */
const BATCH = 2 ** 20;

/** Sections as they are read by and by; those that are on their way already are not read again. */
export class SectionReader {
  readonly #source: RandomSource;
  readonly #places: readonly PlacedSection[];
  readonly #taker: SectionTaker;
  readonly #onTheirWay = new Set<number>();
  #closed = false;
  /** Read so far. */
  bytes = 0;

  constructor(source: RandomSource, places: readonly PlacedSection[], taker: SectionTaker) {
    this.#source = source;
    this.#places = places;
    this.#taker = taker;
  }

  /** In batches of what lies together, so many of them at once; resolves when what it began to read was taken. @throws UserError */
  async come(sections: readonly number[], atOnce = 1): Promise<void> {
    let at = 0;
    const some = async (): Promise<void> => {
      while (at < sections.length && !this.#closed) {
        const batch = this.#batchAt(sections, at);
        at += Math.max(1, batch.length);
        if (batch.length > 0) await this.#comeTogether(batch);
      }
    };
    try {
      await Promise.all(Array.from({ length: atOnce }, some));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
  }

  /** What is wanted from a place of the order on and lies one behind the other, up to `BATCH`. */
  #batchAt(sections: readonly number[], at: number): readonly number[] {
    const batch: number[] = [];
    let bytes = 0;
    let end: number | undefined;
    for (let i = at; i < sections.length; i++) {
      const section = sections[i]!;
      const { offset, length } = this.#places[section]!;
      if (this.#onTheirWay.has(section) || !this.#taker.wants(section)) break;
      if (end !== undefined && (end !== offset || bytes + length > BATCH)) break;
      end = offset + length;
      bytes += length;
      batch.push(section);
    }
    return batch;
  }

  /** Each is taken as soon as it is there. */
  async #comeTogether(batch: readonly number[]): Promise<void> {
    for (const section of batch) this.#onTheirWay.add(section);
    const first = this.#places[batch[0]!]!.offset;
    const taken: Promise<void>[] = [];
    const came = (done: number, bytes: Uint8Array): void => {
      for (; taken.length < batch.length; ) {
        const section = batch[taken.length]!;
        const { offset, length } = this.#places[section]!;
        if (offset - first + length > done) return;
        const one = this.#give(section, bytes.subarray(offset - first, offset - first + length));
        // It is thrown below, when all that is under way has ended.
        one.catch(() => {});
        taken.push(one);
      }
    };
    const { offset, length } = this.#places[batch.at(-1)!]!;
    const bytes = await this.#source.read(first, offset + length - first, came);
    this.bytes += bytes.length;
    came(bytes.length, bytes);
    await Promise.all(taken);
  }

  async #give(section: number, bytes: Uint8Array): Promise<void> {
    if (!this.#taker.wants(section)) return;
    await this.#taker.take(section, await contentOf(bytes, 'PAGE', this.#places[section]!, this.#source));
  }
}

/** All on the caller's thread. */
export class OwnFeed implements SectionFeed {
  readonly #source: RandomSource;
  readonly #places: readonly PlacedSection[];
  readonly #taker: SectionTaker;
  readonly #inflateNow: InflateNow;
  readonly #reader: SectionReader;
  #bytesNow = 0;

  constructor(source: RandomSource, places: readonly PlacedSection[], taker: SectionTaker, inflateNow: InflateNow) {
    this.#source = source;
    this.#places = places;
    this.#taker = taker;
    this.#inflateNow = inflateNow;
    this.#reader = new SectionReader(source, places, taker);
  }

  get bytes(): number {
    return this.#reader.bytes + this.#bytesNow;
  }

  come(sections: readonly number[]): Promise<void> {
    return this.#reader.come(sections);
  }

  comeNow(section: number, slow: () => void): void {
    const place = this.#places[section]!;
    slow();
    const bytes = this.#source.readNow(place.offset, place.length);
    this.#bytesNow += bytes.length;
    const { stored, length } = sectionOf(bytes, 'PAGE', place, this.#source);
    const content = this.#inflateNow(stored, length);
    if (content === undefined) throw inFile(damaged(`${nameOf(place)} cannot be decompressed`), this.#source);
    this.#taker.take(section, content);
  }

  close(): void {
    this.#reader.close();
  }
}

const nameOf = ({ offset }: PlacedSection): string => `the section at byte ${offset}`;

/** A problem with the name of the file that has it. */
export const inFile = (error: unknown, { name }: RandomSource): unknown =>
  error instanceof UserError ? new UserError(`${name}: ${error.message}`) : error;

function sectionOf(bytes: Uint8Array, kind: 'PAGE' | 'FILE', place: PlacedSection, from: RandomSource): StoredSection {
  try {
    return placedSection(bytes, kind, place);
  } catch (error) {
    throw inFile(error, from);
  }
}

/** What a section holds, of which `bytes` were read. @throws UserError when it is damaged */
export async function contentOf(
  bytes: Uint8Array,
  kind: 'PAGE' | 'FILE',
  place: PlacedSection,
  from: RandomSource,
): Promise<Uint8Array> {
  const section = sectionOf(bytes, kind, place, from);
  try {
    return await inflated(section, nameOf(place));
  } catch (error) {
    throw inFile(error, from);
  }
}
