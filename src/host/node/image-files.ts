/** Disk images in files of the host. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, link, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import type { ImageStore, NewFile } from '../../api/disk-images.ts';
import { MissingFileError, type SizedFile } from '../../storage/file.ts';
import { isHttp } from '../../storage/http/address.ts';
import { remoteFile } from '../../storage/http/remote-file.ts';
import type { ImageFiles } from '../../storage/image.ts';
import { UserError } from '../../user-error.ts';
import { outputProblem } from './file-problem.ts';
import { codeOf, NodeFile } from './node-file.ts';
import { openRemoteDisk, shownAddress } from './remote-disk.ts';

/**
 * Images in files and on servers. `advice`: what to do about a file that may not be written; `report` gets a line when
 * a server is in trouble.
 */
export function imageFiles(advice: (path: string) => string, report: (line: string) => void): ImageFiles {
  return {
    open: async (path, access) => {
      if (isHttp(path)) return openAddress(path, access, report);
      await mustBeImage(path);
      return new NodeFile(await openImageFile(path, access, advice));
    },
    resolve,
    identity: async (path) => {
      if (isHttp(path)) return shownAddress(path);
      const { dev, ino } = await status(path);
      return `${dev}:${ino}`;
    },
  };
}

/** An image on a server names others on servers only: not the files of whoever reads it. @throws UserError */
function resolve(from: string, name: string): string {
  if (isHttp(name)) return name;
  if (!isHttp(from)) return isAbsolute(name) ? name : join(dirname(from), name);
  const address = URL.canParse(name, from) ? new URL(name, from).href : '';
  if (!isHttp(address))
    throw new UserError(`${shownAddress(from)}: its backing file '${name}' is on no server: convert the image`);
  return address;
}

async function openAddress(path: string, access: 'read' | 'write', report: (line: string) => void): Promise<SizedFile> {
  if (access === 'write')
    throw new UserError(`${shownAddress(path)}: a file on a server is not written: copy it first`);
  return remoteFile(await openRemoteDisk(path, undefined, report));
}

const status = (path: string) =>
  stat(path).catch((error: unknown) => {
    throw explain(path, error);
  });

async function mustBeImage(path: string): Promise<void> {
  const found = await status(path);
  if (found.isDirectory()) throw new UserError(`disk ${path} is a directory; give a disk image file`);
  if (!found.isFile())
    throw new UserError(`disk ${path} is not a regular file; copy it to an image file and give that`);
  if (found.size === 0) throw new UserError(`disk ${path} is empty; give it a size, as in: truncate -s 1G ${path}`);
}

async function openImageFile(
  path: string,
  access: 'read' | 'write',
  advice: (path: string) => string,
): Promise<FileHandle> {
  try {
    return await open(path, access === 'write' ? 'r+' : 'r');
  } catch (error) {
    const code = codeOf(error);
    if (access === 'write' && (code === 'EACCES' || code === 'EPERM' || code === 'EROFS'))
      throw new UserError(`disk ${path} may not be written; ${advice(path)}`);
    throw explain(path, error);
  }
}

function explain(path: string, error: unknown): Error {
  const code = codeOf(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new MissingFileError(`disk ${path} does not exist; check the path, or make one: truncate -s 1G ${path}`);
    case 'EACCES':
    case 'EPERM':
      return new UserError(`disk ${path} may not be read; change its permissions`);
    case undefined:
      return new UserError(`disk ${path} cannot be opened; give the path of a disk image file`);
    default:
      return new UserError(`disk ${path} cannot be opened (${code}); give the path of a disk image file`);
  }
}

/** What `trapeze disk` works on. */
export const nodeImages: ImageStore = {
  ...imageFiles(
    () => 'change its permissions',
    (line) => console.error(`trapeze: ${line}`),
  ),
  create: createFile,
  relate: (from, path) => (isAbsolute(path) ? path : relative(dirname(from), path)),
  zstd: promisify(zstdCompress),
  async truncate(path, size) {
    try {
      const handle = await open(path, 'r+');
      await handle.truncate(size).finally(() => handle.close());
    } catch (error) {
      throw outputProblem(path, error);
    }
  },
  async allocated(path) {
    return isHttp(path) ? undefined : (await status(path)).blocks * 512;
  },
};

/** A file that has its name only when it is whole. */
async function createFile(path: string, replace: boolean): Promise<NewFile> {
  if (!replace && (await stat(path).catch(() => undefined)) !== undefined) throw taken(path);
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.part`);
  let handle: FileHandle;
  try {
    handle = await open(temporary, 'wx+');
  } catch (error) {
    throw outputProblem(path, error);
  }
  return {
    file: new NodeFile(handle),
    async keep() {
      try {
        if (replace) return await rename(temporary, path);
        // Unlike a renaming, this fails when somebody was faster.
        await link(temporary, path);
        await rm(temporary);
      } catch (error) {
        await rm(temporary, { force: true });
        throw codeOf(error) === 'EEXIST' ? taken(path) : outputProblem(path, error);
      }
    },
    discard: () => rm(temporary, { force: true }),
  };
}

const taken = (path: string): UserError =>
  new UserError(`${path} is there already: choose another name, or replace it with --force`);
