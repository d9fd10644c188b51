/**
 * Disk images of a page: files that a person chose, and files on servers. They are never written; changes stay in
 * memory, or in a file that the browser keeps.
 */
import type { DiskExtras } from '../../api/host.ts';
import type { BlockBackend } from '../../devices/contract.ts';
import { PersistentOverlay } from '../../storage/changes/persistent-overlay.ts';
import type { SizedFile } from '../../storage/file.ts';
import { isHttp } from '../../storage/http/address.ts';
import type { HttpDisk } from '../../storage/http/http-disk.ts';
import { openHttpDisk } from '../../storage/http/open-http.ts';
import { remoteFile, remoteIdentity, withFigures } from '../../storage/http/remote-file.ts';
import { type ImageFiles, openImage } from '../../storage/image.ts';
import { MemoryFile } from '../../storage/memory-file.ts';
import { OverlayDisk } from '../../storage/overlay.ts';
import { UserError } from '../../user-error.ts';
import { browserHttp } from './http.ts';
import { openStoredFile } from './stored-file.ts';

const SECTOR = 512;

/** An image, and what a person calls it; for one on a server, its address. */
export interface ImageSource {
  readonly name: string;
  /** Undefined: it lies on a server. */
  readonly blob?: Blob | undefined;
}

/**
 * Opens an image by its content; `cow` keeps changes in memory.
 * @throws UserError when it cannot serve as a disk.
 */
export async function openImageDisk(
  { name, blob }: ImageSource,
  mode: 'ro' | 'cow',
  report: (line: string) => void,
  { overlay, cache }: DiskExtras = {},
): Promise<BlockBackend> {
  let identity: string | undefined;
  const remotes: HttpDisk[] = [];
  const files: ImageFiles = {
    async open(wanted) {
      if (blob !== undefined) return new BlobFile(blob);
      const keep = wanted === name && cache !== undefined ? await openStoredFile(cache) : undefined;
      const disk = await openHttpDisk(wanted, browserHttp, { report, ...(keep && { keep }) });
      remotes.push(disk);
      if (wanted === name) identity = remoteIdentity(disk);
      return remoteFile(disk);
    },
    resolve,
    identity: async (wanted) => wanted,
  };
  const { disk: plain, format, fileSize } = await openImage(files, name, { readOnly: true });
  const disk = remotes.length === 0 ? plain : withFigures(plain, remotes);
  if (format === 'raw' && (fileSize === 0 || fileSize % SECTOR !== 0)) {
    await disk.close();
    throw new UserError(`disk ${name} has ${fileSize} bytes: a raw disk image has a multiple of ${SECTOR}, and not 0`);
  }
  if (overlay !== undefined) return await openOverlay(disk, name, identity, overlay, report);
  return mode === 'ro' ? disk : new OverlayDisk(disk, new MemoryFile());
}

/** Changes that the browser keeps under a name. Takes over `base`. */
async function openOverlay(
  base: BlockBackend,
  path: string,
  identity: string | undefined,
  name: string,
  report: (line: string) => void,
): Promise<BlockBackend> {
  let file: SizedFile | undefined;
  try {
    if (identity === undefined)
      throw new UserError(`${path}: the server tells neither ETag nor Last-Modified, so that a change would go unseen`);
    file = await openStoredFile(name);
    const onFull = (): void =>
      report(`${name}: the browser gives the page no more room and the guest gets write errors; free some`);
    return await PersistentOverlay.open(base, file, { identity, name, sha256: browserHttp.sha256, onFull });
  } catch (error) {
    await file?.close();
    await base.close();
    throw error;
  }
}

/** @throws UserError: a page cannot look for files. */
function resolve(from: string, name: string): string {
  const address = isHttp(from) && URL.canParse(name, from) ? new URL(name, from).href : '';
  if (isHttp(address)) return address;
  throw new UserError(
    `${from}: its backing file '${name}' is not to be had in a page: convert it (trapeze disk convert)`,
  );
}

class BlobFile implements SizedFile {
  readonly #blob: Blob;

  constructor(blob: Blob) {
    this.#blob = blob;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const found = new Uint8Array(await this.#blob.slice(offset, offset + into.length).arrayBuffer());
    into.set(found);
    into.fill(0, found.length);
  }

  async write(): Promise<void> {
    throw new Error('the file cannot be written');
  }

  async size(): Promise<number> {
    return this.#blob.size;
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
}
