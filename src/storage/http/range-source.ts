/** A file on a server, read in ranges (RFC 9110 §14), always of one and the same state. */
import { UserError } from '../../user-error.ts';
import type { HttpLink } from './exchange.ts';
import type { HttpResponse } from './platform.ts';
import { HttpProblem, problemOf } from './problem.ts';
import { isEncoded, readBody } from './whole-file.ts';

/** Where ranges come from. */
export interface RangeSource {
  readonly size: number;
  /** Changes when the content does; undefined where the server gives no hold for that. */
  readonly identity: string | undefined;
  /** False after a read failed for good, until one succeeds. */
  readonly well: boolean;
  /** Fills `into`; `progress` is told how many bytes of it are there. @throws HttpProblem, in time */
  read(offset: number, into: Uint8Array, progress: (done: number) => void): Promise<void>;
  /** The same with the caller's thread waiting, where the platform can do that. @throws HttpProblem, in time */
  readNow(offset: number, into: Uint8Array): void;
}

/** A file that was small enough to be read whole from a server that does not answer ranges. */
class WholeSource implements RangeSource {
  readonly size: number;
  readonly identity: string | undefined;
  readonly well = true;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, identity: string | undefined) {
    this.#bytes = bytes;
    this.size = bytes.length;
    this.identity = identity;
  }

  async read(offset: number, into: Uint8Array, progress: (done: number) => void): Promise<void> {
    this.readNow(offset, into);
    progress(into.length);
  }

  readNow(offset: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }
}

/** A server that does not answer ranges may send so much: one that does is asked for parts. */
const WHOLE_LIMIT = 16 * 2 ** 20;
/** Enough to see that a range is what comes, however the server cuts its answers. */
const PROBE = 4096;
/** Headway after which a failing connection counts as a new one. */
const HEADWAY = 65_536;

/** What tells one state of a file from another (RFC 9110 §8.8). */
interface Validators {
  readonly etag: string | null;
  readonly modified: string | null;
}

const validatorsOf = ({ headers }: HttpResponse): Validators => ({
  etag: headers.get('etag'),
  modified: headers.get('last-modified'),
});

/** Whether two answers may be of the same state; a validator that one of them lacks says nothing. */
const sameState = (a: Validators, b: Validators): boolean =>
  a.etag !== null && b.etag !== null
    ? a.etag === b.etag
    : a.modified === null || b.modified === null || a.modified === b.modified;

/** Asks for the first bytes, which tells all that is to be known. @throws UserError */
export const openRanges = (url: string, link: HttpLink): Promise<RangeSource> => askRanges(url, link, wholeSource);

/** The same, with what `whole` makes of the answer of a server that sends all of the file. @throws UserError */
export async function askRanges<T>(url: string, link: HttpLink, whole: OnWhole<T>): Promise<RangeSource | T> {
  try {
    return await link.insist(() => probe(url, link, whole));
  } catch (error) {
    throw new UserError(`${url}: ${problemOf(error).message}`);
  }
}

type OnWhole<T> = (response: HttpResponse, next: Next) => Promise<T>;

async function probe<T>(url: string, link: HttpLink, whole: OnWhole<T>): Promise<RangeSource | T> {
  return await link.exchange(url, { range: `bytes=0-${PROBE - 1}` }, async (response, next) => {
    if (response.status === 200) return await whole(response, next);
    // Where a redirection leads counts: a page's own server may send to another.
    const foreign = link.platform.foreign?.(response.url) === true;
    const size = response.status === 206 ? sizeOf(response, foreign) : undefined;
    if (response.status === 416) throw new HttpProblem('refused', 'the file is empty: serve another');
    if (size === undefined) throw link.statusProblem(response);
    const length = Math.min(size, PROBE);
    checkRange(response, 0, length, size);
    await fill(new Uint8Array(length), next, () => {});
    return new HttpRanges(url, link, { size, foreign, validators: validatorsOf(response) });
  });
}

type Next = () => Promise<Uint8Array | undefined>;

const NO_RANGES =
  'the server does not answer range requests, which a disk of this size needs: serve it with one that does, such as nginx or Apache, or download the file';

const NO_CONTENT_RANGE =
  'the server answers with a part of the file and does not say which (no Content-Range): serve it with another, such as nginx or Apache';
const HIDDEN_RANGE =
  'the server of another site lets this page not see which part of the file it sends: it must send Access-Control-Expose-Headers: Content-Range, ETag, Last-Modified';

async function wholeSource(response: HttpResponse, next: Next): Promise<RangeSource> {
  const bytes = await readBody(response, next, WHOLE_LIMIT, NO_RANGES);
  const { etag, modified } = validatorsOf(response);
  return new WholeSource(bytes, etag ?? modified ?? undefined);
}

/** The size that the first answer tells. @throws HttpProblem */
function sizeOf(response: HttpResponse, foreign: boolean): number {
  const text = response.headers.get('content-range');
  if (text === null) throw new HttpProblem('refused', foreign ? HIDDEN_RANGE : NO_CONTENT_RANGE);
  const size = /^bytes \d+-\d+\/(\d+)$/.exec(text)?.[1];
  if (size === undefined || !Number.isSafeInteger(Number(size)))
    throw new HttpProblem(
      text.endsWith('/*') ? 'refused' : 'again',
      `the server does not tell the size of the file (Content-Range: ${text}): serve it with another, such as nginx or Apache`,
    );
  return Number(size);
}

/** That a 206 is what was asked for. @throws HttpProblem */
function checkRange(response: HttpResponse, offset: number, length: number, size: number): void {
  if (isEncoded(response))
    throw new HttpProblem('refused', 'the server compresses parts of the file: switch its compression off for it');
  const text = response.headers.get('content-range') ?? '';
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text);
  const [from, to, total] = match === null ? [] : match.slice(1);
  if (total !== undefined && total !== '*' && Number(total) !== size)
    throw new HttpProblem('changed', `the file changed on the server: it has ${total} bytes, not ${size}`);
  if (Number(from) !== offset || Number(to) !== offset + length - 1)
    throw new HttpProblem(
      'again',
      `the server answers bytes ${offset}-${offset + length - 1} with Content-Range '${text}'`,
    );
  const announced = response.headers.get('content-length');
  if (announced !== null && Number(announced) !== length)
    throw new HttpProblem('again', `the server announces ${announced} bytes for a range of ${length}`);
}

/** Reads a body of exactly the length of `into`. @throws HttpProblem */
async function fill(into: Uint8Array, next: Next, progress: (done: number) => void): Promise<void> {
  let done = 0;
  for (let part = await next(); part !== undefined; part = await next()) {
    if (done + part.length > into.length)
      throw new HttpProblem('again', `the server sent more than the ${into.length} bytes asked for`);
    into.set(part, done);
    done += part.length;
    progress(done);
  }
  if (done < into.length)
    throw new HttpProblem('again', `the server sent ${done} of the ${into.length} bytes asked for`);
}

/** What the first answer told. */
interface FirstAnswer {
  readonly size: number;
  /** It came from another origin than the page's. */
  readonly foreign: boolean;
  readonly validators: Validators;
}

/** A server that answers ranges. */
class HttpRanges implements RangeSource {
  readonly size: number;
  readonly identity: string | undefined;
  readonly #url: string;
  readonly #link: HttpLink;
  readonly #validators: Validators;
  readonly #condition: Readonly<Record<string, string>>;
  #changed: HttpProblem | undefined;
  #well = true;

  constructor(url: string, link: HttpLink, { size, foreign, validators }: FirstAnswer) {
    this.#url = url;
    this.#link = link;
    this.size = size;
    this.#validators = validators;
    this.identity = validators.etag ?? validators.modified ?? undefined;
    this.#condition = foreign ? {} : ifRange(validators);
  }

  get well(): boolean {
    return this.#well;
  }

  /**
   * While the server is away each read fails after one attempt: a guest should not wait for every sector
   * as long as for the first.
   */
  async read(offset: number, into: Uint8Array, progress: (done: number) => void): Promise<void> {
    let done = 0;
    for (let attempt = 1; ; attempt++) {
      const before = done;
      try {
        const advance = (more: number): void => progress((done = before + more));
        await this.#ask(offset + before, into.subarray(before), advance);
        this.#well = true;
        return;
      } catch (error) {
        const problem = problemOf(error);
        // A connection that breaks now and then still makes headway.
        if (done - before >= HEADWAY) attempt = 1;
        const last = !this.#well || attempt >= this.#link.patience.attempts;
        if (problem.kind !== 'again' || last || this.#link.closed) {
          this.#well = false;
          throw problem;
        }
        await this.#link.pause(attempt, problem);
      }
    }
  }

  readNow(offset: number, into: Uint8Array): void {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#askNow(offset, into);
        return;
      } catch (error) {
        const problem = problemOf(error);
        if (problem.kind !== 'again' || attempt >= this.#link.patience.attempts || this.#link.closed) throw problem;
        this.#link.pauseNow(attempt, problem);
      }
    }
  }

  #askNow(offset: number, into: Uint8Array): void {
    const { response, body } = this.#link.exchangeNow(this.#url, this.#headersFor(offset, into.length));
    this.#checkAnswer(response, offset, into.length);
    if (body.length !== into.length)
      throw new HttpProblem('again', `the server sent ${body.length} of the ${into.length} bytes asked for`);
    into.set(body);
  }

  async #ask(offset: number, into: Uint8Array, progress: (done: number) => void): Promise<void> {
    if (into.length === 0) return;
    await this.#link.exchange(this.#url, this.#headersFor(offset, into.length), async (response, next) => {
      this.#checkAnswer(response, offset, into.length);
      await fill(into, next, progress);
    });
  }

  #headersFor(offset: number, length: number): Readonly<Record<string, string>> {
    if (this.#changed !== undefined) throw this.#changed;
    return { range: `bytes=${offset}-${offset + length - 1}`, ...this.#condition };
  }

  /** That it is the range that was asked for, of the state that the file was opened in. @throws HttpProblem */
  #checkAnswer(response: HttpResponse, offset: number, length: number): void {
    try {
      this.#checkState(response);
      if (response.status !== 206) throw this.#link.statusProblem(response);
      checkRange(response, offset, length, this.size);
    } catch (error) {
      if (error instanceof HttpProblem && error.kind === 'changed') this.#changed = error;
      throw error;
    }
  }

  /** That the answer is of the state that the disk was opened in. @throws HttpProblem */
  #checkState(response: HttpResponse): void {
    const { status } = response;
    if (status !== 200 && status !== 206 && status !== 416) return;
    // The whole file instead of a range is the answer to an If-Range that holds no more (RFC 9110 §13.1.5).
    if (!sameState(this.#validators, validatorsOf(response)) || status === 416)
      throw new HttpProblem('changed', 'the file changed on the server');
    if (status === 200) throw new HttpProblem('again', 'the server sends the whole file instead of a range');
  }
}

/** Only strong validators serve for If-Range. */
function ifRange({ etag, modified }: Validators): Record<string, string> {
  const validator = etag === null || etag.startsWith('W/') ? (etag === null ? modified : null) : etag;
  return validator === null ? {} : { 'if-range': validator };
}
