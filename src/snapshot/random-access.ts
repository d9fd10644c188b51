/** Snapshots that can be read at any place: what a machine needs at once first, its memory when it is asked for. */
import type { FileEnd, FileRest } from './container.ts';
import { inflated, LAST_SECTION_BYTES, parseEnd, placedSection } from './container.ts';
import { damaged } from './problem.ts';
import type { SectionFeed, SectionTaker } from './section-feed.ts';
import { type PlacedPages, parseIndex, type SectionPlaces } from './section-index.ts';
import type { ByteSource } from './streams.ts';

/** Where a snapshot lies. */
export interface RandomSource {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Exactly so many bytes; `came` may be told how many of them are there. @throws UserError when they cannot be had */
  read(offset: number, length: number, came?: (done: number, bytes: Uint8Array) => void): Promise<Uint8Array>;
  /** The same, with the caller's thread waiting. */
  readNow(offset: number, length: number): Uint8Array;
  /** Where another thread reads the sections of memory. */
  feed?(sections: readonly PlacedPages[], taker: SectionTaker): SectionFeed;
  close(): Promise<void>;
}

/** Has an index of less than some thousand sections, most often. */
const TAIL = 65_536;
const PIECE = 2 ** 19;
const PAGE = 4096;

export const isRandomSource = (source: ByteSource | RandomSource): source is RandomSource => 'readNow' in source;

/** What a source has up to `to`. */
export function streamOf(source: RandomSource, to = source.size): ByteSource {
  let at = 0;
  return {
    getReader: () => ({
      async read() {
        if (at >= to) return { done: true };
        const value = await source.read(at, Math.min(PIECE, to - at));
        at += value.length;
        return { done: false, value };
      },
      cancel: async () => {},
    }),
  };
}

/** What stands at the end of a snapshot of `memory` bytes of RAM. @throws UserError when it is damaged */
export async function readPlaces(
  source: RandomSource,
  memory: number,
): Promise<{ readonly places: SectionPlaces; readonly rest: FileRest }> {
  const tailAt = Math.max(0, source.size - TAIL);
  const tail = await source.read(tailAt, source.size - tailAt);
  const end = parseEnd(tail.subarray(-LAST_SECTION_BYTES));
  const indexEnd = source.size - LAST_SECTION_BYTES;
  if (end.index >= indexEnd) throw damaged('its index is missing');
  const bytes =
    end.index >= tailAt
      ? tail.subarray(end.index - tailAt, indexEnd - tailAt)
      : await source.read(end.index, indexEnd - end.index);
  return readIndex(bytes, end, memory / PAGE);
}

async function readIndex(
  bytes: Uint8Array,
  end: FileEnd,
  pages: number,
): Promise<{ readonly places: SectionPlaces; readonly rest: FileRest }> {
  // Its own checksum is part of what the last section says of all.
  const checksum = bytes.length < 16 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true);
  const section = placedSection(bytes, 'INDX', { offset: end.index, length: bytes.length, checksum });
  const places = parseIndex(await inflated(section, 'its index'), end.index, pages);
  const checksums = [...places.pages, ...places.files].map((place) => place.checksum);
  return { places, rest: { start: places.start, checksums: [...checksums, checksum], end } };
}
