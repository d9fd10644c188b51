/** Snapshots in files. */
import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm } from 'node:fs/promises';
import type { Machine } from '../../api/machine.ts';
import type { SaveOptions } from '../../api/snapshot.ts';
import type { ByteSource } from '../../snapshot/streams.ts';
import { fileProblem, outputProblem } from './file-problem.ts';

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
    return withFileStream(base, (source) => writeFile(machine, path, { ...options, base: source }));
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

/** Gives `act` the content of a file as a stream. @throws UserError when it cannot be read. */
export async function withFileStream<T>(path: string, act: (source: ByteSource) => Promise<T>): Promise<T> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw fileProblem(path, error);
  });
  try {
    return await act(readable(file, path));
  } finally {
    await file.close();
  }
}

function readable(file: FileHandle, path: string): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = new Uint8Array(PIECE);
      const { bytesRead } = await file.read(piece, 0, PIECE, null).catch((error: unknown) => {
        throw fileProblem(path, error);
      });
      if (bytesRead === 0) controller.close();
      else controller.enqueue(piece.subarray(0, bytesRead));
    },
  });
}

/** Gives `act` a stream, of the file if there is only its name. */
export async function withSource<T>(
  source: string | ByteSource | undefined,
  act: (source: ByteSource | undefined) => Promise<T>,
): Promise<T> {
  return typeof source === 'string' ? withFileStream(source, act) : act(source);
}
