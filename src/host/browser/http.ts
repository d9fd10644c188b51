/** What browsers have for reading over HTTP. */
import type { HttpPlatform } from '../../storage/http/platform.ts';
import { UserError } from '../../user-error.ts';

export const browserHttp: HttpPlatform = {
  fetch: (url, { signal, ...init }) => fetch(url, { ...init, signal: signal as AbortSignal }),
  abortController: () => new AbortController(),
  setTimer(ms, ring) {
    const timer = setTimeout(ring, ms);
    return () => clearTimeout(timer);
  },
  wallTimeMs: () => Date.now(),
  random: () => Math.random(),
  async sha256(bytes) {
    // Pages that came by plain HTTP do not have it (Web Cryptography API §10).
    if (globalThis.crypto.subtle === undefined)
      throw new UserError('the blocks of a disk can be checked in pages by HTTPS alone: serve this one so');
    return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  },
  foreign: (url) => new URL(url, location.href).origin !== location.origin,
};
