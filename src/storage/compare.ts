/** Whether two disks hold the same. */
import type { BlockBackend } from '../devices/contract.ts';
import { extentOf } from './extent.ts';

export interface CompareOptions {
  /** Told how many bytes are done. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

const CHUNK = 2 ** 20;

/** The first byte in which they differ; undefined when there is none. Behind its end a disk counts as zeros. */
export async function firstDifference(
  one: BlockBackend,
  other: BlockBackend,
  { onProgress }: CompareOptions,
): Promise<number | undefined> {
  const size = Math.max(one.size, other.size);
  const [left, right] = [new Uint8Array(CHUNK), new Uint8Array(CHUNK)];
  for (let at = 0; at < size; onProgress?.(at)) {
    const extents = [await extentOf(one, at), await extentOf(other, at)] as const;
    const length = Math.min(size - at, extents[0].length, extents[1].length);
    if (extents[0].zero && extents[1].zero) {
      at += length;
      continue;
    }
    const piece = Math.min(length, CHUNK);
    await readPadded(one, at, left.subarray(0, piece));
    await readPadded(other, at, right.subarray(0, piece));
    for (let i = 0; i < piece; i++) if (left[i] !== right[i]) return at + i;
    at += piece;
  }
  return undefined;
}

async function readPadded(disk: BlockBackend, offset: number, into: Uint8Array): Promise<void> {
  const there = Math.max(0, Math.min(into.length, disk.size - offset));
  if (there > 0) await disk.read(offset, into.subarray(0, there));
  into.fill(0, there);
}
