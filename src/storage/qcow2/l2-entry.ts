/** Entries of L2 tables: where a guest cluster's content is, and that of each of its subclusters. */
import {
  CorruptImageError,
  ENTRY_SIZE,
  entryCopied,
  entryOffset,
  type Geometry,
  HIGH,
  readU64,
  SECTOR,
  setEntry,
  writeU64,
} from './format.ts';

const COMPRESSED = 0x4000_0000;
const ZERO = 1;

/** A guest cluster in one cluster of the file, or in none. */
export interface StandardEntry {
  readonly kind: 'standard';
  /** The cluster in the file, also when it is only kept for later; or 0. */
  readonly host: number;
  /** Whether it has exactly one reference, so that it may be written in place. */
  readonly copied: boolean;
  /** The subclusters that have their content there, and those that read as zeros, a bit each; the others show what is behind. */
  readonly data: number;
  readonly zero: number;
}

/** At most `length` bytes of a stream. */
export interface CompressedEntry {
  readonly kind: 'compressed';
  readonly offset: number;
  readonly length: number;
}

/** An image without extended entries counts as one with a single subcluster in each cluster. */
export type L2Entry = StandardEntry | CompressedEntry;

export const UNALLOCATED: StandardEntry = { kind: 'standard', host: 0, copied: false, data: 0, zero: 0 };

/** Where a subcluster's content is. */
export type Descriptor =
  | { readonly kind: 'unallocated' }
  | { readonly kind: 'zero' }
  | { readonly kind: 'data'; readonly host: number; readonly copied: boolean }
  /** `start`: where it begins in what the stream of its cluster holds. */
  | { readonly kind: 'compressed'; readonly offset: number; readonly length: number; readonly start: number };

/** The bits of subclusters from `first` to before `end`. */
export const subclusterBits = (first: number, end: number): number => (2 ** end - 2 ** first) >>> 0;

/** The bits of all subclusters of a cluster. */
export const allSubclusters = ({ subclusters }: Geometry): number => subclusterBits(0, subclusters);

/** Places of an L2 entry, in entries of 8 bytes. */
const placeOf = (index: number, { subclusters }: Geometry): number => (subclusters === 1 ? index : 2 * index);

/** The half of an extended entry that tells of subclusters. */
const bitsAt = (index: number): number => (2 * index + 1) * ENTRY_SIZE;

/** Whether an extended entry says anything of subclusters, which one of a compressed cluster must not. */
export const hasSubclusterBits = (view: DataView, index: number, { subclusters }: Geometry): boolean =>
  subclusters > 1 && readU64(view, bitsAt(index)) !== 0;

/** Reads an entry as it stands; whether it makes sense is for `checkedEntry`. */
export function readL2Entry(view: DataView, index: number, geometry: Geometry): L2Entry {
  const place = placeOf(index, geometry);
  const high = view.getUint32(place * ENTRY_SIZE);
  const low = view.getUint32(place * ENTRY_SIZE + 4);
  if ((high & COMPRESSED) !== 0) {
    const offsetBits = 30 - (geometry.clusterBits - 8);
    const offset = (high & (2 ** offsetBits - 1)) * HIGH + low;
    const sectors = (high & (COMPRESSED - 1)) >>> offsetBits;
    return { kind: 'compressed', offset, length: (sectors + 1) * SECTOR - (offset % SECTOR) };
  }
  const host = entryOffset(view, place);
  const copied = entryCopied(view, place);
  if (geometry.subclusters > 1) {
    const bits = bitsAt(index);
    return { kind: 'standard', host, copied, data: view.getUint32(bits + 4), zero: view.getUint32(bits) };
  }
  const zero = low & ZERO;
  return { kind: 'standard', host, copied, data: host === 0 || zero === 1 ? 0 : 1, zero };
}

export function writeL2Entry(view: DataView, index: number, one: L2Entry, geometry: Geometry): void {
  const place = placeOf(index, geometry);
  const at = place * ENTRY_SIZE;
  switch (one.kind) {
    case 'standard':
      setEntry(view, place, one.host, one.copied);
      if (geometry.subclusters === 1) view.setUint32(at + 4, view.getUint32(at + 4) + one.zero);
      break;
    case 'compressed': {
      const sectors = Math.ceil(((one.offset % SECTOR) + one.length) / SECTOR) - 1;
      writeU64(view, at, one.offset);
      view.setUint32(at, view.getUint32(at) + COMPRESSED + sectors * 2 ** (30 - (geometry.clusterBits - 8)));
      break;
    }
    default:
      one satisfies never;
  }
  if (geometry.subclusters === 1) return;
  const bits = bitsAt(index);
  view.setUint32(bits, one.kind === 'standard' ? one.zero : 0);
  view.setUint32(bits + 4, one.kind === 'standard' ? one.data : 0);
}

/** The largest offset that a compressed cluster may have. */
export const compressedLimit = ({ clusterBits }: Geometry): number => Math.min(2 ** (62 - (clusterBits - 8)), 2 ** 53);

/** What contradicts itself in an entry, whatever the image holds elsewhere; undefined for nothing. */
export function contradiction({ data, zero, host }: StandardEntry, { version }: Geometry): string | undefined {
  if (version === 2 && zero !== 0) return 'a zero cluster in an image of version 2';
  if ((data & zero) !== 0) return 'subclusters that hold data and are zeros';
  return host === 0 && data !== 0 ? 'subclusters with data in a cluster that is not there' : undefined;
}

/** The same entry, when it makes sense and what it points at lies in the image. @throws CorruptImageError */
export function checkedEntry(one: L2Entry, geometry: Geometry, image: string, imageEnd: number): L2Entry {
  const bad = (problem: string): never => {
    throw new CorruptImageError(image, problem);
  };
  switch (one.kind) {
    case 'standard': {
      const problem = contradiction(one, geometry);
      if (problem !== undefined) bad(problem);
      if (one.host % geometry.clusterSize !== 0)
        bad(`cluster offset ${one.host} is not a multiple of the cluster size`);
      if (one.data !== 0 && one.host >= imageEnd) bad(`a cluster at ${one.host} lies behind the end of the file`);
      return one;
    }
    case 'compressed':
      if (one.offset >= imageEnd) bad(`a compressed cluster at ${one.offset} lies behind the end of the file`);
      return one;
    default:
      return one satisfies never;
  }
}

/** What an entry says of one of its subclusters. */
export function subclusterOf(one: L2Entry, index: number, { subclusterSize }: Geometry): Descriptor {
  const start = index * subclusterSize;
  if (one.kind === 'compressed') return { ...one, start };
  if (((one.data >>> index) & 1) === 1) return { kind: 'data', host: one.host + start, copied: one.copied };
  return { kind: ((one.zero >>> index) & 1) === 1 ? 'zero' : 'unallocated' };
}
