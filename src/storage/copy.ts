/** Copies a disk, leaving out what is zero. */
import type { BlockBackend } from '../devices/contract.ts';
import { extentOf } from './extent.ts';
import { Qcow2Disk } from './qcow2/disk.ts';

export type Compress = (bytes: Uint8Array) => Promise<Uint8Array>;

export interface CopyOptions {
  /** Bytes that are left out together where they are all zero; of a qcow2 image a cluster. */
  readonly grain: number;
  /** Stores each grain compressed by it where that is shorter; for qcow2 images. */
  readonly compress: Compress | undefined;
  /** Told how many bytes of the disk are done. */
  readonly onProgress?: ((done: number) => void) | undefined;
  /** Ends the copy early, by an exception. */
  readonly signal?: { throwIfAborted(): void } | undefined;
}

const CHUNK = 2 ** 21;

/** Copies `from` to `to`, which is as large or larger and reads as zeros. */
export async function copyDisk(from: BlockBackend, to: BlockBackend, options: CopyOptions): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  for (let at = 0; at < from.size; ) {
    options.signal?.throwIfAborted();
    const extent = await extentOf(from, at);
    // A piece ends where a grain does, so that none is written in two parts.
    const zeroEnd = extent.zero ? wholeGrains(at + extent.length, from.size, options.grain) : at;
    const end = zeroEnd > at ? zeroEnd : Math.min(from.size, at + CHUNK - (at % CHUNK));
    if (end > zeroEnd) {
      const piece = buffer.subarray(0, end - at);
      await from.read(at, piece);
      await copyPiece(at, piece, to, options);
    }
    at = end;
    options.onProgress?.(at);
  }
}

/** The last end of a grain, or of the disk, up to `end`. */
const wholeGrains = (end: number, size: number, grain: number): number => (end >= size ? size : end - (end % grain));

async function copyPiece(offset: number, piece: Uint8Array, to: BlockBackend, options: CopyOptions): Promise<void> {
  const { grain, compress } = options;
  for (let start = grainAt(piece, 0, grain, offset, false); start < piece.length; ) {
    const end =
      compress !== undefined
        ? Math.min(piece.length, start + grain - ((offset + start) % grain))
        : grainAt(piece, start, grain, offset, true);
    const content = piece.subarray(start, end);
    const stored =
      compress !== undefined &&
      to instanceof Qcow2Disk &&
      (await writeCompressed(to, offset + start, content, grain, compress));
    if (!stored) await to.write(offset + start, content);
    start = grainAt(piece, end, grain, offset, false);
  }
}

/** Where, from `start` on, the first grain begins that is all zero, or is not. */
function grainAt(piece: Uint8Array, start: number, grain: number, offset: number, zero: boolean): number {
  for (let at = start; at < piece.length; ) {
    const end = Math.min(piece.length, at + grain - ((offset + at) % grain));
    if (isZero(piece.subarray(at, end)) === zero) return at;
    at = end;
  }
  return piece.length;
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

async function writeCompressed(
  to: Qcow2Disk,
  offset: number,
  content: Uint8Array,
  grain: number,
  compress: Compress,
): Promise<boolean> {
  if (offset % grain !== 0) return false;
  let cluster = content;
  if (content.length < grain) {
    // The disk ends inside of its last cluster.
    cluster = new Uint8Array(grain);
    cluster.set(content);
  }
  return to.writeCompressed(offset, await compress(cluster));
}
