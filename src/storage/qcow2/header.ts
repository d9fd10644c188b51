/** The header of a qcow2 image and its extensions. */
import { UserError } from '../../user-error.ts';
import {
  AUTOCLEAR_BITMAPS,
  COMPATIBLE_LAZY_REFCOUNTS,
  ENTRY_SIZE,
  EXTENSION,
  type Geometry,
  geometryOf,
  HEADER,
  INCOMPATIBLE,
  LEAST_EXTENDED_CLUSTER,
  MAGIC,
  printable,
  readU64,
  SECTOR,
  viewOf,
  writeU64,
} from './format.ts';

const V2_LENGTH = 72;
const V3_LENGTH = 104;
/** With the compression type, and padding. */
const OUR_LENGTH = 112;
const MAXIMUM_BACKING_NAME = 1023;
const LEAST_CLUSTER_BITS = 9;
const MOST_CLUSTER_BITS = 21;
const MAXIMUM_SNAPSHOTS = 65_536;
const FEATURE_SIZE = 48;

/** As QEMU has them; larger tables are refused as nonsense. */
export const MAXIMUM_L1_BYTES = 32 * 2 ** 20;
export const MAXIMUM_REFCOUNT_TABLE_BYTES = 8 * 2 ** 20;

/** How compressed clusters are, by the number in the header. */
const COMPRESSION_TYPES = ['zlib', 'zstd'] as const;
export type CompressionType = (typeof COMPRESSION_TYPES)[number];
const COMPRESSION_TYPE = 104;

/** What a header says. */
export interface Header {
  readonly geometry: Geometry;
  readonly compressionType: CompressionType;
  /** Bytes of the virtual disk. */
  readonly size: number;
  readonly l1: { readonly offset: number; readonly entries: number };
  readonly refcountTable: { readonly offset: number; readonly clusters: number };
  readonly snapshots: { readonly offset: number; readonly count: number };
  readonly backing: BackingName | undefined;
  readonly bitmaps: { readonly directory: number; readonly directorySize: number; readonly count: number } | undefined;
  readonly lazyRefcounts: boolean;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  /** Bits 63:32 and 31:0 of the features that whoever writes must clear unless it keeps them true. */
  readonly autoclear: readonly [high: number, low: number];
}

export interface BackingName {
  readonly name: string;
  /** `raw`, `qcow2`, or another one that is not known here; undefined: to be found out. */
  readonly format: string | undefined;
}

/** How many bytes `parseHeader` wants: a first cluster of any size ends before. */
export const HEADER_BYTES = 2 ** MOST_CLUSTER_BITS;

export const isQcow2 = (start: Uint8Array): boolean => start.length >= 4 && viewOf(start).getUint32(0) === MAGIC;

interface Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

/**
 * Reads the header from the start of a file of `fileSize` bytes.
 * @throws UserError, naming the image, when it is none, contradicts itself, or needs what is not supported.
 */
export function parseHeader(start: Uint8Array, fileSize: number, image: string): Header {
  const refuse = (problem: string): never => {
    throw new UserError(`${image}: ${problem}`);
  };
  const view = viewOf(start);
  if (!isQcow2(start) || start.length < V2_LENGTH || fileSize < V2_LENGTH) refuse('this is no qcow2 image');
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3)
    return refuse(`qcow2 version ${version} is not supported: convert it to version 3 with the program that made it`);
  if (version === 3 && fileSize < V3_LENGTH) refuse('the header is cut off: the file is not whole');
  const clusterBits = view.getUint32(20);
  if (clusterBits < LEAST_CLUSTER_BITS || clusterBits > MOST_CLUSTER_BITS)
    refuse(`the header is damaged: clusters of 2^${clusterBits} bytes, where 2^9 to 2^21 are possible`);
  const refcountOrder = version === 2 ? 4 : view.getUint32(96);
  if (refcountOrder > 6) refuse(`the header is damaged: refcounts of 2^${refcountOrder} bits, where 64 are the most`);
  const headerLength = version === 2 ? V2_LENGTH : view.getUint32(100);
  const clusterSize = 2 ** clusterBits;
  if (headerLength < (version === 2 ? V2_LENGTH : V3_LENGTH) || headerLength > clusterSize)
    refuse(`the header is damaged: its length is ${headerLength} bytes`);
  const cluster = start.subarray(0, clusterSize);
  const extensions = readExtensions(cluster, headerLength, view, refuse);
  if (version === 3) refuseIncompatible(view, extensions, image, refuse);
  if (view.getUint32(32) !== 0)
    refuse(
      `encrypted images are not supported: decrypt it with \`qemu-img convert --object secret,id=key,file=KEY.txt --image-opts driver=qcow2,encrypt.key-secret=key,file.filename=${image} -O qcow2 NEW.qcow2\``,
    );
  const extendedL2 = version === 3 && bit(view, HEADER.incompatible, INCOMPATIBLE.extendedL2);
  if (extendedL2 && clusterSize < LEAST_EXTENDED_CLUSTER)
    refuse(`the header is damaged: subclusters in clusters of ${clusterSize} bytes`);
  const header: Header = {
    geometry: geometryOf(version, clusterBits, refcountOrder, extendedL2),
    compressionType: version === 3 ? readCompressionType(view, headerLength, refuse) : 'zlib',
    // As QEMU does it.
    size: Math.floor(readU64(view, 24) / SECTOR) * SECTOR,
    l1: { offset: readU64(view, 40), entries: view.getUint32(36) },
    refcountTable: { offset: readU64(view, 48), clusters: view.getUint32(56) },
    snapshots: { offset: readU64(view, 64), count: view.getUint32(60) },
    backing: readBacking(cluster, view, extensions, refuse),
    bitmaps: version === 3 ? readBitmaps(view, extensions) : undefined,
    lazyRefcounts: version === 3 && bit(view, 80, COMPATIBLE_LAZY_REFCOUNTS),
    dirty: version === 3 && bit(view, 72, INCOMPATIBLE.dirty),
    corrupt: version === 3 && bit(view, 72, INCOMPATIBLE.corrupt),
    autoclear: version === 3 ? [view.getUint32(88), view.getUint32(92)] : [0, 0],
  };
  checkTables(header, fileSize, refuse);
  return header;
}

const bit = (view: DataView, at: number, number: number): boolean =>
  ((view.getUint32(number < 32 ? at + 4 : at) >>> (number % 32)) & 1) === 1;

type Refuse = (problem: string) => never;

/** The feature's bit is set for every type but the first. */
function readCompressionType(view: DataView, headerLength: number, refuse: Refuse): CompressionType {
  const number = headerLength > COMPRESSION_TYPE ? view.getUint8(COMPRESSION_TYPE) : 0;
  const type = COMPRESSION_TYPES[number];
  if (type === undefined)
    return refuse(
      `its clusters are compressed by a method that is not known here (${number}): convert it with the program that made it`,
    );
  if (bit(view, HEADER.incompatible, INCOMPATIBLE.compressionType) !== (number !== 0))
    refuse(`the header is damaged: the type of compression and its feature bit do not go together`);
  return type;
}

/** That the tables of the header lie in the file, are aligned, and are large enough for the disk. */
function checkTables({ geometry, size, l1, refcountTable, snapshots }: Header, fileSize: number, refuse: Refuse): void {
  const { clusterSize, l2Entries } = geometry;
  const end = Math.ceil(fileSize / clusterSize) * clusterSize;
  const within = (what: string, offset: number, bytes: number): void => {
    if (offset % clusterSize !== 0) refuse(`the header is damaged: the ${what} is not at the start of a cluster`);
    if (offset + bytes > end) refuse(`the ${what} lies behind the end of the file: the file is not whole`);
  };
  if (size > Number.MAX_SAFE_INTEGER) refuse('the header is damaged: the disk would be larger than 2^53 bytes');
  if (l1.entries * ENTRY_SIZE > MAXIMUM_L1_BYTES) refuse(`the header is damaged: an L1 table of ${l1.entries} entries`);
  if (l1.entries < Math.ceil(size / (clusterSize * l2Entries)))
    refuse('the header is damaged: the L1 table is too small for the disk');
  if (l1.entries > 0) within('L1 table', l1.offset, l1.entries * ENTRY_SIZE);
  const tableBytes = refcountTable.clusters * clusterSize;
  if (tableBytes > Math.max(MAXIMUM_REFCOUNT_TABLE_BYTES, clusterSize))
    refuse(`the header is damaged: a refcount table of ${refcountTable.clusters} clusters`);
  within('refcount table', refcountTable.offset, tableBytes);
  if (snapshots.count > MAXIMUM_SNAPSHOTS) refuse(`the header is damaged: ${snapshots.count} snapshots`);
  if (snapshots.count > 0) within('table of snapshots', snapshots.offset, 0);
}

function readExtensions(cluster: Uint8Array, from: number, header: DataView, refuse: Refuse): readonly Extension[] {
  const view = viewOf(cluster);
  const nameOffset = readU64(header, 8);
  const end = nameOffset > 0 && nameOffset <= cluster.length ? nameOffset : cluster.length;
  const extensions: Extension[] = [];
  for (let at = from; at + 8 <= end; ) {
    const type = view.getUint32(at);
    if (type === EXTENSION.end) break;
    const length = view.getUint32(at + 4);
    if (at + 8 + length > end) refuse('the header is damaged: an extension is longer than its cluster');
    extensions.push({ type, data: cluster.subarray(at + 8, at + 8 + length) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return extensions;
}

const dataOf = (extensions: readonly Extension[], type: number): Uint8Array | undefined =>
  extensions.find((one) => one.type === type)?.data;

/** Incompatible features that cannot be served, each in words. */
const REFUSED: Readonly<Record<number, string>> = {
  [INCOMPATIBLE.externalData]: 'images with an external data file are not supported',
};
const SERVED: readonly number[] = [
  INCOMPATIBLE.dirty,
  INCOMPATIBLE.corrupt,
  INCOMPATIBLE.compressionType,
  INCOMPATIBLE.extendedL2,
];

function refuseIncompatible(view: DataView, extensions: readonly Extension[], image: string, refuse: Refuse): void {
  for (let number = 0; number < 64; number++) {
    if (!bit(view, 72, number) || SERVED.includes(number)) continue;
    const known = REFUSED[number];
    if (known !== undefined) refuse(`${known}: make a plain one with \`qemu-img convert -O qcow2 ${image} NEW.qcow2\``);
    const name = featureName(dataOf(extensions, EXTENSION.featureNames), number);
    refuse(`the image needs a feature that is not known here (${name}): open it with the program that made it`);
  }
}

function featureName(names: Uint8Array | undefined, number: number): string {
  for (let at = 0; names !== undefined && at + FEATURE_SIZE <= names.length; at += FEATURE_SIZE)
    if (names[at] === 0 && names[at + 1] === number)
      return `'${text(names.subarray(at + 2, at + FEATURE_SIZE))}', bit ${number}`;
  return `bit ${number}`;
}

const text = (bytes: Uint8Array): string => printable(new TextDecoder().decode(bytes));

function readBacking(
  cluster: Uint8Array,
  view: DataView,
  extensions: readonly Extension[],
  refuse: Refuse,
): BackingName | undefined {
  const offset = readU64(view, 8);
  if (offset === 0) return undefined;
  const length = view.getUint32(16);
  if (length > MAXIMUM_BACKING_NAME || offset + length > cluster.length)
    refuse('the header is damaged: the name of the backing file lies outside of it');
  if (length === 0) return undefined;
  const name = new TextDecoder().decode(cluster.subarray(offset, offset + length));
  if (name.includes('\0')) refuse('the header is damaged: the name of the backing file has a zero in it');
  const format = dataOf(extensions, EXTENSION.backingFormat);
  return { name, format: format === undefined ? undefined : text(format).toLowerCase() };
}

function readBitmaps(view: DataView, extensions: readonly Extension[]): Header['bitmaps'] {
  const data = dataOf(extensions, EXTENSION.bitmaps);
  if (data === undefined || data.length < 24 || !bit(view, 88, AUTOCLEAR_BITMAPS)) return undefined;
  const fields = viewOf(data);
  return { count: fields.getUint32(0), directorySize: readU64(fields, 8), directory: readU64(fields, 16) };
}

/** What a new image's header says. */
export interface NewHeader {
  readonly geometry: Geometry;
  readonly compressionType: CompressionType;
  readonly size: number;
  readonly l1: Header['l1'];
  readonly refcountTable: Header['refcountTable'];
  readonly backing: BackingName | undefined;
}

const FEATURE_NAMES: readonly (readonly [kind: number, number: number, name: string])[] = [
  [0, INCOMPATIBLE.dirty, 'dirty bit'],
  [0, INCOMPATIBLE.corrupt, 'corrupt bit'],
  [0, INCOMPATIBLE.externalData, 'external data file'],
  [0, INCOMPATIBLE.compressionType, 'compression type'],
  [0, INCOMPATIBLE.extendedL2, 'extended L2 entries'],
  [1, COMPATIBLE_LAZY_REFCOUNTS, 'lazy refcounts'],
  [2, AUTOCLEAR_BITMAPS, 'bitmaps'],
];

/**
 * The header of a new image: its first cluster.
 * @throws UserError when the name of the backing file finds no room in it.
 */
export function encodeHeader(header: NewHeader): Uint8Array {
  const { geometry, compressionType, size, l1, refcountTable, backing } = header;
  const bytes = new Uint8Array(geometry.clusterSize);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC);
  view.setUint32(4, geometry.version);
  view.setUint32(20, geometry.clusterBits);
  writeU64(view, 24, size);
  view.setUint32(36, l1.entries);
  writeU64(view, 40, l1.offset);
  writeU64(view, 48, refcountTable.offset);
  view.setUint32(56, refcountTable.clusters);
  const length = geometry.version === 2 ? V2_LENGTH : OUR_LENGTH;
  if (geometry.version === 3) {
    const isExtended = geometry.subclusters > 1 ? 1 << INCOMPATIBLE.extendedL2 : 0;
    const type = COMPRESSION_TYPES.indexOf(compressionType);
    view.setUint32(HEADER.incompatible + 4, isExtended | (type === 0 ? 0 : 1 << INCOMPATIBLE.compressionType));
    view.setUint8(COMPRESSION_TYPE, type);
    view.setUint32(96, Math.log2(geometry.refcountBits));
    view.setUint32(100, length);
  }
  const end = writeExtensions(bytes, length, backing, geometry.version);
  if (backing !== undefined) {
    const name = new TextEncoder().encode(backing.name);
    if (name.length > MAXIMUM_BACKING_NAME || end + name.length > bytes.length)
      throw new UserError(`the name of the backing file is too long: use a shorter one, or larger clusters`);
    writeU64(view, 8, end);
    view.setUint32(16, name.length);
    bytes.set(name, end);
  }
  return bytes;
}

/** Returns where they end. */
function writeExtensions(bytes: Uint8Array, from: number, backing: BackingName | undefined, version: 2 | 3): number {
  const view = viewOf(bytes);
  let at = from;
  const add = (type: number, data: Uint8Array): void => {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + Math.ceil(data.length / 8) * 8;
  };
  if (backing?.format !== undefined) add(EXTENSION.backingFormat, new TextEncoder().encode(backing.format));
  const names = featureTable();
  // In a cluster of 512 bytes the name of a backing file needs the room.
  if (version === 3 && at + 8 + names.length + 8 + MAXIMUM_BACKING_NAME <= bytes.length)
    add(EXTENSION.featureNames, names);
  add(EXTENSION.end, new Uint8Array());
  return at;
}

function featureTable(): Uint8Array {
  const table = new Uint8Array(FEATURE_NAMES.length * FEATURE_SIZE);
  for (const [i, [kind, number, name]] of FEATURE_NAMES.entries()) {
    table.set([kind, number], i * FEATURE_SIZE);
    table.set(new TextEncoder().encode(name), i * FEATURE_SIZE + 2);
  }
  return table;
}
