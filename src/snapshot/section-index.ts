/** Where the sections of memory and of files lie, and what each must be, so that one can be read without those before it. */
import { pageNumbers } from './pages.ts';
import { damaged } from './problem.ts';

/** A section in a file. */
export interface PlacedSection {
  readonly offset: number;
  /** Bytes with the header. */
  readonly length: number;
  /** As its header has it. */
  readonly checksum: number;
}

/** First page and number of pages. */
export type PageRun = readonly [first: number, count: number];

export interface PlacedPages extends PlacedSection {
  readonly runs: readonly PageRun[];
}

export interface SectionPlaces {
  /** Where the first of these sections begins. */
  readonly start: number;
  /** So many sections of memory, the first ones, have what the processor used last. */
  readonly recent: number;
  readonly pages: readonly PlacedPages[];
  readonly files: readonly PlacedSection[];
}

/** Offset (8 bytes), recent sections, sections of memory, sections of files. */
const HEADER_BYTES = 20;
/** Length, checksum; for memory the number of runs too. */
const FILE_BYTES = 8;
const PAGES_BYTES = 12;
const RUN_BYTES = 8;

/** The pages of a section of memory as runs. */
function runsOf(content: Uint8Array): readonly PageRun[] {
  const runs: [number, number][] = [];
  for (const page of pageNumbers(content)) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === page) last[1] += 1;
    else runs.push([page, 1]);
  }
  return runs;
}

/** Gathers places while sections are written or read. */
export class SectionIndex {
  #start: number | undefined;
  readonly #pages: PlacedPages[] = [];
  readonly #files: PlacedSection[] = [];

  add(kind: 'PAGE' | 'FILE', section: PlacedSection, content: Uint8Array): void {
    this.#start ??= section.offset;
    if (kind === 'FILE') this.#files.push(section);
    else this.#pages.push({ ...section, runs: runsOf(content) });
  }

  /** `end`: where the section of the index begins. */
  encode(recent: number, end: number): Uint8Array {
    const runs = this.#pages.reduce((sum, { runs }) => sum + runs.length, 0);
    const content = new Uint8Array(
      HEADER_BYTES + this.#pages.length * PAGES_BYTES + runs * RUN_BYTES + this.#files.length * FILE_BYTES,
    );
    const view = new DataView(content.buffer);
    let at = 0;
    const put = (...words: number[]): void => {
      for (const word of words) {
        view.setUint32(at, word, true);
        at += 4;
      }
    };
    const start = this.#start ?? end;
    put(start % 2 ** 32, Math.floor(start / 2 ** 32), recent, this.#pages.length, this.#files.length);
    for (const { length, checksum, runs } of this.#pages) put(length, checksum, runs.length, ...runs.flat());
    for (const { length, checksum } of this.#files) put(length, checksum);
    return content;
  }
}

/** How many sections an index calls recent. */
export const recentOf = (content: Uint8Array): number =>
  content.length < HEADER_BYTES ? 0 : new DataView(content.buffer, content.byteOffset).getUint32(8, true);

/** `end`: where the section of the index begins; `pages`: how many pages the memory has. @throws UserError when it is none */
export function parseIndex(content: Uint8Array, end: number, pages: number): SectionPlaces {
  const words = new IndexWords(content);
  const start = words.next() + words.next() * 2 ** 32;
  const [recent, pageSections, fileSections] = [words.next(), words.next(), words.next()];
  let offset = start;
  const section = (): PlacedSection => {
    const [length, checksum] = [words.next(), words.next()];
    const placed = { offset, length, checksum };
    offset += length;
    return placed;
  };
  const placedPages: PlacedPages[] = [];
  for (let i = 0; i < pageSections; i++) placedPages.push({ ...section(), runs: words.runs(pages) });
  const files: PlacedSection[] = [];
  for (let i = 0; i < fileSections; i++) files.push(section());
  if (!words.atEnd || offset !== end || recent > pageSections) throw damaged('its index is wrong');
  return { start, recent, pages: placedPages, files };
}

class IndexWords {
  readonly #view: DataView;
  #at = 0;

  constructor(content: Uint8Array) {
    this.#view = new DataView(content.buffer, content.byteOffset, content.length);
  }

  get atEnd(): boolean {
    return this.#at === this.#view.byteLength;
  }

  next(): number {
    if (this.#at + 4 > this.#view.byteLength) throw damaged('its index is too short');
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  runs(pages: number): readonly PageRun[] {
    const runs: PageRun[] = [];
    for (let left = this.next(); left > 0; left--) {
      const run = [this.next(), this.next()] as const;
      if (run[0] + run[1] > pages) throw damaged('its index has a page outside the memory');
      runs.push(run);
    }
    return runs;
  }
}
