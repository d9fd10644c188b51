/** What to tell a person about a file that could not be used. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { UserError } from '../../user-error.ts';

const FIXES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file: check its name',
  EISDIR: 'is a directory: name a file',
  ENOTDIR: 'a part of the path is not a directory: check its name',
  EACCES: 'no permission: check who may use it',
  EPERM: 'no permission: check who may use it',
  EROFS: 'the file system is read-only: choose another place',
  ENOSPC: 'the disk is full: make room',
  EDQUOT: 'your quota of the disk is used up: make room',
  EFBIG: 'the file system has no files as large as that: choose another place',
  EIO: 'the disk does not answer as it should: check it, or choose another place',
  EMFILE: 'too many files are open: raise the limit (ulimit -n)',
  ETXTBSY: 'it is a program that runs: end that first',
  ELOOP: 'too many symbolic links: check where it leads',
  ENAMETOOLONG: 'the name is too long: check it',
};

/** The one line for a failed operation on a file that should be there. */
export function fileProblem(path: string, error: unknown): UserError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new UserError(`${path}: ${FIXES[code] ?? message}`);
}

/** The one line for a failed operation on a file that is being made. */
export function outputProblem(path: string, error: unknown): UserError {
  const folder = dirname(path);
  const missing = (error as NodeJS.ErrnoException).code === 'ENOENT' && !isThere(folder);
  if (missing)
    return new UserError(`${path}: there is no folder ${folder}: make it (mkdir -p ${folder}), or name another`);
  return fileProblem(path, error);
}

const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
