/** The memory of a machine that runs already: it comes from its snapshot, what the guest looks at first of all. */
import type { LatePages } from '../devices/contract.ts';
import { UserError } from '../user-error.ts';
import { inflated, placedSection, type StoredSection } from './container.ts';
import { eachPage } from './pages.ts';
import { damaged } from './problem.ts';
import type { RandomSource } from './random-access.ts';
import type { PlacedPages, PlacedSection, SectionPlaces } from './section-index.ts';

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
  /** Decompresses at once; undefined: what it was given is damaged. */
  readonly inflateNow: (stored: Uint8Array, length: number) => Uint8Array | undefined;
  readonly milliseconds: () => number;
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
  readonly place: PlacedPages;
  /** It is among those that the processor used last. */
  readonly recent: boolean;
  /** Pages of it that have not come. */
  missing: number;
}

/** Bytes of a file that are read at once when nobody waits for them. */
const BATCH = 2 ** 20;
/** What the processor used last is read before it runs, up to so much of a file. */
const MOST_AHEAD = 4 * 2 ** 20;

export class PageArrival {
  readonly #parts: ArrivalParts;
  /** In the order in which they come when nobody asks for them. */
  readonly #pieces: readonly Piece[];
  /** By page: the number of the piece that has it; 0: none. */
  readonly #pieceOf: Int32Array;
  #pages = 0;
  #arrived = 0;
  #waits = 0;
  #waitedMs = 0;
  #bytes = 0;
  #failure: Error | undefined;
  #closed = false;
  #rest: Promise<void> | undefined;
  #files: Promise<readonly Uint8Array[]> | undefined;

  /** The pages that the snapshot has do not count as there from now on. */
  constructor(parts: ArrivalParts) {
    this.#parts = parts;
    const { snapshot, base } = parts;
    const own = piecesOf(snapshot);
    this.#pieces = [...own, ...(base === undefined ? [] : piecesOf(base.file, own.length))];
    this.#pieceOf = new Int32Array(parts.pages);
    this.#assign(own.length, this.#pieces.length);
    for (const page of base?.zero ?? []) this.#pieceOf[page] = 0;
    this.#assign(0, own.length);
    parts.ram.expect(this.#expected(), (page) => this.#bring(page));
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
    const { waits, waitedMs, bytes } = { waits: this.#waits, waitedMs: this.#waitedMs, bytes: this.#bytes };
    return { pages: this.#pages, arrived: this.#arrived, waits, waitedMs, bytes };
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
      const bytes = await this.#read(source, place.offset, place.length);
      contents.push(await contentOf(bytes, 'FILE', place, source));
    }
    return contents;
  }

  /** In batches of what lies together. */
  async #come(pieces: readonly Piece[]): Promise<void> {
    for (let at = 0; at < pieces.length && !this.#closed; ) {
      const batch = batchAt(pieces, at);
      at += Math.max(1, batch.length);
      if (batch.length > 0) await this.#comeTogether(batch);
    }
  }

  async #comeTogether(batch: readonly Piece[]): Promise<void> {
    const { from, place } = batch[0]!;
    const start = place.offset;
    const bytes = await this.#read(
      from,
      start,
      batch.reduce((sum, piece) => sum + piece.place.length, 0),
    );
    // The guest may have asked for some meanwhile.
    const missing = batch.filter((piece) => piece.missing > 0);
    const contents = missing.map(({ place: { offset, length }, place }) =>
      contentOf(bytes.subarray(offset - start, offset - start + length), 'PAGE', place, from),
    );
    for (const [i, content] of (await Promise.all(contents)).entries()) this.#put(missing[i]!, content);
  }

  async #read(source: RandomSource, offset: number, length: number): Promise<Uint8Array> {
    const bytes = await source.read(offset, length);
    this.#bytes += bytes.length;
    return bytes;
  }

  /** The guest looks at a page: it waits, and with it all that happens here. */
  #bring(page: number): boolean {
    if (this.#failure !== undefined) return this.#parts.failed(this.#failure);
    const { milliseconds, inflateNow } = this.#parts;
    const start = milliseconds();
    const piece = this.#pieces[this.#pieceOf[page]! - 1]!;
    const { from, place } = piece;
    try {
      const bytes = from.readNow(place.offset, place.length);
      this.#bytes += bytes.length;
      const { stored, length } = sectionOf(bytes, 'PAGE', place, from);
      const content = inflateNow(stored, length);
      if (content === undefined) throw atPlace(damaged(`${nameOf(place)} cannot be decompressed`), from);
      this.#put(piece, content);
    } catch (error) {
      return this.#fail(error);
    }
    this.#waits += 1;
    this.#waitedMs += milliseconds() - start;
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
    if (piece.missing !== 0) throw atPlace(damaged('its index is wrong'), piece.from);
    this.#parts.changed();
  }

  #fail(error: unknown): boolean {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    return this.#parts.failed(this.#failure);
  }
}

/** `before`: pieces that come first. */
const piecesOf = ({ source, places }: ArrivalFile, before = 0): Piece[] =>
  places.pages.map((place, i) => ({
    number: before + i + 1,
    from: source,
    place,
    recent: i < places.recent,
    missing: 0,
  }));

/** The missing pieces from a place on that lie one behind the other, up to `BATCH`. */
function batchAt(pieces: readonly Piece[], at: number): readonly Piece[] {
  const batch: Piece[] = [];
  let bytes = 0;
  for (let i = at; i < pieces.length; i++) {
    const piece = pieces[i]!;
    const before = batch.at(-1);
    if (piece.missing === 0) break;
    const follows =
      before === undefined ||
      (before.from === piece.from && before.place.offset + before.place.length === piece.place.offset);
    if (!follows || (before !== undefined && bytes + piece.place.length > BATCH)) break;
    bytes += piece.place.length;
    batch.push(piece);
  }
  return batch;
}

const nameOf = ({ offset }: PlacedSection): string => `the section at byte ${offset}`;

/** A problem with the name of the file that has it. */
const atPlace = (error: unknown, { name }: RandomSource): unknown =>
  error instanceof UserError ? new UserError(`${name}: ${error.message}`) : error;

function sectionOf(bytes: Uint8Array, kind: 'PAGE' | 'FILE', place: PlacedSection, from: RandomSource): StoredSection {
  try {
    return placedSection(bytes, kind, place);
  } catch (error) {
    throw atPlace(error, from);
  }
}

async function contentOf(
  bytes: Uint8Array,
  kind: 'PAGE' | 'FILE',
  place: PlacedSection,
  from: RandomSource,
): Promise<Uint8Array> {
  const section = sectionOf(bytes, kind, place, from);
  try {
    return await inflated(section, nameOf(place));
  } catch (error) {
    throw atPlace(error, from);
  }
}
