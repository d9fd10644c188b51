/** What browsers have for reading over HTTP. */
import type { HttpAnswer, HttpPlatform } from '../../storage/http/platform.ts';
import { type HttpProblem, unreachable } from '../../storage/http/problem.ts';
import { UserError } from '../../user-error.ts';

export const browserHttp: HttpPlatform = {
  fetch: (url, { signal, ...init }) => fetch(url, { ...init, signal: signal as AbortSignal }),
  askNow,
  sleepNow(ms) {
    Atomics.wait(new Int32Array(sleeping().buffer), 0, 0, ms);
  },
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

/** Memory that nobody changes: to wait for a change of it is to sleep. Pages that are not isolated have no other that is shared. */
const sleeping = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });

/** Workers may wait for an answer (XMLHttpRequest Standard §3.5.6). */
function askNow(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): HttpAnswer {
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  request.responseType = 'arraybuffer';
  request.timeout = timeoutMs;
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.send();
  const { status, responseURL } = request;
  const get = (name: string): string | null => request.getResponseHeader(name);
  const response = { status, url: responseURL, headers: { get }, body: null };
  return { response, body: new Uint8Array(request.response as ArrayBuffer) };
}
