/** The memory of a machine that runs already: it comes from its snapshot, what the guest looks at first of all. */
import type { LatePages } from '../devices/contract.ts';
import { eachPage } from './pages.ts';
import { damaged } from './problem.ts';
import type { RandomSource } from './random-access.ts';
import { contentOf, type InflateNow, inFile, OwnFeed, type SectionFeed } from './section-feed.ts';
import type { PlacedPages, SectionPlaces } from './section-index.ts';

/** How far the memory has come. */
export interface ArrivalFigures {
  /** Of the snapshot, or of it and its base. */
  readonly pages: number;
  readonly arrived: number;
  /** Times that the guest had to wait for a part of its memory, and milliseconds in all. */
  readonly waits: number;
  readonly waitedMs: number;
  /** Read of the files so far. */
  readonly bytes: number;
}

/** A file that memory comes from. */
export interface ArrivalFile {
  readonly source: RandomSource;
  readonly places: SectionPlaces;
}

export interface ArrivalParts {
  readonly ram: LatePages;
  /** Of RAM. */
  readonly pages: number;
  readonly snapshot: ArrivalFile;
  /** What has the pages that the snapshot lacks, but for these, which are zero. */
  readonly base?: { readonly file: ArrivalFile; readonly zero: Iterable<number> } | undefined;
  readonly inflateNow: InflateNow;
  readonly milliseconds: () => number;
  /** The guest waits, which takes long or may, and with it all that happens on this thread; false: it goes on. Said again now and then. */
  readonly waits: (waits: boolean) => void;
  /** Memory is lost for good: stops the processor by throwing where it runs, else answers false. */
  readonly failed: (error: Error) => boolean;
  /** More has come. */
  readonly changed: () => void;
}

/** A section of memory. */
interface Piece {
  /** One more than its place in the order in which they come. */
  readonly number: number;
  readonly from: RandomSource;
  readonly feed: SectionFeed;
  /** Its place in the index of the file. */
  readonly section: number;
  readonly place: PlacedPages;
  /** It is among those that the processor used last. */
  readonly recent: boolean;
  /** Pages of it that have not come. */
  missing: number;
}

/** What the processor used last is read before it runs, up to so much of a file. */
const MOST_AHEAD = 4 * 2 ** 20;

export class PageArrival {
  readonly #parts: ArrivalParts;
  /** In the order in which they come when nobody asks for them. */
  readonly #pieces: Piece[] = [];
  readonly #feeds: SectionFeed[] = [];
  /** By page: the number of the piece that has it; 0: none. */
  readonly #pieceOf: Int32Array;
  #pages = 0;
  #arrived = 0;
  #waits = 0;
  /** Before the wait that there may be now. */
  #waitedMs = 0;
  #waitingSince: number | undefined;
  #fileBytes = 0;
  #failure: Error | undefined;
  #closed = false;
  #rest: Promise<void> | undefined;
  #files: Promise<readonly Uint8Array[]> | undefined;

  /** The pages that the snapshot has do not count as there from now on. */
  constructor(parts: ArrivalParts) {
    this.#parts = parts;
    const { snapshot, base } = parts;
    this.#addPieces(snapshot);
    const own = this.#pieces.length;
    if (base !== undefined) this.#addPieces(base.file);
    this.#pieceOf = new Int32Array(parts.pages);
    this.#assign(own, this.#pieces.length);
    for (const page of base?.zero ?? []) this.#pieceOf[page] = 0;
    this.#assign(0, own);
    parts.ram.expect(this.#expected(), (page) => this.#bring(page));
  }

  #addPieces({ source, places: { pages, recent } }: ArrivalFile): void {
    const pieces: Piece[] = [];
    const taker = {
      wants: (section: number) => pieces[section]!.missing > 0,
      take: (section: number, content: Uint8Array) => this.#put(pieces[section]!, content),
    };
    const feed = source.feed?.(pages, taker) ?? new OwnFeed(source, pages, taker, this.#parts.inflateNow);
    for (const [section, place] of pages.entries()) {
      const number = this.#pieces.length + section + 1;
      pieces.push({ number, from: source, feed, section, place, recent: section < recent, missing: 0 });
    }
    this.#pieces.push(...pieces);
    this.#feeds.push(feed);
  }

  #assign(from: number, to: number): void {
    for (let i = from; i < to; i++)
      for (const [first, count] of this.#pieces[i]!.place.runs) this.#pieceOf.fill(i + 1, first, first + count);
  }

  *#expected(): Generator<number> {
    for (const [page, piece] of this.#pieceOf.entries()) {
      if (piece === 0) continue;
      this.#pieces[piece - 1]!.missing += 1;
      this.#pages += 1;
      yield page;
    }
  }

  get figures(): ArrivalFigures {
    const bytes = this.#feeds.reduce((sum, feed) => sum + feed.bytes, this.#fileBytes);
    const waiting = this.#waitingSince === undefined ? 0 : this.#parts.milliseconds() - this.#waitingSince;
    const waitedMs = this.#waitedMs + waiting;
    return { pages: this.#pages, arrived: this.#arrived, waits: this.#waits, waitedMs, bytes };
  }

  /** Lets come what the processor used last. @throws UserError when it cannot be had */
  async ahead(): Promise<void> {
    let bytes = 0;
    await this.#come(this.#pieces.filter(({ recent, place }) => recent && (bytes += place.length) <= MOST_AHEAD));
  }

  /** Lets all that is missing come, and closes the files; resolves also when `close` was called before. @throws what `failed` is told */
  rest(): Promise<void> {
    this.#rest ??= this.#allCome();
    return this.#rest;
  }

  /** The bytes of what the machine booted from. @throws UserError when they cannot be had */
  files(): Promise<readonly Uint8Array[]> {
    this.#files ??= this.#readFiles();
    return this.#files;
  }

  /** Nothing more is wanted. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const feed of this.#feeds) feed.close();
    await this.#parts.snapshot.source.close();
    await this.#parts.base?.file.source.close();
  }

  async #allCome(): Promise<void> {
    try {
      await this.#come(this.#pieces);
      if (!this.#closed) await this.files();
      await this.close();
    } catch (error) {
      if (this.#closed) return;
      this.#fail(error);
      throw error;
    }
  }

  async #readFiles(): Promise<readonly Uint8Array[]> {
    const { source, places } = this.#parts.snapshot;
    const contents: Uint8Array[] = [];
    for (const place of places.files) {
      const bytes = await source.read(place.offset, place.length);
      this.#fileBytes += bytes.length;
      contents.push(await contentOf(bytes, 'FILE', place, source));
    }
    return contents;
  }

  /** File by file. */
  async #come(pieces: readonly Piece[]): Promise<void> {
    for (const feed of this.#feeds) {
      const its = pieces.filter((piece) => piece.feed === feed && piece.missing > 0);
      if (!this.#closed && its.length > 0) await feed.come(its.map(({ section }) => section));
    }
  }

  /** The guest looks at a page: it waits, and with it all that happens here. */
  #bring(page: number): boolean {
    if (this.#failure !== undefined) return this.#parts.failed(this.#failure);
    const { milliseconds, waits } = this.#parts;
    const since = milliseconds();
    const { feed, section } = this.#pieces[this.#pieceOf[page]! - 1]!;
    this.#waits += 1;
    this.#waitingSince = since;
    try {
      feed.comeNow(section, () => waits(true));
    } catch (error) {
      return this.#fail(error);
    } finally {
      this.#waitingSince = undefined;
      this.#waitedMs += milliseconds() - since;
    }
    waits(false);
    return true;
  }

  #put(piece: Piece, content: Uint8Array): void {
    if (piece.missing === 0) return;
    eachPage(content, (page, bytes) => {
      if (this.#pieceOf[page] !== piece.number) return;
      this.#parts.ram.fill(page, bytes);
      this.#arrived += 1;
      piece.missing -= 1;
    });
    if (piece.missing !== 0) throw inFile(damaged('its index is wrong'), piece.from);
    this.#parts.changed();
  }

  #fail(error: unknown): boolean {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    return this.#parts.failed(this.#failure);
  }
}
