/** Files in IndexedDB, for browsers without a private file system: chunks of 64 KiB, and the length. */
import type { SizedFile } from '../../storage/file.ts';
import { UserError } from '../../user-error.ts';
import { full, isQuota, TakenError } from './opfs-file.ts';

const DATABASE = 'trapeze-files';
const CHUNKS = 'chunks';
const SIZES = 'sizes';
const CHUNK = 65_536;

export async function openIndexedFile(name: string): Promise<SizedFile> {
  const unlock = await lock(name);
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(CHUNKS);
    opening.result.createObjectStore(SIZES);
  };
  try {
    const database = await settled(opening);
    const size = await settled<unknown>(database.transaction(SIZES).objectStore(SIZES).get(name));
    return new IndexedFile(name, database, typeof size === 'number' ? size : 0, unlock);
  } catch (error) {
    unlock();
    const { message } = error as Error;
    throw new UserError(`${name}: the browser keeps no files for this page (${message}): allow it, or leave it out`);
  }
}

/** One opener at a time, where the browser has locks: not on plain HTTP. @throws UserError */
async function lock(name: string): Promise<() => void> {
  const { locks } = navigator as { locks?: LockManager };
  if (locks === undefined) return () => {};
  return await new Promise<() => void>((resolve, reject) => {
    const held = locks.request(`${DATABASE} ${name}`, { ifAvailable: true }, (granted) => {
      if (granted === null) reject(new TakenError(name));
      else return new Promise<void>((release) => resolve(release));
      return undefined;
    });
    held.catch(reject);
  });
}

class IndexedFile implements SizedFile {
  readonly #name: string;
  readonly #database: IDBDatabase;
  readonly #unlock: () => void;
  #size: number;

  constructor(name: string, database: IDBDatabase, size: number, unlock: () => void) {
    this.#name = name;
    this.#database = database;
    this.#size = size;
    this.#unlock = unlock;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const store = this.#database.transaction(CHUNKS).objectStore(CHUNKS);
    const read = async ({ index, start, length, done }: Piece): Promise<void> => {
      const chunk = await settled<Uint8Array | undefined>(store.get([this.#name, index]));
      if (chunk === undefined) into.fill(0, done, done + length);
      else into.set(chunk.subarray(start, start + length), done);
    };
    await Promise.all(pieces(offset, into.length).map(read));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const size = Math.max(this.#size, offset + from.length);
    await this.#change('relaxed', (chunks, sizes) => {
      for (const { index, start, length, done } of pieces(offset, from.length)) {
        const key = [this.#name, index];
        const part = from.subarray(done, done + length);
        if (length === CHUNK) {
          chunks.put(part.slice(), key);
          continue;
        }
        const old = chunks.get(key);
        old.onsuccess = () => {
          const chunk = (old.result as Uint8Array | undefined) ?? new Uint8Array(CHUNK);
          chunk.set(part, start);
          chunks.put(chunk, key);
        };
      }
      if (size > this.#size) sizes.put(size, this.#name);
    });
    this.#size = Math.max(this.#size, size);
  }

  async size(): Promise<number> {
    return this.#size;
  }

  /** A transaction that is durable when it ends, behind all others: databases write one journal. */
  async flush(): Promise<void> {
    await this.#change('strict', (_chunks, sizes) => void sizes.put(this.#size, this.#name));
  }

  async close(): Promise<void> {
    this.#database.close();
    this.#unlock();
  }

  /** Resolves when the transaction has ended, not only its requests. */
  async #change(
    durability: IDBTransactionDurability,
    change: (chunks: IDBObjectStore, sizes: IDBObjectStore) => void,
  ): Promise<void> {
    const transaction = this.#database.transaction([CHUNKS, SIZES], 'readwrite', { durability });
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => {
        const { error } = transaction;
        reject(isQuota(error) ? full(error) : (error ?? new Error('the browser gave the transaction up')));
      };
      transaction.oncomplete = () => resolve();
      transaction.onabort = fail;
      change(transaction.objectStore(CHUNKS), transaction.objectStore(SIZES));
    });
  }
}

interface Piece {
  readonly index: number;
  readonly start: number;
  readonly length: number;
  readonly done: number;
}

/** The parts of a range that lie in one chunk each. */
function pieces(offset: number, total: number): Piece[] {
  const all: Piece[] = [];
  for (let done = 0, length = 0; done < total; done += length) {
    const start = (offset + done) % CHUNK;
    length = Math.min(CHUNK - start, total - done);
    all.push({ index: Math.floor((offset + done) / CHUNK), start, length, done });
  }
  return all;
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
