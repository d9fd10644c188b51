import { inflateSync } from 'fflate';

const TOO_SHORT = 'the data is too short';

/**
 * Fills `into` from the start of a deflate stream (RFC 1951); what stands behind in `from` is ignored. Returns what is wrong, if anything.
 *
 * The platform's `DecompressionStream` will not do: what follows a compressed cluster in its last sector belongs to others, and the stream
 * turns trailing bytes into an error that may swallow what it has decompressed.
 */
export function inflate(from: Uint8Array, into: Uint8Array): string | undefined {
  // Of nothing the library makes a buffer of zeros.
  if (from.length === 0) return TOO_SHORT;
  try {
    return inflateSync(from, { out: into }).length === into.length ? undefined : TOO_SHORT;
  } catch (error) {
    return (error as Error).message;
  }
}
