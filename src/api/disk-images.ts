/** Disk images apart from machines: make, look into, convert, check. */
import type { BlockBackend } from '../devices/contract.ts';
import { firstDifference } from '../storage/compare.ts';
import { type Compress, copyDisk } from '../storage/copy.ts';
import { deflate } from '../storage/deflate.ts';
import type { SizedFile } from '../storage/file.ts';
import {
  backingPath,
  detectFormat,
  type ImageFiles,
  type ImageFormat,
  openImage,
  readHeader,
} from '../storage/image.ts';
import { type CheckReport, checkImage, type Repair } from '../storage/qcow2/check.ts';
import { createImage } from '../storage/qcow2/create.ts';
import { Qcow2Disk } from '../storage/qcow2/disk.ts';
import type { BackingName, CompressionType, Header } from '../storage/qcow2/header.ts';
import { readSnapshots, type Snapshot } from '../storage/qcow2/snapshots.ts';
import { RawDisk } from '../storage/raw.ts';
import { UserError } from '../user-error.ts';

/** A file that has its name only when it is kept. */
export interface NewFile {
  readonly file: SizedFile;
  /** @throws UserError when there is such a file by now. */
  keep(): Promise<void>;
  discard(): Promise<void>;
}

/** Where images are made and kept. */
export interface ImageStore extends ImageFiles {
  /** @throws UserError when there is such a file and it is not to be replaced. */
  create(name: string, replace: boolean): Promise<NewFile>;
  /** How the image `from` is to name a file that the person calls `name`. */
  relate(from: string, name: string): string;
  /** Compresses a cluster by Zstandard, which not every platform can. */
  zstd(bytes: Uint8Array): Promise<Uint8Array>;
  /** Gives a file another length. */
  truncate(name: string, size: number): Promise<void>;
  /** Bytes that the file takes where it is, if that is known. */
  allocated(name: string): Promise<number | undefined>;
}

/** What a new image is to be. */
export interface ImageShape {
  readonly format: ImageFormat;
  readonly clusterSize: number;
  readonly refcountBits: number;
  /** qcow2's version, as QEMU's `compat` 0.10 and 1.1. */
  readonly version: 2 | 3;
  /** Clusters in 32 parts, each allocated for itself. */
  readonly extendedL2?: boolean | undefined;
  /** How clusters of qcow2 are compressed; `zlib` unless said. */
  readonly compressionType?: CompressionType | undefined;
  /** Replace a file that is there. */
  readonly replace: boolean;
}

export interface CreateOptions extends ImageShape {
  /** Bytes; undefined: as large as the backing file's disk. */
  readonly size: number | undefined;
  readonly backing: { readonly path: string; readonly format: ImageFormat | undefined } | undefined;
}

const SECTOR = 512;
/** Grain of raw copies: what file systems allocate. */
const RAW_GRAIN = 4096;
/** Of an image with extended L2 entries. */
const SUBCLUSTERS = 32;

/** Makes an image without content. Returns the size of its disk. @throws UserError */
export async function createDisk(store: ImageStore, path: string, options: CreateOptions): Promise<number> {
  const { format, backing } = options;
  if (format === 'raw' && backing !== undefined)
    throw new UserError('a raw image cannot have a backing file: leave --backing out, or choose --format qcow2');
  const behind = backing === undefined ? undefined : await lookBehind(store, path, backing);
  const size = options.size ?? behind?.size;
  if (size === undefined) throw new UserError('a new image needs a size, such as 10G, or a backing file');
  await inNewFile(store, path, options.replace, (file) => shape(file, size, options, behind?.name));
  return Math.ceil(size / SECTOR) * SECTOR;
}

/** The backing file as the image names it, once it could be opened. */
async function lookBehind(
  store: ImageStore,
  path: string,
  backing: NonNullable<CreateOptions['backing']>,
): Promise<{ readonly name: BackingName; readonly size: number }> {
  const { disk, format } = await openImage(store, backing.path, { readOnly: true, format: backing.format });
  await disk.close();
  return { name: { name: store.relate(path, backing.path), format }, size: disk.size };
}

async function shape(
  file: SizedFile,
  size: number,
  options: ImageShape,
  backing: BackingName | undefined,
): Promise<void> {
  const sectors = Math.ceil(size / SECTOR);
  if (sectors === 0) throw new UserError('a disk needs a size above 0, such as 10G');
  if (options.format === 'qcow2') await createImage(file, { ...options, size, backing });
  else await file.write((sectors - 1) * SECTOR, new Uint8Array(SECTOR));
}

async function inNewFile<T>(
  store: ImageStore,
  path: string,
  replace: boolean,
  fill: (file: SizedFile) => Promise<T>,
): Promise<T> {
  const made = await store.create(path, replace);
  try {
    const result = await fill(made.file);
    await made.file.flush();
    await made.file.close();
    await made.keep();
    return result;
  } catch (error) {
    await made.file.close().catch(() => {});
    await made.discard();
    throw error;
  }
}

/** What is known of an image without reading its content. */
export interface DiskInfo {
  readonly path: string;
  readonly format: ImageFormat;
  /** Bytes of the disk, of the file, and of what the file takes where it is, if that is known. */
  readonly size: number;
  readonly fileSize: number;
  readonly allocatedSize?: number | undefined;
  /** Undefined for raw images. */
  readonly qcow2?: {
    readonly version: 2 | 3;
    readonly clusterSize: number;
    readonly refcountBits: number;
    readonly extendedL2: boolean;
    readonly compressionType: CompressionType;
    readonly lazyRefcounts: boolean;
    readonly dirty: boolean;
    readonly corrupt: boolean;
    readonly backing: (BackingName & { readonly path: string }) | null;
    readonly snapshots: readonly Omit<Snapshot, 'l1'>[];
  };
}

/** @throws UserError when it is no image that can be used. */
export async function diskInfo(store: ImageStore, path: string, format?: ImageFormat): Promise<DiskInfo> {
  const file = await store.open(path, 'read');
  try {
    const fileSize = await file.size();
    const found = format ?? (await detectFormat(file));
    const known = { path, format: found, fileSize, allocatedSize: await store.allocated(path) };
    if (found === 'raw') return { ...known, size: Math.ceil(fileSize / SECTOR) * SECTOR };
    const header = await readHeader(file, path);
    return { ...known, size: header.size, qcow2: await describe(store, path, file, header) };
  } finally {
    await file.close();
  }
}

async function describe(store: ImageStore, path: string, file: SizedFile, header: Header): Promise<DiskInfo['qcow2']> {
  const { geometry, backing, compressionType, lazyRefcounts, dirty, corrupt } = header;
  const { snapshots } = await readSnapshots(file, await file.size(), header, path);
  return {
    version: geometry.version,
    clusterSize: geometry.clusterSize,
    refcountBits: geometry.refcountBits,
    extendedL2: geometry.subclusters > 1,
    compressionType,
    lazyRefcounts,
    dirty,
    corrupt,
    backing:
      backing === undefined ? null : { ...backing, path: backingPath(store, path, backing.name) ?? backing.name },
    snapshots: snapshots.map(({ l1: _, ...snapshot }) => snapshot),
  };
}

export interface ConvertOptions extends ImageShape {
  /** Undefined: found out from the content. */
  readonly fromFormat: ImageFormat | undefined;
  readonly compress: boolean;
  /** Told how many bytes of how many are done. */
  readonly onProgress?: ((done: number, size: number) => void) | undefined;
  /** Ends it early, by an exception; nothing is left behind. */
  readonly signal?: { throwIfAborted(): void } | undefined;
}

/** Copies the disk of one image into a new one, with all that is behind it, leaving out what is zero. @throws UserError */
export async function convertDisk(store: ImageStore, from: string, to: string, options: ConvertOptions): Promise<void> {
  if (options.compress && options.format === 'raw')
    throw new UserError('a raw image cannot be compressed: leave --compress out, or choose --format qcow2');
  const { disk } = await openImage(store, from, { readOnly: true, format: options.fromFormat });
  try {
    await inNewFile(store, to, options.replace, async (file) => {
      await shape(file, disk.size, options, undefined);
      const target = await openTarget(file, to, disk.size, options);
      await copyDisk(disk, target, {
        grain: grainOf(options),
        compress: options.compress ? compressorOf(store, options) : undefined,
        onProgress: (done) => options.onProgress?.(done, disk.size),
        signal: options.signal,
      });
      // The file stays open until it has its name.
      await target.close();
    });
  } finally {
    await disk.close();
  }
}

const compressorOf = (store: ImageStore, { compressionType }: ConvertOptions): Compress =>
  compressionType === 'zstd' ? (bytes) => store.zstd(bytes) : deflate;

function grainOf({ format, clusterSize, extendedL2, compress }: ConvertOptions): number {
  if (format === 'raw') return RAW_GRAIN;
  return extendedL2 === true && !compress ? clusterSize / SUBCLUSTERS : clusterSize;
}

async function openTarget(file: SizedFile, name: string, size: number, { format }: ImageShape): Promise<BlockBackend> {
  const kept: SizedFile = {
    read: (offset, into) => file.read(offset, into),
    write: (offset, bytes) => file.write(offset, bytes),
    size: () => file.size(),
    flush: async () => {},
    close: async () => {},
  };
  if (format === 'raw') return new RawDisk(kept, { size, readOnly: false });
  return Qcow2Disk.open(kept, await readHeader(kept, name), { name, readOnly: false, backing: undefined });
}

export interface CompareDisksOptions {
  /** Of the two images; undefined: found out from the content. */
  readonly formats: readonly [ImageFormat | undefined, ImageFormat | undefined];
  /** Told how many bytes of how many are done. */
  readonly onProgress?: ((done: number, size: number) => void) | undefined;
}

/** What two disks have in common. */
export interface Comparison {
  readonly sizes: readonly [number, number];
  /** The first byte in which they differ, or null. Behind its end the smaller disk counts as zeros. */
  readonly differsAt: number | null;
}

/** Compares the disks of two images, with all that is behind them. @throws UserError when one of them cannot be used. */
export async function compareDisks(
  store: ImageStore,
  paths: readonly [string, string],
  { formats, onProgress }: CompareDisksOptions,
): Promise<Comparison> {
  const { disk: one } = await openImage(store, paths[0], { readOnly: true, format: formats[0] });
  try {
    const { disk: other } = await openImage(store, paths[1], { readOnly: true, format: formats[1] });
    try {
      const size = Math.max(one.size, other.size);
      const differsAt = await firstDifference(one, other, { onProgress: (done) => onProgress?.(done, size) });
      return { sizes: [one.size, other.size], differsAt: differsAt ?? null };
    } finally {
      await other.close();
    }
  } finally {
    await one.close();
  }
}

export interface CheckDiskOptions {
  readonly format: ImageFormat | undefined;
  readonly repair: Repair;
  /** Told from 0 to 1 how far it is. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** Checks a qcow2 image. @throws UserError when there is nothing to check, or it cannot be read far enough. */
export async function checkDisk(store: ImageStore, path: string, options: CheckDiskOptions): Promise<CheckReport> {
  const file = await store.open(path, options.repair === 'none' ? 'read' : 'write');
  try {
    if ((options.format ?? (await detectFormat(file))) === 'raw')
      throw new UserError(`${path}: a raw image has no tables that could be checked: name a qcow2 image`);
    return await checkImage(file, await readHeader(file, path), path, options);
  } finally {
    await file.close();
  }
}

export interface ResizeOptions {
  /** Undefined: found out from the content. */
  readonly format: ImageFormat | undefined;
  /** Bytes of the disk to be, by those it has. */
  readonly size: (before: number) => number;
  /** Whether it may become smaller. */
  readonly shrink: boolean;
}

/** Sizes of a disk before and after. */
export interface Resized {
  readonly before: number;
  readonly after: number;
}

/** Makes the disk of an image larger or smaller, where it is. @throws UserError when that cannot or must not be done. */
export async function resizeDisk(store: ImageStore, path: string, options: ResizeOptions): Promise<Resized> {
  const { disk } = await openImage(store, path, { readOnly: false, format: options.format });
  let sizes: Resized;
  let fileSize: number | undefined;
  try {
    sizes = wantedSize(path, disk.size, options);
    if (sizes.before !== sizes.after)
      fileSize = disk instanceof Qcow2Disk ? await resizeQcow2(store, path, disk, sizes.after) : sizes.after;
  } finally {
    await disk.close();
  }
  if (fileSize !== undefined) await store.truncate(path, fileSize);
  return sizes;
}

function wantedSize(path: string, before: number, { size, shrink }: ResizeOptions): Resized {
  const after = Math.ceil(size(before) / SECTOR) * SECTOR;
  if (after <= 0) throw new UserError('a disk needs a size above 0, such as 10G');
  if (after < before && !shrink)
    throw new UserError(
      `${path}: the disk has ${before} bytes and would lose those from ${after} on: make what is in it smaller first, then say --shrink`,
    );
  return { before, after };
}

/** Returns how long the file may be. */
async function resizeQcow2(store: ImageStore, path: string, disk: Qcow2Disk, size: number): Promise<number> {
  const { qcow2 } = await diskInfo(store, path, 'qcow2');
  if (qcow2?.version === 2 && qcow2.snapshots.length > 0)
    throw new UserError(
      `${path}: with snapshots a disk of version 2 keeps its size: delete them with \`qemu-img snapshot -d\`, or copy the disk with \`trapeze disk convert\``,
    );
  return disk.resize(size);
}
