/** What lies on a server, as disk formats and overlays want it. */
import type { BlockBackend, FetchFigures } from '../../devices/contract.ts';
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

/** The same disk, which knows what its files cost to fetch. */
export const withFigures = (disk: BlockBackend, files: readonly HttpDisk[]): BlockBackend => ({
  size: disk.size,
  readOnly: disk.readOnly,
  identity: disk.identity,
  read: (offset, into) => disk.read(offset, into),
  write: (offset, from) => disk.write(offset, from),
  flush: () => disk.flush(),
  close: () => disk.close(),
  fetched: () => files.map((file) => file.fetched()).reduce(sum),
});

function sum(a: FetchFigures, b: FetchFigures): FetchFigures {
  return {
    requests: a.requests + b.requests,
    bytes: a.bytes + b.bytes,
    retries: a.retries + b.retries,
    failures: a.failures + b.failures,
    cacheHits: a.cacheHits + b.cacheHits,
    keptHits: a.keptHits + b.keptHits,
  };
}

/** What tells one state of it from another, or undefined. */
export const remoteIdentity = (disk: HttpDisk): string | undefined =>
  disk.identity === undefined ? undefined : `${disk.size} bytes, ${disk.identity}`;
