/** Decompresses LZ4 in the legacy frame that Linux compresses itself in (lz4's lz4_Frame_format.md, "Legacy frame", and lz4_Block_format.md). */

const LEGACY_MAGIC = 0x184c_2102;
const LEAST_MATCH = 4;
const MORE = 15;

/** Tells whether `bytes` begin with a legacy frame. */
export function isLz4Legacy(bytes: Uint8Array): boolean {
  return bytes.length > 8 && viewOf(bytes).getUint32(0, true) === LEGACY_MAGIC;
}

/** `size`: bytes of the content, which the frame does not tell. Blocks end where `bytes` end or the content is whole. */
export function decompressLz4Legacy(bytes: Uint8Array, size: number): Uint8Array {
  const into = new Uint8Array(size);
  const view = viewOf(bytes);
  let written = 0;
  for (let at = 4; at + 4 <= bytes.length && written < size; ) {
    const length = view.getUint32(at, true);
    written = block(bytes.subarray(at + 4, at + 4 + length), into, written);
    at += 4 + length;
  }
  if (written !== size) throw new Error(`the frame holds ${written} bytes, not ${size}`);
  return into;
}

function block(from: Uint8Array, into: Uint8Array, start: number): number {
  let at = 0;
  let written = start;
  while (at < from.length) {
    const token = from[at]!;
    const [literals, literalsAt] = lengthAt(from, at + 1, token >> 4);
    into.set(from.subarray(literalsAt, literalsAt + literals), written);
    at = literalsAt + literals;
    written += literals;
    if (at >= from.length) break;
    const distance = from[at]! | (from[at + 1]! << 8);
    const [length, next] = lengthAt(from, at + 2, token & MORE);
    at = next;
    const end = written + length + LEAST_MATCH;
    // Byte by byte: a match may overlap what it makes.
    for (; written < end; written++) into[written] = into[written - distance]!;
  }
  return written;
}

/** A length of which the token holds `nibble`, and where what follows it stands. */
function lengthAt(from: Uint8Array, start: number, nibble: number): readonly [length: number, next: number] {
  if (nibble < MORE) return [nibble, start];
  let at = start;
  while (from[at] === 255) at++;
  return [MORE + 255 * (at - start) + from[at]!, at + 1];
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
