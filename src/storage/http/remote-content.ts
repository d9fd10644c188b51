/** What lies on a server and is read at any place, where the server sends parts of files, or from start to end. */
import { UserError } from '../../user-error.ts';
import { HttpLink, type OpenAnswer } from './exchange.ts';
import { type HttpPlatform, type HttpReader, PATIENCE } from './platform.ts';
import { problemOf } from './problem.ts';
import { askRanges, type RangeSource } from './range-source.ts';
import { announcedLength } from './whole-file.ts';

/** A file that is read at any place. */
interface RemoteFile {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Exactly so many bytes; `came` hears how many of them are there. @throws UserError, in time */
  read(offset: number, length: number, came?: (done: number, bytes: Uint8Array) => void): Promise<Uint8Array>;
  /** The same, with the caller's thread waiting. */
  readNow(offset: number, length: number): Uint8Array;
  close(): Promise<void>;
}

/** Something at an address, of which it is known how it can be read. */
export class RemoteContent {
  readonly url: string;
  /** Bytes; undefined: the server does not tell. */
  readonly size: number | undefined;
  readonly #link: HttpLink;
  readonly #ranges: RangeSource | undefined;

  private constructor(
    url: string,
    link: HttpLink,
    { ranges, size }: { ranges?: RangeSource; size?: number | undefined },
  ) {
    this.url = url;
    this.#link = link;
    this.#ranges = ranges;
    this.size = ranges?.size ?? size;
  }

  /** Asks the server. `headers` go with every request. @throws UserError */
  static async open(
    url: string,
    platform: HttpPlatform,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RemoteContent> {
    const link = new HttpLink(platform, PATIENCE, headers);
    const found = await askRanges(url, link, async (response) => ({ whole: announcedLength(response) }));
    return new RemoteContent(url, link, 'whole' in found ? { size: found.whole } : { ranges: found });
  }

  /** The server sends parts of it. */
  get inRanges(): boolean {
    return this.#ranges !== undefined;
  }

  /** Changes when the content does; undefined where the server gives no hold for that. */
  get identity(): string | undefined {
    return this.#ranges?.identity;
  }

  /** Where the server sends parts of it. */
  file(): RemoteFile {
    if (this.#ranges === undefined) throw new Error('the server sends no parts of the file');
    return new RangesFile(this.url, this.#ranges, this.#link);
  }

  /** From start to end; asked for when it is first read. `told` hears how many bytes have come. */
  stream(told: (bytes: number) => void = () => {}): { getReader(): HttpReader } {
    return { getReader: () => new WholeReader(this.url, this.#link, told) };
  }
}

/** @throws UserError instead of what requests reject with */
const explained =
  (url: string) =>
  (error: unknown): never => {
    throw error instanceof UserError ? error : new UserError(`${url}: ${problemOf(error).message}`);
  };

class RangesFile implements RemoteFile {
  readonly name: string;
  readonly size: number;
  readonly #ranges: RangeSource;
  readonly #link: HttpLink;
  readonly #fail: (error: unknown) => never;

  constructor(url: string, ranges: RangeSource, link: HttpLink) {
    this.name = url;
    this.size = ranges.size;
    this.#ranges = ranges;
    this.#link = link;
    this.#fail = explained(url);
  }

  async read(
    offset: number,
    length: number,
    came: (done: number, bytes: Uint8Array) => void = () => {},
  ): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    await this.#ranges.read(offset, bytes, (done) => came(done, bytes)).catch(this.#fail);
    return bytes;
  }

  readNow(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    try {
      this.#ranges.readNow(offset, bytes);
    } catch (error) {
      this.#fail(error);
    }
    return bytes;
  }

  async close(): Promise<void> {
    this.#link.close();
  }
}

class WholeReader implements HttpReader {
  readonly #url: string;
  readonly #link: HttpLink;
  readonly #told: (bytes: number) => void;
  #answer: Promise<OpenAnswer> | undefined;
  #bytes = 0;

  constructor(url: string, link: HttpLink, told: (bytes: number) => void) {
    this.#url = url;
    this.#link = link;
    this.#told = told;
  }

  async read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }> {
    try {
      this.#answer ??= this.#link.insist(() => this.#ask());
      const { next, end } = await this.#answer;
      const value = await next();
      if (value === undefined) end();
      else this.#told((this.#bytes += value.length));
      return { done: value === undefined, value };
    } catch (error) {
      return explained(this.#url)(error);
    }
  }

  async cancel(): Promise<void> {
    (await this.#answer?.catch(() => undefined))?.end();
  }

  async #ask(): Promise<OpenAnswer> {
    const answer = await this.#link.open(this.#url, {});
    if (answer.response.status === 200) return answer;
    answer.end();
    throw this.#link.statusProblem(answer.response);
  }
}
