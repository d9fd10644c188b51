/** What lies on a server, as disk formats and overlays want it. */
import type { SizedFile } from '../file.ts';
import type { HttpDisk } from './http-disk.ts';

/** What lies at an address as a file, which is not written. */
export function remoteFile(disk: HttpDisk): SizedFile {
  return {
    read: (offset, into) => disk.read(offset, into),
    write: () => disk.write(),
    size: async () => disk.size,
    flush: () => disk.flush(),
    close: () => disk.close(),
  };
}

/** What tells one state of it from another, or undefined. */
export const remoteIdentity = (disk: HttpDisk): string | undefined =>
  disk.identity === undefined ? undefined : `${disk.size} bytes, ${disk.identity}`;
