/** What to tell a person about a file that could not be used. */
import { UserError } from '../../user-error.ts';

const FIXES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file: check its name',
  EISDIR: 'is a directory: name a file',
  ENOTDIR: 'a part of the path is not a directory: check its name',
  EACCES: 'no permission: check who may use it',
  EPERM: 'no permission: check who may use it',
  EROFS: 'the file system is read-only: choose another place',
  ENOSPC: 'the disk is full: make room',
  ELOOP: 'too many symbolic links: check where it leads',
  ENAMETOOLONG: 'the name is too long: check it',
};

/** The one line for a failed file operation. */
export function fileProblem(path: string, error: unknown): UserError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new UserError(`${path}: ${FIXES[code] ?? message}`);
}
