/** Files as Node has them. */
import type { FileHandle } from 'node:fs/promises';
import { type SizedFile, StorageFullError } from '../../storage/file.ts';

/** What the host says when a file cannot grow: no space, over quota, larger than the file system allows. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** The system's name for what went wrong. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined;

/** An open file of the host. */
export class NodeFile implements SizedFile {
  readonly #handle: FileHandle;
  readonly #onClose: () => Promise<void>;

  constructor(handle: FileHandle, onClose: () => Promise<void> = async () => {}) {
    this.#handle = handle;
    this.#onClose = onClose;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#handle.read(into, done, into.length - done, offset + done);
      if (bytesRead === 0) {
        into.fill(0, done);
        return;
      }
      done += bytesRead;
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < from.length; ) {
        const { bytesWritten } = await this.#handle.write(from, done, from.length - done, offset + done);
        done += bytesWritten;
      }
    } catch (error) {
      if (FULL.has(codeOf(error) ?? '')) throw new StorageFullError('the host has no room', { cause: error });
      throw error;
    }
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async flush(): Promise<void> {
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
    await this.#onClose();
  }
}
