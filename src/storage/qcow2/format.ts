/** The qcow2 format's numbers and how its table entries are read. All of it is big-endian. */
import { UserError } from '../../user-error.ts';

/** 'Q' 'F' 'I' 0xfb. */
export const MAGIC = 0x514649fb;

export const INCOMPATIBLE = { dirty: 0, corrupt: 1, externalData: 2, compressionType: 3, extendedL2: 4 } as const;
export const AUTOCLEAR_BITMAPS = 0;
export const COMPATIBLE_LAZY_REFCOUNTS = 0;

export const EXTENSION = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
} as const;

/** Where fields that are rewritten in place stand in the header. */
export const HEADER = { refcountTable: 48, incompatible: 72, autoclear: 88 } as const;

export const ENTRY_SIZE = 8;
export const SECTOR = 512;

const HIGH = 2 ** 32;
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;
const COPIED = 0x8000_0000;
const COMPRESSED = 0x4000_0000;
const ZERO = 1;

/** What is written in an image, for people: without what could break a line or disturb a terminal. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '');

/** The image contradicts itself: whoever asked gets an error in place of wrong data. */
export class CorruptImageError extends UserError {
  constructor(image: string, problem: string) {
    super(printable(`${image}: the image is corrupt: ${problem}; \`trapeze disk check\` lists what is wrong with it`));
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A 64-bit number. Above 2^53 it is not exact, which every bound that it is held against refuses. */
export const readU64 = (view: DataView, at: number): number => view.getUint32(at) * HIGH + view.getUint32(at + 4);

export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / HIGH));
  view.setUint32(at + 4, value % HIGH);
}

/** What follows from the sizes in the header. */
export interface Geometry {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** Entries of an L2 table, and of a cluster of any other table of offsets. */
  readonly tableEntries: number;
  readonly refcountBits: number;
  /** Refcounts in a refcount block. */
  readonly blockEntries: number;
}

export function geometryOf(version: 2 | 3, clusterBits: number, refcountOrder: number): Geometry {
  const clusterSize = 2 ** clusterBits;
  const refcountBits = 2 ** refcountOrder;
  return {
    version,
    clusterBits,
    clusterSize,
    tableEntries: clusterSize / ENTRY_SIZE,
    refcountBits,
    blockEntries: (clusterSize * 8) / refcountBits,
  };
}

/** Where a guest cluster's content is. */
export type Descriptor =
  | { readonly kind: 'unallocated' }
  /** Reads as zeros; `host` is a cluster kept for it, or 0. */
  | { readonly kind: 'zero'; readonly host: number; readonly copied: boolean }
  | { readonly kind: 'data'; readonly host: number; readonly copied: boolean }
  /** At most `length` bytes of a deflate stream. */
  | { readonly kind: 'compressed'; readonly offset: number; readonly length: number };

/** An entry of the L1 table, of the refcount table, or the offset in one of L2: masked, and its flag. */
export const entryOffset = (view: DataView, index: number): number =>
  (view.getUint32(index * ENTRY_SIZE) & OFFSET_HIGH) * HIGH +
  ((view.getUint32(index * ENTRY_SIZE + 4) & OFFSET_LOW) >>> 0);

/** The refcount table's offsets have no flags above them. */
export const refcountBlockOffset = (view: DataView, index: number): number =>
  view.getUint32(index * ENTRY_SIZE) * HIGH + ((view.getUint32(index * ENTRY_SIZE + 4) & OFFSET_LOW) >>> 0);

/** Whether what the entry points at has exactly one reference, so that it may be written in place. */
export const entryCopied = (view: DataView, index: number): boolean =>
  (view.getUint32(index * ENTRY_SIZE) & COPIED) !== 0;

export function setEntry(view: DataView, index: number, offset: number, copied: boolean): void {
  writeU64(view, index * ENTRY_SIZE, offset);
  if (copied) view.setUint32(index * ENTRY_SIZE, (view.getUint32(index * ENTRY_SIZE) | COPIED) >>> 0);
}

/** Reads an L2 entry as it stands; whether its offset makes sense is for `checkedDescriptor`. */
export function readDescriptor(view: DataView, index: number, { clusterBits }: Geometry): Descriptor {
  const high = view.getUint32(index * ENTRY_SIZE);
  const low = view.getUint32(index * ENTRY_SIZE + 4);
  if ((high & COMPRESSED) !== 0) {
    const offsetBits = 30 - (clusterBits - 8);
    const offset = (high & (2 ** offsetBits - 1)) * HIGH + low;
    const sectors = (high & (COMPRESSED - 1)) >>> offsetBits;
    return { kind: 'compressed', offset, length: (sectors + 1) * SECTOR - (offset % SECTOR) };
  }
  const host = entryOffset(view, index);
  const copied = (high & COPIED) !== 0;
  if ((low & ZERO) !== 0) return { kind: 'zero', host, copied };
  return host === 0 ? { kind: 'unallocated' } : { kind: 'data', host, copied };
}

/** Writes an L2 entry. */
export function writeDescriptor(view: DataView, index: number, one: Descriptor, { clusterBits }: Geometry): void {
  const at = index * ENTRY_SIZE;
  switch (one.kind) {
    case 'unallocated':
      setEntry(view, index, 0, false);
      break;
    case 'data':
      setEntry(view, index, one.host, one.copied);
      break;
    case 'zero':
      setEntry(view, index, one.host, one.copied);
      view.setUint32(at + 4, (view.getUint32(at + 4) | ZERO) >>> 0);
      break;
    case 'compressed': {
      const sectors = Math.ceil(((one.offset % SECTOR) + one.length) / SECTOR) - 1;
      writeU64(view, at, one.offset);
      view.setUint32(at, view.getUint32(at) + COMPRESSED + sectors * 2 ** (30 - (clusterBits - 8)));
      break;
    }
    default:
      one satisfies never;
  }
}

/** The largest offset that a compressed cluster may have. */
export const compressedLimit = ({ clusterBits }: Geometry): number => Math.min(2 ** (62 - (clusterBits - 8)), 2 ** 53);

/** The same descriptor, when what it points at lies in the image. @throws CorruptImageError */
export function checkedDescriptor(one: Descriptor, geometry: Geometry, image: string, imageEnd: number): Descriptor {
  const bad = (problem: string): never => {
    throw new CorruptImageError(image, problem);
  };
  switch (one.kind) {
    case 'unallocated':
      return one;
    case 'zero':
      if (geometry.version < 3) bad('a zero cluster in an image of version 2');
      if (one.host % geometry.clusterSize !== 0)
        bad(`cluster offset ${one.host} is not a multiple of the cluster size`);
      return one;
    case 'data':
      if (one.host % geometry.clusterSize !== 0)
        bad(`cluster offset ${one.host} is not a multiple of the cluster size`);
      if (one.host >= imageEnd) bad(`a cluster at ${one.host} lies behind the end of the file`);
      return one;
    case 'compressed':
      if (one.offset >= imageEnd) bad(`a compressed cluster at ${one.offset} lies behind the end of the file`);
      return one;
    default:
      return one satisfies never;
  }
}
