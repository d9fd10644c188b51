/** Files of the origin private file system (File System Standard): worker only, one opener at a time. */
import { type SizedFile, StorageFullError } from '../../storage/file.ts';
import { UserError } from '../../user-error.ts';

/** Undefined where the browser, or this page, has none: some have none in private windows, none has it on plain HTTP. */
export async function openOpfsFile(name: string): Promise<SizedFile | undefined> {
  let handle: FileSystemSyncAccessHandle;
  try {
    const root = await navigator.storage.getDirectory();
    const file = await root.getFileHandle(encodeURIComponent(name), { create: true });
    handle = await file.createSyncAccessHandle();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NoModificationAllowedError') throw new TakenError(name);
    return undefined;
  }
  return new OpfsFile(handle);
}

class OpfsFile implements SizedFile {
  readonly #handle: FileSystemSyncAccessHandle;

  constructor(handle: FileSystemSyncAccessHandle) {
    this.#handle = handle;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const length = this.#handle.read(into as Uint8Array<ArrayBuffer>, { at: offset });
    into.fill(0, length);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    let written: number;
    try {
      written = this.#handle.write(from as Uint8Array<ArrayBuffer>, { at: offset });
    } catch (error) {
      throw isQuota(error) ? full(error) : error;
    }
    // How some browsers tell that there is no room for all.
    if (written < from.length) throw full();
  }

  async size(): Promise<number> {
    return this.#handle.getSize();
  }

  async flush(): Promise<void> {
    this.#handle.flush();
  }

  async close(): Promise<void> {
    this.#handle.close();
  }
}

export class TakenError extends UserError {
  constructor(name: string) {
    super(`${name}: another page or machine uses this file: stop that first`);
  }
}

/** Whether the browser gives the page no more room. */
export const isQuota = (error: unknown): boolean => error instanceof Error && error.name === 'QuotaExceededError';

export const full = (cause?: unknown): StorageFullError =>
  new StorageFullError('the browser gives the page no more room', { cause });
