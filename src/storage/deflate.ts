import { joined } from '../joined.ts';

/** Compresses a buffer to a raw deflate stream, by what the platform has for it. */
export async function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new CompressionStream('deflate-raw');
  const writer = stream.writable.getWriter();
  const written = writer.write(bytes.slice()).then(() => writer.close());
  const parts: Uint8Array[] = [];
  const reader = stream.readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    parts.push(value);
  }
  await written;
  return joined(parts);
}
