/** One request and its answer, which ends in time however the server behaves. */
import type { HttpAnswer, HttpInit, HttpPatience, HttpPlatform, HttpReader, HttpResponse } from './platform.ts';
import { HttpProblem, problemOf, statusProblem } from './problem.ts';

/** What requests cost. */
export interface HttpCounts {
  requests: number;
  /** Bytes of bodies, also of those that were of no use. */
  bytes: number;
  retries: number;
}

/** An answer that is still read. */
export interface OpenAnswer {
  readonly response: HttpResponse;
  /** The next bytes of its body; undefined: no more. @throws HttpProblem, in time */
  next(): Promise<Uint8Array | undefined>;
  end(): void;
}

/** Requests under way; closing ends them. */
export class HttpLink {
  readonly platform: HttpPlatform;
  readonly patience: HttpPatience;
  readonly counts: HttpCounts = { requests: 0, bytes: 0, retries: 0 };
  readonly #headers: Readonly<Record<string, string>>;
  readonly #open = new Set<() => void>();
  #closed = false;

  /** `headers` go with every request. */
  constructor(platform: HttpPlatform, patience: HttpPatience, headers: Readonly<Record<string, string>> = {}) {
    this.platform = platform;
    this.patience = patience;
    this.#headers = headers;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#open) end();
  }

  /**
   * Asks once. `receive` gets the answer and a function that reads the next bytes of its body (undefined: no more);
   * when it returns, what is left of the body is not fetched.
   * @throws HttpProblem, in time
   */
  async exchange<T>(
    url: string,
    headers: Readonly<Record<string, string>>,
    receive: (response: HttpResponse, next: () => Promise<Uint8Array | undefined>) => Promise<T>,
    answerMs = this.patience.answerMs,
  ): Promise<T> {
    const { response, next, end } = await this.open(url, headers, answerMs);
    try {
      return await receive(response, next);
    } catch (error) {
      throw problemOf(error);
    } finally {
      end();
    }
  }

  /**
   * Asks once for what is read at the caller's pace; `end` is called when no more of it is wanted. Without `answerMs` there is no limit for
   * all of it.
   * @throws HttpProblem, in time
   */
  async open(url: string, headers: Readonly<Record<string, string>>, answerMs?: number): Promise<OpenAnswer> {
    if (this.#closed) throw new HttpProblem('refused', 'the file is closed');
    this.counts.requests += 1;
    const watch = new Watch(this.platform, this.patience.stallMs, answerMs);
    const close = (): void => watch.expire('the file is closed');
    this.#open.add(close);
    const end = (): void => {
      this.#open.delete(close);
      watch.end();
    };
    const { signal } = watch;
    const init = { method: 'GET', headers: { ...this.#headers, ...headers }, signal, cache: 'no-store' } as const;
    try {
      const response = await watch.inTime(this.#fetch(url, init));
      const reader = response.body?.getReader();
      return { response, next: () => this.#next(reader, watch), end };
    } catch (error) {
      end();
      throw problemOf(error);
    }
  }

  /** Asks until an answer is of use or patience ends. */
  async insist<T>(ask: () => Promise<T>, attempts = this.patience.attempts): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        const problem = problemOf(error);
        if (problem.kind !== 'again' || attempt >= attempts || this.#closed) throw problem;
        await this.pause(attempt, problem);
      }
    }
  }

  /** Asks once, with the thread waiting for the answer. @throws HttpProblem, in time */
  exchangeNow(url: string, headers: Readonly<Record<string, string>>): HttpAnswer {
    const { platform, patience, counts } = this;
    if (this.#closed || platform.askNow === undefined) throw new HttpProblem('refused', 'the file is closed');
    counts.requests += 1;
    try {
      const answer = platform.askNow(url, { ...this.#headers, ...headers }, patience.answerMs);
      counts.bytes += answer.body.length;
      return answer;
    } catch (error) {
      throw problemOf(platform.explain?.(url, error) ?? error);
    }
  }

  /** As `pause`, with the thread waiting. */
  pauseNow(attempt: number, problem: HttpProblem): void {
    this.platform.sleepNow?.(this.#waitBehind(attempt, problem));
  }

  /** As long again each time, and a little uneven so that guests do not ask in step. */
  #waitBehind(attempt: number, { waitMs = 0 }: HttpProblem): number {
    const { backoffMs, longestWaitMs } = this.patience;
    const backoff = backoffMs * 2 ** (attempt - 1) * (0.75 + this.platform.random() / 2);
    this.counts.retries += 1;
    return Math.min(longestWaitMs, Math.max(backoff, waitMs));
  }

  /** The wait behind a failed attempt. */
  async pause(attempt: number, problem: HttpProblem): Promise<void> {
    const ms = this.#waitBehind(attempt, problem);
    await new Promise<void>((resolve) => {
      const go = (): void => {
        cancel();
        this.#open.delete(go);
        resolve();
      };
      const cancel = this.platform.setTimer(ms, go);
      this.#open.add(go);
    });
  }

  /** What an answer's status means that is none of those hoped for. */
  statusProblem(response: HttpResponse): HttpProblem {
    return statusProblem(response, this.platform);
  }

  async #fetch(url: string, init: HttpInit): Promise<HttpResponse> {
    try {
      return await this.platform.fetch(url, init);
    } catch (error) {
      throw this.platform.explain?.(url, error) ?? error;
    }
  }

  async #next(reader: HttpReader | undefined, watch: Watch): Promise<Uint8Array | undefined> {
    if (reader === undefined) return undefined;
    const part = await watch.inTime(reader.read()).catch((error: unknown) => {
      throw problemOf(error);
    });
    this.counts.bytes += part.value?.length ?? 0;
    return part.done === false ? part.value : undefined;
  }
}

/** The time limits of one answer. */
class Watch {
  readonly signal: unknown;
  /** Rejects when time is up. */
  readonly #expired: Promise<never>;
  readonly #platform: HttpPlatform;
  readonly #stallMs: number;
  readonly #controller: { abort(): void };
  readonly #stopWhole: () => void;
  #ended = false;
  #fail!: (problem: HttpProblem) => void;

  constructor(platform: HttpPlatform, stallMs: number, answerMs: number | undefined) {
    this.#platform = platform;
    this.#stallMs = stallMs;
    const controller = platform.abortController();
    this.#controller = controller;
    this.signal = controller.signal;
    this.#expired = new Promise((_, reject) => (this.#fail = reject));
    // Who waits hears of it.
    this.#expired.catch(() => {});
    const late = (): void => this.expire(`an answer took more than ${answerMs! / 1000} s`);
    this.#stopWhole = answerMs === undefined ? () => {} : platform.setTimer(answerMs, late);
  }

  /** What is waited for comes soon, or this rejects. */
  async inTime<T>(coming: Promise<T>): Promise<T> {
    const stop = this.#stallTimer();
    try {
      return await Promise.race([coming, this.#expired]);
    } finally {
      stop();
    }
  }

  expire(message: string): void {
    this.#fail(new HttpProblem('again', message));
    this.#controller.abort();
  }

  /** Gives the connection up: where the body was read to its end that changes nothing. */
  end(): void {
    this.#ended = true;
    this.#stopWhole();
    this.#controller.abort();
  }

  #stallTimer(): () => void {
    if (this.#ended) return () => {};
    const late = (): void => this.expire(`the server sent nothing for ${this.#stallMs / 1000} s`);
    return this.#platform.setTimer(this.#stallMs, late);
  }
}
