/** Snapshots in files. */
import { randomUUID } from 'node:crypto';
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm } from 'node:fs/promises';
import type { Machine } from '../../api/machine.ts';
import type { RestoreOptions } from '../../api/restore.ts';
import type { SaveOptions } from '../../api/snapshot.ts';
import { closeSources, type SnapshotSource, sourcesOf } from '../../api/snapshot-sources.ts';
import { isRandomSource, type RandomSource } from '../../snapshot/random-access.ts';
import type { ByteSource } from '../../snapshot/streams.ts';
import { isHttp } from '../../storage/http/address.ts';
import { RemoteContent } from '../../storage/http/remote-content.ts';
import { UserError } from '../../user-error.ts';
import { startAsking } from './ask-now.ts';
import { fileProblem, outputProblem } from './file-problem.ts';
import { openRemoteContent } from './remote-disk.ts';

export interface FileSaveOptions extends Omit<SaveOptions, 'base'> {
  /** The file of a complete snapshot of the same machine: only what differs is written. */
  readonly base?: string | undefined;
}

/**
 * Saves a machine to a file, which appears when it is whole: what had the name before stays until then.
 * @throws UserError when the machine does not run or the file cannot be written.
 */
export async function saveToFile(machine: Machine, path: string, options: FileSaveOptions = {}): Promise<void> {
  const { base } = options;
  if (base !== undefined)
    return withSnapshotStream(base, (source) => writeFile(machine, path, { ...options, base: source }));
  return writeFile(machine, path, { ...options, base: undefined });
}

async function writeFile(machine: Machine, path: string, options: SaveOptions): Promise<void> {
  const unfinished = `${path}.${randomUUID().slice(0, 8)}.part`;
  const file = await open(unfinished, 'wx').catch((error: unknown) => {
    throw outputProblem(path, error);
  });
  try {
    await machine.save(writable(file, path), options);
    await file.close();
    await rename(unfinished, path).catch((error: unknown) => {
      throw outputProblem(path, error);
    });
  } catch (error) {
    await file.close().catch(() => {});
    await rm(unfinished, { force: true });
    throw error;
  }
}

function writable(file: FileHandle, path: string): WritableStream<Uint8Array> {
  const orProblem = async (act: Promise<unknown>): Promise<void> => {
    try {
      await act;
    } catch (error) {
      throw outputProblem(path, error);
    }
  };
  return new WritableStream<Uint8Array>({
    write: (bytes) => orProblem(file.writeFile(bytes)),
    close: () => orProblem(file.sync()),
  });
}

const PIECE = 2 ** 18;

/** Gives `act` the content of a file, or of what lies at an address, as a stream. @throws UserError when it cannot be read. */
export async function withSnapshotStream<T>(path: string, act: (source: ByteSource) => Promise<T>): Promise<T> {
  if (isHttp(path)) return act((await openRemoteContent(path)).stream());
  const file = await open(path, 'r').catch((error: unknown) => {
    throw fileProblem(path, error);
  });
  try {
    return await act(readable(file, path));
  } finally {
    await file.close();
  }
}

function readable(
  file: FileHandle,
  path: string,
  ended: () => Promise<void> = async () => {},
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = new Uint8Array(PIECE);
      const { bytesRead } = await file.read(piece, 0, PIECE, null).catch((error: unknown) => {
        throw fileProblem(path, error);
      });
      if (bytesRead > 0) return controller.enqueue(piece.subarray(0, bytesRead));
      await ended();
      controller.close();
    },
    cancel: ended,
  });
}

/** A file that is read at any place. */
class SnapshotFile implements RandomSource {
  readonly name: string;
  readonly size: number;
  readonly #file: FileHandle;
  #closing: Promise<void> | undefined;

  constructor(name: string, size: number, file: FileHandle) {
    this.name = name;
    this.size = size;
    this.#file = file;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, offset + done).catch(this.#fail);
      done += this.#more(bytesRead);
    }
    return bytes;
  }

  readNow(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    try {
      for (let done = 0; done < length; )
        done += this.#more(readSync(this.#file.fd, bytes, done, length - done, offset + done));
    } catch (error) {
      this.#fail(error);
    }
    return bytes;
  }

  close(): Promise<void> {
    this.#closing ??= this.#file.close();
    return this.#closing;
  }

  #more(bytesRead: number): number {
    if (bytesRead === 0) throw new UserError(`${this.name}: the file became shorter while the machine ran`);
    return bytesRead;
  }
  #fail = (error: unknown): never => {
    throw error instanceof UserError ? error : fileProblem(this.name, error);
  };
}

/** The snapshot in a file, on a server, or in what can only be read once from start to end, such as a pipe. @throws UserError */
async function openSnapshot(path: string): Promise<SnapshotSource | RemoteContent> {
  if (isHttp(path)) return openRemoteContent(path);
  const orProblem = (error: unknown): never => {
    throw fileProblem(path, error);
  };
  const file = await open(path, 'r').catch(orProblem);
  const found = await file.stat().catch(orProblem);
  if (found.isFile()) return new SnapshotFile(path, found.size, file);
  return readable(file, path, () => file.close());
}

/** What is given, or opened by its name: a snapshot and its base, if it has one. @throws UserError */
export async function openSources(
  given: readonly (string | SnapshotSource)[],
  load: RestoreOptions['load'],
): Promise<readonly SnapshotSource[]> {
  const found: (SnapshotSource | RemoteContent)[] = [];
  try {
    for (const source of given) found.push(typeof source === 'string' ? await openSnapshot(source) : source);
    const sources = sourcesOf(found, load);
    if (sources.some((one, i) => found[i] instanceof RemoteContent && isRandomSource(one))) startAsking();
    return sources;
  } catch (error) {
    await closeSources(found);
    throw error;
  }
}
