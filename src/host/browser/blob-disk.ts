/** A file that a person chose in the browser, as a disk. */
import type { BlockBackend } from '../../devices/contract.ts';
import { MemoryFile } from '../../storage/memory-file.ts';
import { OverlayDisk } from '../../storage/overlay.ts';
import { UserError } from '../../user-error.ts';

const SECTOR = 512;

/** Never written: a browser gives files to read. */
class BlobDisk implements BlockBackend {
  readonly readOnly = true;
  readonly #blob: Blob;

  constructor(blob: Blob) {
    this.#blob = blob;
  }

  get size(): number {
    return this.#blob.size;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.set(new Uint8Array(await this.#blob.slice(offset, offset + into.length).arrayBuffer()));
  }

  async write(): Promise<void> {
    throw new Error('the file cannot be written');
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
}

/**
 * `cow` keeps changes in memory for this run.
 * @throws UserError when the file cannot serve as a disk.
 */
export function blobDisk(name: string, blob: Blob, mode: 'ro' | 'cow'): BlockBackend {
  if (blob.size === 0 || blob.size % SECTOR !== 0)
    throw new UserError(`disk ${name} has ${blob.size} bytes: a disk image has a multiple of ${SECTOR}, and not 0`);
  const base = new BlobDisk(blob);
  return mode === 'ro' ? base : new OverlayDisk(base, new MemoryFile());
}
