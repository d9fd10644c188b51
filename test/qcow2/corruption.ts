/** Damaged images: each is an error or a disk, and never more than that. */
import type { BlockBackend } from '../../src/devices/contract.ts';
import { type SizedFile, StorageFullError } from '../../src/storage/file.ts';
import { type OpenImage, openImage, readHeader } from '../../src/storage/image.ts';
import { checkImage } from '../../src/storage/qcow2/check.ts';
import { Qcow2Disk } from '../../src/storage/qcow2/disk.ts';
import { readSnapshots } from '../../src/storage/qcow2/snapshots.ts';
import { UserError } from '../../src/user-error.ts';
import type { Random } from '../conformance/random.ts';
import { filesOf, fileWith, NAME } from './images.ts';

const SECTOR = 512;
const MIB = 2 ** 20;
/** What one damaged image may cost: reads of the file, and bytes of them. */
const MOST_READS = 300_000;
const MOST_BYTES = 2 ** 31;
/** A disk is read whole up to this size, and in places beyond it. */
const WHOLE = 32 * MIB;
const LARGEST_CLUSTER = 2 * MIB;

/** A file that tells when somebody reads outside of it, or without end. */
function guarded(file: SizedFile): SizedFile {
  let [reads, bytes] = [0, 0];
  return {
    async read(offset, into) {
      const size = await file.size();
      // The last cluster may be cut off: what is missing of it reads as zeros.
      const end = Math.ceil(size / LARGEST_CLUSTER) * LARGEST_CLUSTER;
      if (!Number.isSafeInteger(offset) || offset < 0 || (into.length > 0 && offset + into.length > end))
        throw new Error(`a read of ${into.length} bytes at ${offset} of a file of ${size} bytes`);
      reads += 1;
      bytes += into.length;
      if (reads > MOST_READS || bytes > MOST_BYTES) throw new Error(`${reads} reads of ${bytes} bytes: no end`);
      await file.read(offset, into);
    },
    write: (offset, from) => {
      if (!Number.isSafeInteger(offset + from.length) || offset < 0) throw new Error(`a write at ${offset}`);
      return file.write(offset, from);
    },
    size: () => file.size(),
    flush: () => file.flush(),
    close: async () => {},
  };
}

/** Runs `action`; what a person may be told is no defect. */
async function tolerate(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof UserError && !error.message.includes('\n')) return;
    if (error instanceof StorageFullError) return;
    throw error;
  }
}

/** Changes a few bytes, mostly of tables. */
export function damage(image: Uint8Array, random: Random): Uint8Array {
  const bytes = new Uint8Array(image);
  const view = new DataView(bytes.buffer);
  // A header that is beyond use hides everything else.
  const places = random.chance(0.15) ? HEADER_PLACES : tablesOf(image);
  for (let count = 1 + random.below(6); count > 0; count--) {
    const [from, length] = random.chance(0.1) ? [512, bytes.length - 512] : random.pick(places);
    const at = Math.min(bytes.length - 8, from + random.below(length));
    const entry = Math.min(bytes.length - 8, at - ((at - from) % 8));
    switch (random.below(6)) {
      case 0:
        bytes[at] = random.u32();
        break;
      case 1:
        bytes[at]! ^= 1 << random.below(8);
        break;
      case 2:
        view.setBigUint64(entry, random.u64());
        break;
      case 3:
        // An offset that could be one.
        view.setUint32(entry + 4, random.below(bytes.length / SECTOR) * SECTOR);
        break;
      case 4:
        bytes.copyWithin(entry, random.pick(places)[0], random.pick(places)[0] + 8);
        break;
      default:
        bytes.fill(random.pick([0, 0xff]), at, at + random.pick([1, 8, 512]));
    }
  }
  return random.chance(0.15) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

type Place = readonly [offset: number, length: number];

/** The fields, and the extensions behind them. */
const HEADER_PLACES: readonly Place[] = [
  [8, 104],
  [112, 400],
];

/** Where the tables of a sound image are, by its header. */
function tablesOf(image: Uint8Array): readonly Place[] {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  // The last cluster may be cut off where it holds nothing more.
  const offsetAt = (at: number): number =>
    at + 8 > image.length ? 0 : Number(view.getBigUint64(at) & 0x00ff_ffff_ffff_fe00n);
  const clusterSize = 2 ** view.getUint32(20);
  const [l1, l1Length] = [offsetAt(40), view.getUint32(36) * 8];
  const tables: Place[] = [
    [l1, l1Length],
    [offsetAt(48), 64],
  ];
  if (view.getUint32(60) > 0) tables.push([offsetAt(64), 200]);
  for (let at = l1; at < l1 + Math.min(l1Length, 64); at += 8)
    if (offsetAt(at) !== 0) tables.push([offsetAt(at), Math.min(clusterSize, 512)]);
  for (let at = offsetAt(48); at < offsetAt(48) + 64; at += 8)
    if (offsetAt(at) !== 0) tables.push([offsetAt(at), Math.min(clusterSize, 256)]);
  return tables.filter(([offset, length]) => length > 0 && offset + 8 < image.length);
}

export interface DamagedOptions {
  readonly image: Uint8Array;
  /** Backing files by name. */
  readonly behind: ReadonlyMap<string, Uint8Array>;
  readonly random: Random;
}

/**
 * Opens a damaged image, reads it, checks it, repairs it and writes it.
 * Returns the disk as it was read, when all of it could be. @throws Error for what must not happen
 */
export async function useDamaged({ image, behind, random }: DamagedOptions): Promise<Uint8Array | undefined> {
  const contents = async (bytes: Uint8Array) => {
    const files = new Map<string, SizedFile>([[NAME, guarded(await fileWith(bytes))]]);
    for (const [name, content] of behind) files.set(name, guarded(await fileWith(content)));
    return files;
  };
  let whole: Uint8Array | undefined;
  await tolerate(async () => {
    const opened = await openImage(filesOf(await contents(image)), NAME, { readOnly: true, format: 'qcow2' });
    await tolerate(() => walk(opened));
    whole = await readSome(opened.disk, random);
  });
  for (const repair of ['none', 'leaks', 'all'] as const)
    await tolerate(async () => {
      const file = (await contents(image)).get(NAME)!;
      const header = await readHeader(file, NAME);
      await readSnapshots(file, await file.size(), header, NAME);
      await checkImage(file, header, NAME, { repair });
    });
  await tolerate(async () => {
    const opened = await openImage(filesOf(await contents(image)), NAME, { readOnly: false, format: 'qcow2' });
    await writeSome(opened.disk, random);
    await tolerate(() => opened.disk.close());
  });
  return whole;
}

/** Asks for the extents of the disk, as a conversion does. */
async function walk({ disk }: OpenImage): Promise<void> {
  if (!(disk instanceof Qcow2Disk)) return;
  for (let at = 0, steps = 0; at < disk.size && steps < 2000; steps++) at += (await disk.extent(at)).length;
}

async function readSome(disk: BlockBackend, random: Random): Promise<Uint8Array | undefined> {
  if (disk.size <= WHOLE) {
    const all = new Uint8Array(disk.size);
    for (let at = 0; at < all.length; at += MIB) await disk.read(at, all.subarray(at, at + MIB));
    return all;
  }
  for (let i = 0; i < 20; i++) {
    const offset = Math.floor((random.u32() / 2 ** 32) * (disk.size / SECTOR)) * SECTOR;
    await tolerate(() => disk.read(offset, new Uint8Array(Math.min(MIB, disk.size - offset))));
  }
  return undefined;
}

async function writeSome(disk: BlockBackend, random: Random): Promise<void> {
  for (let i = 0; i < 12; i++) {
    const sectors = disk.size / SECTOR;
    const first = Math.floor((random.u32() / 2 ** 32) * Math.min(sectors, 2 ** 40));
    const length = Math.min(sectors - first, 1 + random.below(200)) * SECTOR;
    await tolerate(async () => {
      if (random.chance(0.6)) await disk.write(first * SECTOR, new Uint8Array(length).fill(i));
      else if (random.chance(0.5)) await disk.writeZeroes?.(first * SECTOR, length);
      else await disk.flush();
    });
  }
}
