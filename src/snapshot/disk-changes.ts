/** What a disk's overlay holds, packed into sections: the disk's number, then changes, each with a header. */
import type { BlockBackend, DiskChange, DiskOverlay } from '../devices/contract.ts';
import { snapshotProblem } from './problem.ts';
import { joined } from './streams.ts';

const NUMBER_BYTES = 4;
/** Offset (8 bytes), length (4), 1 for data behind it or 0 for zeroes (4). */
const CHANGE_HEADER_BYTES = 16;
const SECTOR = 512;
/** A section is written when it has grown to this. */
const ENOUGH = 2 ** 22;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export async function* changeSections(disk: number, overlay: DiskOverlay): AsyncGenerator<Uint8Array> {
  const number = new Uint8Array(NUMBER_BYTES);
  viewOf(number).setUint32(0, disk, true);
  let pieces = [number];
  let length = NUMBER_BYTES;
  for await (const change of overlay.changes()) {
    const header = changeHeader(change);
    pieces.push(header, ...(change.bytes === undefined ? [] : [change.bytes as Uint8Array<ArrayBuffer>]));
    length += header.length + (change.bytes?.length ?? 0);
    if (length < ENOUGH) continue;
    yield joined(pieces, length);
    pieces = [number];
    length = NUMBER_BYTES;
  }
  if (pieces.length > 1) yield joined(pieces, length);
}

function changeHeader({ offset, length, bytes }: DiskChange): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(CHANGE_HEADER_BYTES);
  viewOf(header).setBigUint64(0, BigInt(offset), true);
  viewOf(header).setUint32(8, length, true);
  viewOf(header).setUint32(12, bytes === undefined ? 0 : 1, true);
  return header;
}

/** Writes the changes of a section into overlays that have none yet, or were begun to be filled. @throws UserError when they do not fit. */
export async function restoreChanges(disks: readonly BlockBackend[], content: Uint8Array): Promise<void> {
  const disk = content.length < NUMBER_BYTES ? undefined : disks[viewOf(content).getUint32(0, true)];
  if (disk?.overlay === undefined && disk?.filling?.state !== 'begun')
    throw snapshotProblem('it has changes of a disk that has no overlay');
  for (let at = NUMBER_BYTES; at < content.length; ) {
    const change = changeAt(content, at, disk.size);
    if (change === undefined) throw snapshotProblem('a change of a disk lies outside the disk');
    await apply(disk, change);
    at += CHANGE_HEADER_BYTES + (change.bytes?.length ?? 0);
  }
}

function changeAt(content: Uint8Array, at: number, size: number): DiskChange | undefined {
  if (at + CHANGE_HEADER_BYTES > content.length) return undefined;
  const view = viewOf(content);
  const offset = Number(view.getBigUint64(at, true));
  const length = view.getUint32(at + 8, true);
  const hasBytes = view.getUint32(at + 12, true) !== 0;
  const begin = at + CHANGE_HEADER_BYTES;
  const whole = offset % SECTOR === 0 && length % SECTOR === 0 && length > 0 && offset + length <= size;
  if (!whole || (hasBytes && begin + length > content.length)) return undefined;
  return { offset, length, bytes: hasBytes ? content.subarray(begin, begin + length) : undefined };
}

async function apply(disk: BlockBackend, { offset, length, bytes }: DiskChange): Promise<void> {
  if (bytes !== undefined) await disk.write(offset, bytes);
  else if (disk.writeZeroes !== undefined) await disk.writeZeroes(offset, length);
  else await disk.write(offset, new Uint8Array(length));
}
