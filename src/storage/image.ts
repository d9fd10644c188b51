/** Disk images by what is in them: raw, or qcow2 with what is behind it. */
import type { BlockBackend } from '../devices/contract.ts';
import { UserError } from '../user-error.ts';
import { MissingFileError, type SizedFile } from './file.ts';
import { isHttp } from './http/address.ts';
import { Qcow2Disk } from './qcow2/disk.ts';
import { printable } from './qcow2/format.ts';
import { HEADER_BYTES, type Header, isQcow2, parseHeader } from './qcow2/header.ts';
import { RawDisk } from './raw.ts';

export type ImageFormat = 'raw' | 'qcow2';

/** Where images are: the host's files, or others. */
export interface ImageFiles {
  /** @throws UserError when there is no such file, or it may not be used like that. */
  open(name: string, access: 'read' | 'write'): Promise<SizedFile>;
  /** What the image `from` calls `name`. */
  resolve(from: string, name: string): string;
  /** The same for two names of one file. @throws MissingFileError when there is none of that name. */
  identity(name: string): Promise<string>;
}

export interface OpenImageOptions {
  readonly readOnly: boolean;
  /** Undefined: found out from the content. */
  readonly format?: ImageFormat | undefined;
  /** Called once, when the host first has no room for a write. */
  readonly onFull?: (() => void) | undefined;
  /** Called once, when the guest is kept from making a raw disk look like another format. */
  readonly onDisguise?: (() => void) | undefined;
}

/** An image as it was opened. */
export interface OpenImage {
  readonly disk: BlockBackend;
  readonly format: ImageFormat;
  /** Of the file as it is now. */
  readonly fileSize: number;
}

const SECTOR = 512;
const MOST_IMAGES = 200;

/** The header of the qcow2 image in a file. @throws UserError, naming `image`, when there is none. */
export async function readHeader(file: SizedFile, image: string): Promise<Header> {
  const size = await file.size();
  const start = new Uint8Array(Math.min(HEADER_BYTES, Math.ceil(size / SECTOR) * SECTOR));
  await file.read(0, start);
  return parseHeader(start, size, image);
}

/** What the content of a file says that it is. */
export async function detectFormat(file: SizedFile): Promise<ImageFormat> {
  const start = new Uint8Array(SECTOR);
  await file.read(0, start);
  return isQcow2(start) ? 'qcow2' : 'raw';
}

/**
 * Opens an image and all that is behind it. What is behind is never written.
 * @throws UserError when one of them cannot be used.
 */
export function openImage(files: ImageFiles, name: string, options: OpenImageOptions): Promise<OpenImage> {
  return openChain(files, name, options, []);
}

async function openChain(
  files: ImageFiles,
  name: string,
  options: OpenImageOptions,
  above: readonly string[],
): Promise<OpenImage> {
  const file = await files.open(name, options.readOnly ? 'read' : 'write');
  try {
    const fileSize = await file.size();
    const format = options.format ?? (await detectFormat(file));
    const disk =
      format === 'raw' ? openRaw(file, fileSize, options) : await openQcow2(files, name, file, options, above);
    return { disk, format, fileSize };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function openRaw(
  file: SizedFile,
  fileSize: number,
  { readOnly, format, onFull, onDisguise }: OpenImageOptions,
): BlockBackend {
  const size = Math.ceil(fileSize / SECTOR) * SECTOR;
  const disk = new RawDisk(file, { size, readOnly, ...(onFull === undefined ? {} : { onFull }) });
  return readOnly || format === 'raw' ? disk : new UndisguisedDisk(disk, onDisguise);
}

async function openQcow2(
  files: ImageFiles,
  name: string,
  file: SizedFile,
  options: OpenImageOptions,
  above: readonly string[],
): Promise<BlockBackend> {
  const header = await readHeader(file, name);
  const backing = await openBacking(files, name, header, above);
  try {
    return await Qcow2Disk.open(file, header, { name, readOnly: options.readOnly, backing, onFull: options.onFull });
  } catch (error) {
    await backing?.close();
    throw error;
  }
}

async function openBacking(
  files: ImageFiles,
  name: string,
  { backing }: Header,
  above: readonly string[],
): Promise<BlockBackend | undefined> {
  if (backing === undefined) return undefined;
  const chain = [...above, await files.identity(name)];
  const format = backingFormat(backing.format, name);
  const behind = backingPath(files, name, backing.name);
  if (behind === undefined)
    throw new UserError(
      printable(`${name}: its backing file '${backing.name}' is no file: ${nameAnother(name, format)}`),
    );
  const identity = await files.identity(behind).catch((error: unknown) => {
    if (!(error instanceof MissingFileError)) throw blame(name, error);
    const fix = `put it there, or ${nameAnother(name, format)}`;
    throw new UserError(printable(`${name}: its backing file ${behind} does not exist: ${fix}`));
  });
  if (chain.includes(identity))
    throw new UserError(
      printable(`${name}: ${behind} is behind itself, the backing files form a circle: ${nameAnother(name, format)}`),
    );
  if (chain.length >= MOST_IMAGES)
    throw new UserError(
      `${name}: more than ${MOST_IMAGES} images behind each other: make one of them with \`qemu-img convert\``,
    );
  const opened = await openChain(files, behind, { readOnly: true, format }, chain).catch((error: unknown) =>
    Promise.reject(blame(name, error)),
  );
  return opened.disk;
}

/** Where a backing file is; undefined for what QEMU reads by other protocols (of two letters or more: `C:` is a drive), or a description in JSON. */
export function backingPath(files: Pick<ImageFiles, 'resolve'>, image: string, name: string): string | undefined {
  if (isHttp(image)) return files.resolve(image, name);
  const protocol = /^[^/]{2,}?:/.exec(name)?.[0].toLowerCase();
  if (protocol === 'file:' && name.startsWith('/', protocol.length))
    return files.resolve(image, name.slice(protocol.length));
  return protocol === undefined || isHttp(name) ? files.resolve(image, name) : undefined;
}

const nameAnother = (image: string, format: ImageFormat | undefined): string =>
  `name another with \`qemu-img rebase -u -F ${format ?? 'FORMAT'} -b FILE ${image}\``;

/** A problem of the backing file is found by who names it. */
const blame = (name: string, error: unknown): unknown =>
  error instanceof UserError && !error.message.includes('backing file of')
    ? new UserError(printable(`the backing file of ${name}: ${error.message}`))
    : error;

function backingFormat(format: string | undefined, name: string): ImageFormat | undefined {
  if (format === undefined || format === 'raw' || format === 'qcow2') return format;
  throw new UserError(
    `${name}: the backing file has the format '${format}', which is not supported: make one image of both with \`qemu-img convert -O qcow2 ${name} NEW.qcow2\``,
  );
}

/**
 * A raw disk whose format was found out from its content. Were its guest to write another format's header, the next
 * run would take the disk for that, and open as backing file whatever the guest has named: so that write is refused.
 */
class UndisguisedDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #disk: BlockBackend;
  #onDisguise: (() => void) | undefined;

  constructor(disk: BlockBackend, onDisguise: (() => void) | undefined) {
    this.size = disk.size;
    this.readOnly = disk.readOnly;
    this.#disk = disk;
    this.#onDisguise = onDisguise;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#disk.read(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    if (offset === 0 && isQcow2(from)) {
      this.#onDisguise?.();
      this.#onDisguise = undefined;
      throw new Error('a raw disk may not be made to look like a qcow2 image');
    }
    await this.#disk.write(offset, from);
  }

  flush(): Promise<void> {
    return this.#disk.flush();
  }

  close(): Promise<void> {
    return this.#disk.close();
  }
}
