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
export const HEADER = { size: 24, l1: 36, refcountTable: 48, incompatible: 72, autoclear: 88 } as const;

export const ENTRY_SIZE = 8;
export const SECTOR = 512;

export const HIGH = 2 ** 32;
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;
const COPIED = 0x8000_0000;

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
  /** Parts of a cluster that may be allocated, or zero, each for itself: 32 with extended L2 entries, else the cluster is its only one. */
  readonly subclusters: 1 | 32;
  readonly subclusterSize: number;
  /** Entries of an L2 table. */
  readonly l2Entries: number;
  /** Entries of a cluster of any other table of offsets. */
  readonly tableEntries: number;
  readonly refcountBits: number;
  /** Refcounts in a refcount block. */
  readonly blockEntries: number;
}

/** Subclusters are sectors at least. */
export const LEAST_EXTENDED_CLUSTER = 32 * SECTOR;

export function geometryOf(version: 2 | 3, clusterBits: number, refcountOrder: number, extendedL2: boolean): Geometry {
  const clusterSize = 2 ** clusterBits;
  const refcountBits = 2 ** refcountOrder;
  const subclusters = extendedL2 ? 32 : 1;
  return {
    version,
    clusterBits,
    clusterSize,
    subclusters,
    subclusterSize: clusterSize / subclusters,
    l2Entries: clusterSize / (extendedL2 ? 2 * ENTRY_SIZE : ENTRY_SIZE),
    tableEntries: clusterSize / ENTRY_SIZE,
    refcountBits,
    blockEntries: (clusterSize * 8) / refcountBits,
  };
}

/** An entry of the L1 table, or the first half of an extended one of L2: masked. `index` counts in entries of 8 bytes. */
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
