/** The ELF kernel inside a bzImage. */
import { spawnSync } from 'node:child_process';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { decompressLz4Legacy, isLz4Legacy } from './lz4.ts';

// Fields of the setup header (Documentation/arch/x86/boot.rst).
const SETUP_SECTS = 0x1f1;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR = 512;

/** Behind a payload whose format does not tell the size of its content, the kernel's build appends it. */
const SIZE_BYTES = 4;
const MOST_BYTES = 512 * 2 ** 20;

const startsWith = (bytes: Uint8Array, ...magic: readonly number[]): boolean => magic.every((b, i) => bytes[i] === b);

/** @returns the ELF file, or why it cannot be had here */
export function vmlinuxOf(bzImage: Uint8Array): Uint8Array | { readonly missing: string } {
  const view = new DataView(bzImage.buffer, bzImage.byteOffset, bzImage.byteLength);
  const start = (bzImage[SETUP_SECTS]! + 1) * SECTOR + view.getUint32(PAYLOAD_OFFSET, true);
  const payload = bzImage.subarray(start, start + view.getUint32(PAYLOAD_LENGTH, true));
  const content = payload.subarray(0, -SIZE_BYTES);
  const size = view.getUint32(payload.byteOffset - bzImage.byteOffset + content.length, true);
  if (isLz4Legacy(payload)) return decompressLz4Legacy(content, size);
  if (startsWith(payload, 0x1f, 0x8b)) return gunzipSync(payload);
  if (startsWith(payload, 0x28, 0xb5, 0x2f, 0xfd)) return zstdDecompressSync(content);
  if (startsWith(payload, 0xfd, 0x37, 0x7a, 0x58)) return unxz(content);
  return { missing: 'the kernel is compressed in a way that this test does not know' };
}

function unxz(content: Uint8Array): Uint8Array | { readonly missing: string } {
  const { stdout, error } = spawnSync('xz', ['-dc'], { input: content, maxBuffer: MOST_BYTES });
  return error === undefined ? stdout : { missing: `xz cannot be run (${error.message})` };
}
