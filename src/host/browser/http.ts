/** What browsers have for reading over HTTP. */
import type { HttpPlatform } from '../../storage/http/platform.ts';
import { type HttpProblem, unreachable } from '../../storage/http/problem.ts';
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
  foreign: isForeign,
  explain,
};

function isForeign(url: string): boolean {
  return new URL(url, location.href).origin !== location.origin;
}

/** Browsers tell a page nothing of what kept it from another origin. */
function explain(url: string): HttpProblem | undefined {
  if (!isForeign(url)) return undefined;
  const reason = 'the browser does not say why';
  if (location.protocol === 'https:' && new URL(url).protocol === 'http:')
    return unreachable(reason, 'a page that came by HTTPS may read by HTTPS alone: write https://');
  return unreachable(
    reason,
    'check that it runs, and that it lets other sites read the file (CORS): it must send Access-Control-Allow-Origin: * and Access-Control-Expose-Headers: Content-Range, ETag, Last-Modified',
  );
}
