/** Disk files of a host that runs Node. */
import { randomUUID } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DiskExtras } from '../../api/host.ts';
import type { BlockBackend } from '../../devices/contract.ts';
import type { SizedFile } from '../../storage/file.ts';
import { isHttp } from '../../storage/http/address.ts';
import type { HttpDisk } from '../../storage/http/http-disk.ts';
import { checkRawSize } from '../../storage/http/open-http.ts';
import { remoteFile, remoteIdentity, withFigures } from '../../storage/http/remote-file.ts';
import { detectFormat, type ImageFiles, type ImageFormat, openImage } from '../../storage/image.ts';
import { OverlayDisk } from '../../storage/overlay.ts';
import { UserError } from '../../user-error.ts';
import { imageFiles } from './image-files.ts';
import { codeOf, NodeFile } from './node-file.ts';
import { openOverlay } from './overlay-file.ts';
import { openRemoteDisk, shownAddress } from './remote-disk.ts';

/** How a disk file is used: in place, never written, or copy-on-write over an untouched file. */
export type DiskMode = 'rw' | 'ro' | 'cow';

const SECTOR = 512;

/**
 * Opens a file as a disk, by its content unless `extras` name its format. `report` gets a line when the host runs out
 * of room for what the guest writes, or the guest tries to make a raw disk look like an image of another format.
 * @throws UserError when the file cannot serve as a disk.
 */
export async function openDisk(
  path: string,
  mode: DiskMode,
  report: (line: string) => void,
  { cache, format, overlay: changes }: DiskExtras = {},
): Promise<BlockBackend> {
  const files = imageFiles(() => `use ${path},ro or ${path},cow, or change its permissions`, report);
  if (isHttp(path)) {
    const remote = await openRemoteDisk(path, cache, report);
    const disk = await openRemoteImage(path, remote, files, format);
    if (changes !== undefined) return await openOverlay(disk, remoteIdentity(remote), changes, report);
    return mode === 'ro' ? disk : await overlay(shownAddress(path), disk, report);
  }
  const onFull = () =>
    report(`disk ${path}: the host's file system is full and the guest gets write errors; free some space there`);
  const onDisguise = () =>
    report(`disk ${path}: the guest may not write a qcow2 header to a raw disk; use ${path},format=raw to let it`);
  const image = await openImage(files, path, { readOnly: mode !== 'rw', format, onFull, onDisguise });
  if (image.format === 'raw' && image.fileSize % SECTOR !== 0) {
    await image.disk.close();
    throw new UserError(
      `disk ${path} has ${image.fileSize} bytes, not a multiple of ${SECTOR}; round it up: truncate -s %${SECTOR} ${path}`,
    );
  }
  if (changes !== undefined) return await openOverlay(image.disk, await fileIdentity(path), changes, report);
  return mode === 'cow' ? await overlay(path, image.disk, report) : image.disk;
}

/** What tells one state of a file from another. */
async function fileIdentity(path: string): Promise<string> {
  const { size, mtime } = await stat(path);
  return `${size} bytes, modified ${mtime.toISOString()}`;
}

/** The disk in what lies on a server; takes `remote` over. */
async function openRemoteImage(
  path: string,
  remote: HttpDisk,
  files: ImageFiles,
  format: ImageFormat | undefined,
): Promise<BlockBackend> {
  const file = remoteFile(remote);
  try {
    if ((format ?? (await formatOf(path, file))) === 'raw') {
      checkRawSize(shownAddress(path), remote.size);
      return remote;
    }
    const open: ImageFiles['open'] = async (name, access) => (name === path ? file : files.open(name, access));
    const { disk } = await openImage({ ...files, open }, path, { readOnly: true, format: 'qcow2' });
    return withFigures(disk, [remote]);
  } catch (error) {
    await remote.close();
    throw error;
  }
}

/** @throws UserError when the server cannot tell. */
const formatOf = (path: string, file: SizedFile): Promise<ImageFormat> =>
  detectFormat(file).catch((error: unknown) => {
    throw new UserError(`${shownAddress(path)}: the image cannot be read: ${(error as Error).message}`);
  });

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
