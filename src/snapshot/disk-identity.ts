/** Whether a disk is the one that a snapshot was taken with, in the state that it had then. */
import type { BlockBackend } from '../devices/contract.ts';
import { crc32 } from './crc32.ts';
import type { SavedDisk } from './description.ts';

/** The start of a disk has its partition table and the superblock of its first file system, which every mount changes. */
const START = 65_536;
const SAMPLE = 4096;
const SAMPLES = 8;

/** How identities begin that an overlay was given. */
const PINNED = 'overlay ';

/** Where what a guest writes goes: into the snapshot, nowhere, into an overlay that lasts, or into the disk itself. */
export type DiskMode = 'cow' | 'ro' | 'overlay' | 'rw';

export const modeOf = ({ overlay, readOnly, identity }: SavedDisk): DiskMode =>
  overlay ? 'cow' : readOnly ? 'ro' : identity.startsWith(PINNED) ? 'overlay' : 'rw';

/** What the back end says of itself, or a checksum over parts of it. */
export async function diskIdentity(disk: BlockBackend): Promise<string> {
  if (disk.pin !== undefined) return `${PINNED}${disk.identity ?? 'that was written since'}`;
  return baseIdentity(disk.overlay?.base ?? disk);
}

/** The same of what changes lie over. */
export async function baseIdentity(below: BlockBackend): Promise<string> {
  return below.identity ?? `crc32:${(await checksum(below)).toString(16).padStart(8, '0')}`;
}

async function checksum(disk: BlockBackend): Promise<number> {
  const start = new Uint8Array(Math.min(START, disk.size));
  await disk.read(0, start);
  let result = crc32(start);
  const sample = new Uint8Array(SAMPLE);
  for (let i = 1; i <= SAMPLES && disk.size > START + SAMPLE; i++) {
    const offset = Math.floor(((disk.size - SAMPLE) * (i / SAMPLES)) / SAMPLE) * SAMPLE;
    await disk.read(offset, sample);
    result = crc32(sample, result);
  }
  return result;
}
