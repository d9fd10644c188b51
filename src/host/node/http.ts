/** What Node has for reading over HTTP. */
import { createHash } from 'node:crypto';
import type { HttpPlatform } from '../../storage/http/platform.ts';
import { HttpProblem, unreachable } from '../../storage/http/problem.ts';
import { askNow, sleepNow } from './ask-now.ts';
import { codeOf } from './node-file.ts';
import { nodeTime } from './time.ts';

export const nodeHttp: HttpPlatform = {
  fetch: (url, { signal, ...init }) => fetch(url, { ...init, signal: signal as AbortSignal }),
  askNow,
  sleepNow,
  abortController: () => new AbortController(),
  setTimer: (ms, ring) => nodeTime.setTimer(ms, ring),
  wallTimeMs: () => Date.now(),
  random: () => Math.random(),
  sha256: async (bytes) => createHash('sha256').update(bytes).digest(),
  explain,
};

/** What can be done about a name or a port. */
const FIXES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no server of that name is known: check the address and the network',
  EAI_AGAIN: 'names of servers cannot be looked up: check the network',
  ECONNREFUSED: 'nothing listens at that port: check that the server runs, and the address',
};
const UNTRUSTED = /^(?:CERT_|ERR_TLS_CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF))/;

function explain(url: string, error: unknown): HttpProblem | undefined {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
  if (cause === undefined) return undefined;
  const code = codeOf(cause) ?? '';
  const fix = FIXES[code];
  if (fix !== undefined) return unreachable(code, fix);
  const { hostname, port } = new URL(url);
  const refused = (problem: string): HttpProblem => new HttpProblem('refused', problem);
  // Fetch Standard §2.9.
  if (cause.message === 'bad port')
    return refused(`port ${port} is kept for another service and is not read from: serve the file at another`);
  if (cause.message === 'redirect count exceeded')
    return refused('the server redirects without end: check the address');
  if (UNTRUSTED.test(code))
    return refused(
      `the certificate of ${hostname} is not trusted (${code}): name the file of one that signed it in NODE_EXTRA_CA_CERTS`,
    );
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return refused('the server does not speak HTTPS at that port: write http://, or check the port');
  return undefined;
}
