/** Deflate (RFC 1951) by the host's streams. */
import type { ByteReader, ByteWriter } from './streams.ts';
import { joined } from './streams.ts';

export async function deflate(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const { readable, writable } = new CompressionStream('deflate-raw');
  return (await through(bytes, writable.getWriter(), readable.getReader(), Number.POSITIVE_INFINITY))!;
}

/** What `bytes` were made from; undefined where they are no deflated data or more than `most` bytes come out. */
export async function inflate(bytes: Uint8Array, most: number): Promise<Uint8Array | undefined> {
  const { readable, writable } = new DecompressionStream('deflate-raw');
  try {
    return await through(bytes, writable.getWriter(), readable.getReader(), most);
  } catch {
    return undefined;
  }
}

async function through(
  bytes: Uint8Array,
  writer: ByteWriter,
  reader: ByteReader,
  most: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  // What goes wrong here comes out of the reader as well.
  const written = writer.write(bytes as Uint8Array<ArrayBuffer>).then(() => writer.close());
  written.catch(() => {});
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(pieces, length);
    if (value === undefined) continue;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      return undefined;
    }
    pieces.push(value);
  }
}
