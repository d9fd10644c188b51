/** What reading over HTTP needs of a platform: parts of standards that Node and browsers have alike. */
import type { HttpProblem } from './problem.ts';

/** The parts of the Fetch Standard's Response that are used. */
export interface HttpResponse {
  readonly status: number;
  /** Where it came from, behind redirections. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): HttpReader } | null;
}

export interface HttpReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export interface HttpInit {
  readonly method: 'GET';
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: unknown;
  /** The disk has caches of its own; a browser's would make requests to one address wait for each other. */
  readonly cache: 'no-store';
}

/** An answer that the caller's thread waited for. */
export interface HttpAnswer {
  readonly response: HttpResponse;
  readonly body: Uint8Array;
}

export interface HttpPlatform {
  fetch(url: string, init: HttpInit): Promise<HttpResponse>;
  /** Where a thread may wait for an answer, and how long; throws what `fetch` rejects with. */
  askNow?(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): HttpAnswer;
  /** Lets the thread wait. */
  sleepNow?(ms: number): void;
  abortController(): { readonly signal: unknown; abort(): void };
  setTimer(ms: number, ring: () => void): () => void;
  wallTimeMs(): number;
  /** From 0 to 1. */
  random(): number;
  sha256(bytes: Uint8Array): Promise<Uint8Array>;
  /**
   * True for an address of another origin in a page: there `If-Range` needs the server's leave beforehand,
   * so that changes are noticed by comparing what answers say.
   */
  foreign?(url: string): boolean;
  /** What it means that a request had no answer, where the platform knows more than that. */
  explain?(url: string, error: unknown): HttpProblem | undefined;
}

/** How long to be patient with a server. */
export interface HttpPatience {
  /** Requests for the same bytes, when they fail one after another, before the guest gets an error. */
  readonly attempts: number;
  /** Milliseconds without a byte of the answer. */
  readonly stallMs: number;
  /** Milliseconds for one answer in all. */
  readonly answerMs: number;
  /** Milliseconds before the second attempt; twice as many before each further one. */
  readonly backoffMs: number;
  /** The longest wait between attempts, also when the server asks for more by `Retry-After`. */
  readonly longestWaitMs: number;
}

export const PATIENCE: HttpPatience = {
  attempts: 5,
  stallMs: 10_000,
  answerMs: 30_000,
  backoffMs: 250,
  longestWaitMs: 15_000,
};
