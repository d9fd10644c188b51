import { UserError } from '../user-error.ts';

/** What disks are kept in. Hosts implement it: files, memory, one day objects behind HTTP. */
export interface RandomAccessFile {
  /** Fills `into`; bytes that were never written, also behind the end, are zero. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Writes all of `from`, growing the file where needed. Rejects with `StorageFullError` when the host has no room. */
  write(offset: number, from: Uint8Array): Promise<void>;
  /** Resolves when everything written before is durable. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** A file that knows its length, as formats need that keep tables in it. */
export interface SizedFile extends RandomAccessFile {
  /** Bytes up to the end of what was written. */
  size(): Promise<number>;
}

/** There is no file of that name. */
export class MissingFileError extends UserError {}

/** The host has no room for what a guest writes. */
export class StorageFullError extends Error {
  override readonly name = 'StorageFullError';
}
