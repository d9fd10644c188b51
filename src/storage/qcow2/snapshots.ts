/** Internal snapshots: states of the disk that the image keeps besides the current one. */
import type { RandomAccessFile } from '../file.ts';
import { CorruptImageError, ENTRY_SIZE, readU64, viewOf } from './format.ts';
import { type Header, MAXIMUM_L1_BYTES } from './header.ts';

export interface Snapshot {
  readonly id: string;
  readonly name: string;
  /** When it was taken: milliseconds since 1970-01-01 UTC. */
  readonly takenMs: number;
  /** Nanoseconds that the guest had run. */
  readonly guestTimeNs: number;
  /** Bytes of the guest's memory and devices kept with it. */
  readonly stateSize: number;
  /** Bytes of the disk then. */
  readonly diskSize: number;
  readonly l1: { readonly offset: number; readonly entries: number };
}

interface SnapshotTable {
  readonly snapshots: readonly Snapshot[];
  /** Bytes of the table. */
  readonly length: number;
}

const FIXED = 40;
const EXTRA = { stateSize: 0, diskSize: 8, known: 16 } as const;
/** As QEMU has it. */
const MAXIMUM_EXTRA = 1024;

/** @throws CorruptImageError when the table contradicts itself or lies outside of the file. */
export async function readSnapshots(
  file: RandomAccessFile,
  fileSize: number,
  header: Header,
  image: string,
): Promise<SnapshotTable> {
  const { offset, count } = header.snapshots;
  const snapshots: Snapshot[] = [];
  let at = offset;
  for (let index = 0; index < count; index++) {
    const fixed = await bytesAt(file, fileSize, at, FIXED, image);
    const [idLength, nameLength, extraLength] = [fixed.getUint16(12), fixed.getUint16(14), fixed.getUint32(36)];
    if (extraLength > MAXIMUM_EXTRA) throw new CorruptImageError(image, `snapshot ${index + 1} makes no sense`);
    const length = extraLength + idLength + nameLength;
    const rest = await bytesAt(file, fileSize, at + FIXED, length, image);
    snapshots.push(snapshotOf(fixed, rest, header.size));
    at += Math.ceil((FIXED + length) / 8) * 8;
  }
  checkTables(snapshots, fileSize, header, image);
  return { snapshots, length: at - offset };
}

async function bytesAt(
  file: RandomAccessFile,
  fileSize: number,
  at: number,
  length: number,
  image: string,
): Promise<DataView> {
  if (at + length > fileSize) throw new CorruptImageError(image, 'the table of snapshots leaves the file');
  const bytes = new Uint8Array(length);
  await file.read(at, bytes);
  return viewOf(bytes);
}

function snapshotOf(fixed: DataView, rest: DataView, size: number): Snapshot {
  const [idLength, nameLength, extraLength] = [fixed.getUint16(12), fixed.getUint16(14), fixed.getUint32(36)];
  const text = (at: number, length: number): string =>
    new TextDecoder().decode(new Uint8Array(rest.buffer, rest.byteOffset + at, length));
  return {
    id: text(extraLength, idLength),
    name: text(extraLength + idLength, nameLength),
    takenMs: fixed.getUint32(16) * 1000 + Math.floor(fixed.getUint32(20) / 1_000_000),
    guestTimeNs: readU64(fixed, 24),
    stateSize: extraLength >= EXTRA.diskSize ? readU64(rest, EXTRA.stateSize) : fixed.getUint32(32),
    diskSize: extraLength >= EXTRA.known ? readU64(rest, EXTRA.diskSize) : size,
    l1: { offset: readU64(fixed, 0), entries: fixed.getUint32(8) },
  };
}

/** Each snapshot has an L1 table of its own, so that together they are no larger than the file. */
function checkTables(snapshots: readonly Snapshot[], fileSize: number, header: Header, image: string): void {
  const { clusterSize } = header.geometry;
  const end = Math.ceil(fileSize / clusterSize) * clusterSize;
  let total = 0;
  for (const { name, l1 } of snapshots) {
    const bytes = l1.entries * ENTRY_SIZE;
    total += bytes;
    if (bytes > MAXIMUM_L1_BYTES || l1.offset % clusterSize !== 0 || l1.offset + bytes > end || total > end)
      throw new CorruptImageError(image, `the L1 table of snapshot '${name}' leaves the file`);
  }
}
