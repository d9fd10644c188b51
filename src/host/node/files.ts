/** Disk files of a host that runs Node. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DiskExtras } from '../../api/host.ts';
import type { BlockBackend } from '../../devices/contract.ts';
import { isHttp } from '../../storage/http/address.ts';
import { OverlayDisk } from '../../storage/overlay.ts';
import { RawDisk } from '../../storage/raw.ts';
import { UserError } from '../../user-error.ts';
import { codeOf, NodeFile } from './node-file.ts';
import { openRemoteDisk, shownAddress } from './remote-disk.ts';

/** How a disk file is used: in place, never written, or copy-on-write over an untouched file. */
export type DiskMode = 'rw' | 'ro' | 'cow';

const SECTOR = 512;

/**
 * Opens a file as a disk. `report` gets one line, once, if the host runs out of room for what the guest writes.
 * @throws UserError when the file cannot serve as a disk.
 */
export async function openDisk(
  path: string,
  mode: DiskMode,
  report: (line: string) => void,
  { cache }: DiskExtras = {},
): Promise<BlockBackend> {
  if (isHttp(path)) {
    const disk = await openRemoteDisk(path, cache, report);
    return mode === 'ro' ? disk : await overlay(shownAddress(path), disk, report);
  }
  const size = await diskSize(path);
  const file = new NodeFile(await openImage(path, mode));
  if (mode !== 'cow') {
    const onFull = () =>
      report(`disk ${path}: the host's file system is full and the guest gets write errors; free some space there`);
    return new RawDisk(file, { size, readOnly: mode === 'ro', onFull });
  }
  return await overlay(path, new RawDisk(file, { size, readOnly: true }), report);
}

async function diskSize(path: string): Promise<number> {
  const status = await stat(path).catch((error: unknown) => {
    throw explain(path, error);
  });
  if (status.isDirectory()) throw new UserError(`disk ${path} is a directory; give a disk image file`);
  if (!status.isFile())
    throw new UserError(`disk ${path} is not a regular file; copy it to an image file and give that`);
  if (status.size === 0) throw new UserError(`disk ${path} is empty; give it a size, as in: truncate -s 1G ${path}`);
  if (status.size % SECTOR !== 0)
    throw new UserError(
      `disk ${path} has ${status.size} bytes, not a multiple of ${SECTOR}; round it up: truncate -s %${SECTOR} ${path}`,
    );
  return status.size;
}

async function openImage(path: string, mode: DiskMode): Promise<FileHandle> {
  try {
    return await open(path, mode === 'rw' ? 'r+' : 'r');
  } catch (error) {
    const code = codeOf(error);
    if (mode === 'rw' && (code === 'EACCES' || code === 'EPERM' || code === 'EROFS'))
      throw new UserError(`disk ${path} may not be written; use ${path},ro or ${path},cow, or change its permissions`);
    throw explain(path, error);
  }
}

function explain(path: string, error: unknown): Error {
  const code = codeOf(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new UserError(`disk ${path} does not exist; check the path, or make one: truncate -s 1G ${path}`);
    case 'EACCES':
    case 'EPERM':
      return new UserError(`disk ${path} may not be read; change its permissions`);
    case undefined:
      return new UserError(`disk ${path} cannot be opened; give the path of a disk image file`);
    default:
      return new UserError(`disk ${path} cannot be opened (${code}); give the path of a disk image file`);
  }
}

/** Changes in a temporary file; closes `base` when there can be none. */
async function overlay(path: string, base: BlockBackend, report: (line: string) => void): Promise<BlockBackend> {
  const directory = tmpdir();
  const changes = await temporaryFile(directory).catch(async (error: unknown) => {
    await base.close();
    throw error;
  });
  const onFull = () =>
    report(
      `disk ${path}: no room left in ${directory} for the guest's changes and it gets write errors; ` +
        'free some space there or set TMPDIR to a larger directory',
    );
  return new OverlayDisk(base, changes, { onFull });
}

/** A file that goes away with the process: where the host allows it, it has no name from the start. */
async function temporaryFile(directory: string): Promise<NodeFile> {
  const path = join(directory, `trapeze-${randomUUID()}.overlay`);
  try {
    const handle = await open(path, 'wx+', 0o600);
    const nameless = await rm(path).then(
      () => true,
      () => false,
    );
    return new NodeFile(handle, async () => {
      if (!nameless) await rm(path, { force: true });
    });
  } catch (error) {
    const reason = codeOf(error) ?? 'unknown reason';
    throw new UserError(
      `no temporary file can be made in ${directory} (${reason}); set TMPDIR to a directory with room`,
    );
  }
}
