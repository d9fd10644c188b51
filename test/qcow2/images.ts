/** Images in memory, for tests. */
import type { BlockBackend } from '../../src/devices/contract.ts';
import { MissingFileError, type SizedFile } from '../../src/storage/file.ts';
import { type ImageFiles, readHeader } from '../../src/storage/image.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { type CheckReport, checkImage, type Repair } from '../../src/storage/qcow2/check.ts';
import { createImage, type NewImage } from '../../src/storage/qcow2/create.ts';
import { Qcow2Disk } from '../../src/storage/qcow2/disk.ts';

export const NAME = 'test.qcow2';

export async function fileWith(content: Uint8Array): Promise<MemoryFile> {
  const file = new MemoryFile();
  await file.write(0, content);
  return file;
}

export async function contentOf(file: SizedFile): Promise<Uint8Array> {
  const content = new Uint8Array(await file.size());
  await file.read(0, content);
  return content;
}

/** The bytes of a new image. */
export async function newImage(options: Partial<NewImage> & { readonly size: number }): Promise<Uint8Array> {
  const file = new MemoryFile();
  const usual = { clusterSize: 65_536, refcountBits: 16, version: 3 as const, backing: undefined };
  await createImage(file, { ...usual, ...options });
  return contentOf(file);
}

export async function openDisk(
  file: SizedFile,
  { readOnly = false, backing }: { readonly readOnly?: boolean; readonly backing?: BlockBackend | undefined } = {},
): Promise<Qcow2Disk> {
  return Qcow2Disk.open(file, await readHeader(file, NAME), { name: NAME, readOnly, backing });
}

/** The whole disk, read in pieces. */
export async function readAll(disk: BlockBackend): Promise<Uint8Array> {
  const PIECE = 2 ** 20;
  const all = new Uint8Array(disk.size);
  for (let at = 0; at < all.length; at += PIECE) await disk.read(at, all.subarray(at, at + PIECE));
  return all;
}

export async function check(file: SizedFile, repair: Repair = 'none'): Promise<CheckReport> {
  return checkImage(file, await readHeader(file, NAME), NAME, { repair });
}

/** The file, which closing does not lose. */
export const keptOpen = (file: SizedFile): SizedFile => ({
  read: (offset, into) => file.read(offset, into),
  write: (offset, from) => file.write(offset, from),
  size: () => file.size(),
  flush: () => file.flush(),
  close: async () => {},
});

/** Files by name. Closing does not lose them. */
export function filesOf(contents: ReadonlyMap<string, SizedFile>): ImageFiles {
  const find = (name: string): SizedFile => {
    const file = contents.get(name);
    if (file === undefined) throw new MissingFileError(`${name}: no such file`);
    return file;
  };
  return {
    open: async (name) => keptOpen(find(name)),
    resolve: (_, name) => name,
    identity: async (name) => {
      find(name);
      return name;
    },
  };
}

/** A disk that is only read. */
export class BytesDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly = true;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.size = bytes.length;
    this.#bytes = bytes;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  async write(): Promise<void> {
    throw new Error('the disk is read-only');
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}
