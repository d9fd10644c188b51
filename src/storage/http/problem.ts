/** Ways in which a request fails, and what helps. */
import type { HttpPlatform, HttpResponse } from './platform.ts';

/**
 * `again`: asking again may help. `refused`: it will not, until somebody changes something.
 * `changed`: the file is another than before.
 */
export type ProblemKind = 'again' | 'refused' | 'changed';

export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly kind: ProblemKind;
  /** How long the server asks to wait. */
  readonly waitMs: number | undefined;

  constructor(kind: ProblemKind, message: string, waitMs?: number) {
    super(message);
    this.kind = kind;
    this.waitMs = waitMs;
  }
}

/** What `fetch` or a reader rejected with. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const reason = typeof code === 'string' ? code : cause instanceof Error ? cause.message : String(cause);
  return unreachable(reason, 'check that it runs, its address and the network');
}

/** A server that does not answer at all: asking again may help. */
export const unreachable = (reason: string, fix: string): HttpProblem =>
  new HttpProblem('again', `the server cannot be reached or drops the connection (${reason}): ${fix}`);

const TIMEOUT = 408;
const TOO_EARLY = 425;
const TOO_MANY = 429;
const SERVER_ERROR = 500;
const FIXES: Readonly<Record<number, string>> = {
  401: 'it wants a password: write https://USER:PASSWORD@HOST/…',
  403: 'it does not allow that: check the permissions of the file there',
  404: 'there is no such file: check the address',
  410: 'the file is gone: check the address',
};

/** What a status that is neither 200, 206 nor 416 means. */
export function statusProblem(response: HttpResponse, platform: HttpPlatform): HttpProblem {
  const { status } = response;
  const again = status === TIMEOUT || status === TOO_EARLY || status === TOO_MANY || status >= SERVER_ERROR;
  if (again) return new HttpProblem('again', `the server answers ${status}`, retryAfter(response, platform));
  return new HttpProblem('refused', `the server answers ${status}: ${FIXES[status] ?? 'check the address'}`);
}

/** `Retry-After` (RFC 9110 §10.2.3): seconds, or a date. */
function retryAfter({ headers }: HttpResponse, platform: HttpPlatform): number | undefined {
  const text = headers.get('retry-after')?.trim();
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - platform.wallTimeMs();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
