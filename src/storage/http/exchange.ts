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
    if (this.#closed) throw new HttpProblem('refused', 'the disk is closed');
    this.counts.requests += 1;
    const watch = new Watch(this.platform, { ...this.patience, answerMs });
    const close = (): void => watch.expire('the disk is closed');
    this.#open.add(close);
    const init = {
      method: 'GET',
      headers: { ...this.#headers, ...headers },
      signal: watch.signal,
      cache: 'no-store',
    } as const;
    const answering = async (): Promise<T> => {
      const response = await this.#fetch(url, init);
      watch.alive();
      const reader = response.body?.getReader();
      return receive(response, () => this.#next(reader, watch));
    };
    try {
      return await Promise.race([answering(), watch.expired]);
    } catch (error) {
      throw problemOf(error);
    } finally {
      this.#open.delete(close);
      watch.end();
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
    const part = await reader?.read();
    watch.alive();
    this.counts.bytes += part?.value?.length ?? 0;
    return part?.done === false ? part.value : undefined;
  }
}

/** The time limits of one answer. */
class Watch {
  readonly signal: unknown;
  /** Rejects when time is up. */
  readonly expired: Promise<never>;
  readonly #platform: HttpPlatform;
  readonly #patience: HttpPatience;
  readonly #controller: { abort(): void };
  readonly #stopWhole: () => void;
  #stopStall: () => void;
  #ended = false;
  #fail!: (problem: HttpProblem) => void;

  constructor(platform: HttpPlatform, patience: HttpPatience) {
    this.#platform = platform;
    this.#patience = patience;
    const controller = platform.abortController();
    this.#controller = controller;
    this.signal = controller.signal;
    this.expired = new Promise((_, reject) => (this.#fail = reject));
    this.#stopWhole = platform.setTimer(patience.answerMs, () =>
      this.expire(`an answer took more than ${patience.answerMs / 1000} s`),
    );
    this.#stopStall = this.#stallTimer();
  }

  /** Something came. */
  alive(): void {
    this.#stopStall();
    this.#stopStall = this.#stallTimer();
  }

  expire(message: string): void {
    this.#fail(new HttpProblem('again', message));
    this.#controller.abort();
  }

  /** Gives the connection up: where the body was read to its end that changes nothing. */
  end(): void {
    this.#ended = true;
    this.#stopWhole();
    this.#stopStall();
    this.#controller.abort();
  }

  #stallTimer(): () => void {
    if (this.#ended) return () => {};
    const { stallMs } = this.#patience;
    return this.#platform.setTimer(stallMs, () => this.expire(`the server sent nothing for ${stallMs / 1000} s`));
  }
}
