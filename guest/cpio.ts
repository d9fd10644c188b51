/**
 * Writes cpio archives in the "newc" format, which Linux unpacks as an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */

/** One entry of an archive. `path` has no leading slash; `mode` holds the permission bits alone. */
export type CpioEntry =
  | { readonly type: 'directory'; readonly path: string; readonly mode?: number }
  | { readonly type: 'file'; readonly path: string; readonly mode?: number; readonly content: Uint8Array | string }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly type: 'character' | 'block';
      readonly path: string;
      readonly mode?: number;
      readonly major: number;
      readonly minor: number;
    };

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
/** Linux takes an archive whose length is a multiple of 4; 512 is what other tools write. */
const ARCHIVE_ALIGNMENT = 512;

interface Header {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly major: number;
  readonly minor: number;
  readonly path: string;
  readonly content: Uint8Array;
}

const utf8 = new TextEncoder();

const hex8 = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');

const padding = (length: number, alignment: number): Uint8Array => new Uint8Array(-length & (alignment - 1));

function record(header: Header, mtime: number): Uint8Array[] {
  const name = utf8.encode(`${header.path}\0`);
  const fields = [
    header.inode,
    header.mode,
    0, // uid
    0, // gid
    header.links,
    mtime,
    header.content.length,
    0, // major and minor number of the device that holds the file
    0,
    header.major,
    header.minor,
    name.length,
    0, // checksum, unused in this variant
  ];
  const head = utf8.encode(MAGIC + fields.map(hex8).join(''));
  const body = header.content;
  return [head, name, padding(head.length + name.length, 4), body, padding(body.length, 4)];
}

function headerOf(entry: CpioEntry, inode: number): Header {
  const common = { inode, links: 1, major: 0, minor: 0, path: entry.path, content: new Uint8Array() };
  switch (entry.type) {
    case 'directory':
      return { ...common, links: 2, mode: S_IFDIR | (entry.mode ?? 0o755) };
    case 'file': {
      const content = typeof entry.content === 'string' ? utf8.encode(entry.content) : entry.content;
      return { ...common, mode: S_IFREG | (entry.mode ?? 0o644), content };
    }
    case 'symlink':
      return { ...common, mode: S_IFLNK | 0o777, content: utf8.encode(entry.target) };
    case 'character':
      return { ...common, mode: S_IFCHR | (entry.mode ?? 0o600), major: entry.major, minor: entry.minor };
    case 'block':
      return { ...common, mode: S_IFBLK | (entry.mode ?? 0o600), major: entry.major, minor: entry.minor };
    default:
      return entry satisfies never;
  }
}

/**
 * An archive of `entries` in the order given, which must name each directory before what it holds.
 * Everything belongs to root and bears the same time, so equal entries give equal bytes.
 *
 * @param mtime modification time of all entries, in seconds since 1970
 */
export function writeCpio(entries: readonly CpioEntry[], mtime = 0): Uint8Array {
  const trailer = { inode: 0, mode: 0, links: 1, major: 0, minor: 0, path: TRAILER, content: new Uint8Array() };
  const parts = entries.flatMap((entry, index) => record(headerOf(entry, index + 1), mtime));
  parts.push(...record(trailer, 0));
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(padding(length, ARCHIVE_ALIGNMENT));

  const archive = new Uint8Array(length + parts.at(-1)!.length);
  let offset = 0;
  for (const part of parts) {
    archive.set(part, offset);
    offset += part.length;
  }
  return archive;
}
