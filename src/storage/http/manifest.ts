/**
 * The manifest of a disk image: its size and a hash of each block, so that whoever reads the image from afar knows each
 * block for what it is. Its format is in docs/disks.md.
 */
import { toHex } from '../../hex.ts';
import { UserError } from '../../user-error.ts';

const FORMAT = 'trapeze-disk-manifest';
const VERSION = 1;
const LEAST_BLOCK = 4096;
const MOST_BLOCK = 4 * 2 ** 20;
const HASH_BYTES = 32;

/** The block size of manifests that are made here. */
export const MANIFEST_BLOCK = 65_536;

/** The manifest's name beside an image's. */
export const MANIFEST_SUFFIX = '.manifest.json';

export interface Manifest {
  readonly size: number;
  readonly blockSize: number;
  /** SHA-256 of each block, in hexadecimal; null for one of zeros. The last block may be short. */
  readonly blocks: readonly (string | null)[];
}

/** A manifest as text. */
export function formatManifest({ size, blockSize, blocks }: Manifest): string {
  const lines = blocks.map((block) => JSON.stringify(block)).join(',\n');
  return `{"format":"${FORMAT}","version":${VERSION},"size":${size},"blockSize":${blockSize},"hash":"sha256","blocks":[\n${lines}\n]}\n`;
}

/** Hashes an image block by block. `read` fills what it is given from an offset on. */
export async function makeManifest(
  size: number,
  read: (offset: number, into: Uint8Array) => Promise<void>,
  sha256: (bytes: Uint8Array) => Promise<Uint8Array>,
  progress: (done: number) => void = () => {},
): Promise<Manifest> {
  const blocks: (string | null)[] = [];
  const buffer = new Uint8Array(MANIFEST_BLOCK);
  for (let offset = 0; offset < size; offset += MANIFEST_BLOCK) {
    const block = buffer.subarray(0, Math.min(MANIFEST_BLOCK, size - offset));
    await read(offset, block);
    blocks.push(isZero(block) ? null : toHex(await sha256(block)));
    progress(offset + block.length);
  }
  return { size, blockSize: MANIFEST_BLOCK, blocks };
}

/** @throws UserError, which begins with `name`, when it is no manifest or one for something else. */
export function parseManifest(text: string, name: string): Manifest {
  const problem = (what: string): UserError =>
    new UserError(`${name}: ${what}; make it again: trapeze disk manifest IMAGE`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw problem('the manifest is no JSON');
  }
  if (!isRecord(value) || value.format !== FORMAT) throw problem('this is no manifest of a disk image');
  if (value.version !== VERSION || value.hash !== 'sha256')
    throw problem(`version ${String(value.version)} of manifests with ${String(value.hash)} is not known here`);
  const { size, blockSize, blocks } = value;
  if (!isCount(size) || size === 0) throw problem(`the manifest has a wrong size`);
  if (!isCount(blockSize) || !isPowerOf2(blockSize) || blockSize < LEAST_BLOCK || blockSize > MOST_BLOCK)
    throw problem('the manifest has a wrong block size');
  if (!Array.isArray(blocks) || blocks.length !== Math.ceil(size / blockSize) || !blocks.every(isHash))
    throw problem('the manifest lacks hashes or has wrong ones');
  return { size, blockSize, blocks };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPowerOf2 = (value: number): boolean => Number.isInteger(Math.log2(value));
const isHash = (value: unknown): value is string | null =>
  value === null || (typeof value === 'string' && value.length === 2 * HASH_BYTES && /^[0-9a-f]+$/.test(value));

/** Looks at four bytes at a time; `bytes` begin at the start of their buffer. */
function isZero(bytes: Uint8Array): boolean {
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
  for (let at = 0; at < words.length; at++) if (words[at] !== 0) return false;
  return bytes.subarray(bytes.length & ~3).every((byte) => byte === 0);
}
