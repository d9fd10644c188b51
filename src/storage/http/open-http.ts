/** Opens what lies on a server: disks, and files that are read whole. */
import { toHex } from '../../hex.ts';
import { UserError } from '../../user-error.ts';
import type { RandomAccessFile } from '../file.ts';
import { HttpLink } from './exchange.ts';
import { HttpDisk } from './http-disk.ts';
import { KeptBlocks } from './kept-blocks.ts';
import { MANIFEST_BLOCK, MANIFEST_SUFFIX, type Manifest, parseManifest } from './manifest.ts';
import { type HttpPatience, type HttpPlatform, PATIENCE } from './platform.ts';
import { HttpProblem, problemOf } from './problem.ts';
import { openRanges } from './range-source.ts';
import { fetchWhole } from './whole-file.ts';

export interface HttpDiskOptions {
  /** Told in one line when the server is in trouble while the guest runs on. */
  readonly report?: (line: string) => void;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Blocks are kept here from run to run; the disk closes it. */
  readonly keep?: RandomAccessFile;
  readonly patience?: HttpPatience;
}

const SECTOR = 512;
/** A manifest of 64 KiB blocks of an image of 100 GiB. */
const LARGEST_MANIFEST = 128 * 2 ** 20;
/** A server of another origin may answer 404 without letting the page see that (nginx does): it looks like no answer. */
const FOREIGN_ATTEMPTS = 2;
const UNKNOWN_MANIFEST =
  'whether there is a manifest cannot be seen, so that blocks are not checked: the server must send Access-Control-Allow-Origin with 404 too (nginx: add_header … always)';
/** As much as guests have RAM. */
const LARGEST_FILE = 3 * 2 ** 30;

/**
 * Opens the file at `url` for reading in blocks; with its manifest, when one lies beside it.
 * @throws UserError when that cannot be
 */
export async function openHttpDisk(
  url: string,
  platform: HttpPlatform,
  { report = () => {}, headers, keep, patience = PATIENCE }: HttpDiskOptions = {},
): Promise<HttpDisk> {
  const link = new HttpLink(platform, patience, headers);
  try {
    const source = await openRanges(url, link);
    const { size } = source;
    const manifest = await readManifest(url, link, report);
    checkSize(url, size, manifest?.manifest);
    const identity = manifest?.identity ?? source.identity;
    const blockSize = manifest?.manifest.blockSize ?? MANIFEST_BLOCK;
    const kept = keep === undefined ? undefined : await openKept(keep, { size, blockSize, identity }, platform, url);
    const parts = { source, link, blockSize, manifest: manifest?.manifest, kept };
    return new HttpDisk({ ...parts, report: (line) => report(`${url}: ${line}`) }, identity);
  } catch (error) {
    link.close();
    await keep?.close();
    throw error;
  }
}

/** @throws UserError when a disk image of this size cannot be a raw disk */
export function checkRawSize(url: string, size: number): void {
  if (size % SECTOR !== 0)
    throw new UserError(
      `${url}: the file has ${size} bytes, not a multiple of ${SECTOR}: round the image up with truncate -s %${SECTOR}, or check that it is a raw disk image`,
    );
}

/** Reads a file whole. @throws UserError */
export async function readHttpFile(
  url: string,
  platform: HttpPlatform,
  headers: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const link = new HttpLink(platform, PATIENCE, headers);
  try {
    return await link.insist(() => fetchWhole(url, link, LARGEST_FILE));
  } catch (error) {
    throw new UserError(`${url}: ${problemOf(error).message}`);
  }
}

function checkSize(url: string, size: number, manifest: Manifest | undefined): void {
  if (size === 0) throw new UserError(`${url}: the file is empty: serve a disk image`);
  if (manifest !== undefined && manifest.size !== size)
    throw new UserError(
      `${url}: the file has ${size} bytes, its manifest is for ${manifest.size}: make it again: trapeze disk manifest IMAGE`,
    );
}

async function openKept(
  file: RandomAccessFile,
  image: { readonly size: number; readonly blockSize: number; readonly identity: string | undefined },
  platform: HttpPlatform,
  url: string,
): Promise<KeptBlocks> {
  const { identity } = image;
  if (identity === undefined)
    throw new UserError(
      `${url}: the server tells neither ETag nor Last-Modified, so that blocks cannot be kept: make a manifest (trapeze disk manifest IMAGE) or leave the cache out`,
    );
  return await KeptBlocks.open(file, { ...image, identity }, (bytes) => platform.sha256(bytes), 'the cache');
}

/** Undefined when none lies beside the image. @throws UserError */
async function readManifest(
  url: string,
  link: HttpLink,
  report: (line: string) => void,
): Promise<{ readonly manifest: Manifest; readonly identity: string } | undefined> {
  const at = manifestUrl(url);
  const foreign = link.platform.foreign?.(at) === true;
  const ask = () => fetchManifest(at, link);
  const bytes = await link.insist(ask, foreign ? FOREIGN_ATTEMPTS : undefined).catch((error: unknown) => {
    if (!foreign) throw new UserError(`${at}: ${problemOf(error).message}`);
    report(`${at}: ${UNKNOWN_MANIFEST}`);
    return undefined;
  });
  const text = bytes === undefined ? '' : new TextDecoder().decode(bytes);
  // Servers of single pages answer whatever is asked for with their page.
  if (bytes === undefined || /^\s*</.test(text)) return undefined;
  return { manifest: parseManifest(text, at), identity: `manifest ${toHex(await link.platform.sha256(bytes))}` };
}

/** The suffix goes to the path, before a query. */
function manifestUrl(url: string): string {
  const end = url.search(/[?#]/);
  return end < 0 ? url + MANIFEST_SUFFIX : url.slice(0, end) + MANIFEST_SUFFIX + url.slice(end);
}

async function fetchManifest(url: string, link: HttpLink): Promise<Uint8Array | undefined> {
  try {
    return await fetchWhole(url, link, LARGEST_MANIFEST);
  } catch (error) {
    // Whatever it says: the file is not to be had.
    if (error instanceof HttpProblem && error.kind === 'refused') return undefined;
    throw error;
  }
}
