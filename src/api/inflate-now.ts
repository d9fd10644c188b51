/** Decompression without a turn of the event loop. */
import { inflate } from '../storage/qcow2/inflate.ts';

/** Undefined: the data is damaged. */
export function inflateNow(stored: Uint8Array, length: number): Uint8Array | undefined {
  const content = new Uint8Array(length);
  return inflate(stored, content) === undefined ? content : undefined;
}
