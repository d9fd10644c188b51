/** Overlays that last, in files of a host that runs Node. */
import { constants, open, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import process from 'node:process';
import type { BlockBackend } from '../../devices/contract.ts';
import { PersistentOverlay } from '../../storage/changes/persistent-overlay.ts';
import { UserError } from '../../user-error.ts';
import { outputProblem } from './file-problem.ts';
import { nodeHttp } from './http.ts';
import { codeOf, NodeFile } from './node-file.ts';

/**
 * Opens the changes to `base` that are kept in the file `path`, or begins some. `identity` tells one state of the base
 * from another. Takes over `base`: it is closed when this fails.
 * @throws UserError
 */
export async function openOverlay(
  base: BlockBackend,
  identity: string | undefined,
  path: string,
  report: (line: string) => void,
): Promise<BlockBackend> {
  try {
    if (identity === undefined)
      throw new UserError(
        `${path}: the server tells neither ETag nor Last-Modified, so that a change of the disk below would go unseen: make a manifest (trapeze disk manifest IMAGE)`,
      );
    return await openFile(base, identity, path, report);
  } catch (error) {
    await base.close();
    throw error;
  }
}

async function openFile(
  base: BlockBackend,
  identity: string,
  path: string,
  report: (line: string) => void,
): Promise<BlockBackend> {
  const unlock = await lock(path);
  let file: NodeFile | undefined;
  try {
    file = await openChanges(path, unlock);
    const onFull = (): void =>
      report(
        `disk overlay ${path}: the host's file system is full and the guest gets write errors; free some space there`,
      );
    return await PersistentOverlay.open(base, file, { identity, name: path, sha256: nodeHttp.sha256, onFull });
  } catch (error) {
    if (file === undefined) await unlock();
    else await file.close();
    throw codeOf(error) === undefined ? error : outputProblem(path, error);
  }
}

async function openChanges(path: string, unlock: () => Promise<void>): Promise<NodeFile> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  // A new file's name must be as durable as its content. Where folders cannot be flushed, they need not be.
  const folder = await open(dirname(resolve(path)), 'r').catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
  return new NodeFile(handle, unlock);
}

/** One process at a time uses an overlay; a file beside it tells which. @throws UserError */
async function lock(path: string): Promise<() => Promise<void>> {
  const beside = `${path}.lock`;
  for (let attempt = 1; ; attempt++) {
    try {
      await writeFile(beside, `${process.pid}\n`, { flag: 'wx' });
      return () => rm(beside, { force: true });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw outputProblem(path, error);
    }
    const holder = Number(await readFile(beside, 'utf8').catch(() => ''));
    if (attempt > 2 || isRunning(holder))
      throw new UserError(
        `${path}: process ${holder} uses this overlay: end it first (or remove ${beside} if that is no Trapeze)`,
      );
    await rm(beside, { force: true });
  }
}

/** Another machine's or user's process counts as running. */
function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}
