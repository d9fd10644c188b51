import type { BlockBackend } from '../devices/contract.ts';
import { type RandomAccessFile, StorageFullError } from './file.ts';

export interface RawDiskOptions {
  /** Bytes: a multiple of 512. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Called once, when the host first has no room for a write. */
  readonly onFull?: () => void;
}

/** A disk whose bytes are those of a file. */
export class RawDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #file: RandomAccessFile;
  #onFull: (() => void) | undefined;

  constructor(file: RandomAccessFile, options: RawDiskOptions) {
    this.#file = file;
    this.size = options.size;
    this.readOnly = options.readOnly;
    this.#onFull = options.onFull;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#file.read(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    if (this.readOnly) throw new Error('the disk is read-only');
    try {
      await this.#file.write(offset, from);
    } catch (error) {
      if (error instanceof StorageFullError) {
        this.#onFull?.();
        this.#onFull = undefined;
      }
      throw error;
    }
  }

  async flush(): Promise<void> {
    if (!this.readOnly) await this.#file.flush();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
