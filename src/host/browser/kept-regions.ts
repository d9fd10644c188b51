/** Code of guests in the browser's cache, for the next visit. */
import type { RegionFile } from '../../api/host.ts';

const CACHE = 'trapeze-code';
/** A page may be closed at any time. */
const EVERY_MS = 3000;
/** It is read whole. */
const MOST_BYTES = 8 * 2 ** 20;

/** `prefix` and `version` are the address of this version's. Undefined where the page may not use the cache. */
export async function keptRegions(prefix: string, version: string): Promise<RegionFile | undefined> {
  try {
    const cache = await caches.open(CACHE);
    const address = `${prefix}${version}`;
    const found = await cache.match(address);
    const content = found === undefined ? undefined : new Uint8Array(await found.arrayBuffer());
    return {
      everyMs: EVERY_MS,
      mostBytes: MOST_BYTES,
      open: () =>
        content === undefined ? undefined : { read: (at, length) => content.slice(at, at + length), close: () => {} },
      // Where there is no room the next visit takes a little longer.
      write: (bytes) => replace(cache, prefix, address, bytes).catch(() => {}),
    };
  } catch {
    return undefined;
  }
}

async function replace(cache: Cache, prefix: string, address: string, content: Uint8Array): Promise<void> {
  for (const { url } of await cache.keys()) if (url.startsWith(prefix) && url !== address) await cache.delete(url);
  await cache.put(address, new Response(content as Uint8Array<ArrayBuffer>));
}
