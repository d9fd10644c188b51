/** The file: a header, sections, each compressed and with a checksum, an index of those that can wait, and a last one that says that the file is whole. */
import { deflate, inflate } from './compression.ts';
import { crc32 } from './crc32.ts';
import { damaged, snapshotProblem } from './problem.ts';
import { type PlacedSection, recentOf, SectionIndex } from './section-index.ts';
import type { ByteSource, ByteTarget, ByteWriter } from './streams.ts';
import { ExactReader, joined } from './streams.ts';

/** A first byte that text does not have, then bytes that transfers as text would change. */
const MAGIC = Uint8Array.of(0x89, 0x54, 0x52, 0x41, 0x50, 0x0d, 0x0a, 0x1a);
/** Goes up when old programs could not read new files. */
const FORMAT_VERSION = 2;
const FILE_HEADER_BYTES = 16;
export const SECTION_HEADER_BYTES = 16;
const KIND_BYTES = 4;
/** Content of the last section, which is not compressed, so that it is found from the end of the file. */
const LAST_BYTES = 16;
export const LAST_SECTION_BYTES = SECTION_HEADER_BYTES + LAST_BYTES;
/** Content of a section before it is compressed. */
export const MOST_CONTENT = 8 * 2 ** 20;
/** Deflate makes what cannot be compressed a little longer. */
const MOST_STORED = MOST_CONTENT + 2 ** 16;

const KINDS = ['META', 'BOOT', 'CPU0', 'TIME', 'PART', 'DISK', 'ZERO', 'PAGE', 'FILE', 'INDX', 'LAST'] as const;
type SectionKind = (typeof KINDS)[number];
/** What the container itself has no need to write. */
type GivenKind = Exclude<SectionKind, 'INDX' | 'LAST'>;

export interface Section {
  readonly kind: GivenKind;
  readonly content: Uint8Array;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export type Compress = (content: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>;

/** Bytes of content that may wait to be compressed and written. */
const MOST_WAITING = 2 ** 28;
/** Sections that are compressed at once, where the host has threads for it. */
const AT_ONCE = 4;

export class SnapshotWriter {
  readonly #writer: ByteWriter;
  readonly #compress: Compress;
  /** Sections that are not in the file yet, in order. */
  readonly #waiting: Promise<void>[] = [];
  #waitingBytes = 0;
  readonly #index = new SectionIndex();
  #sections = 0;
  #checksums = 0;
  /** Bytes written so far. */
  written = 0;

  constructor(target: ByteTarget, compress: Compress = deflate) {
    this.#writer = target.getWriter();
    this.#compress = compress;
  }

  async begin(): Promise<void> {
    const header = new Uint8Array(FILE_HEADER_BYTES);
    header.set(MAGIC);
    viewOf(header).setUint32(8, FORMAT_VERSION, true);
    viewOf(header).setUint32(12, crc32(header.subarray(0, 12)), true);
    await this.#write(header);
  }

  /**
   * Takes a section, whose content must not change any more, and resolves when there is room for another; `written` is called when it is in
   * the file. @throws what writing of an earlier one threw
   */
  async add(kind: GivenKind, content: Uint8Array, written: () => void = () => {}): Promise<void> {
    while (this.#waitingBytes > MOST_WAITING) await this.#waiting[0];
    const stored = this.#startCompressing(content);
    stored.catch(() => {});
    const before = this.#waiting.at(-1);
    const inFile = async (): Promise<void> => {
      await before;
      const place = await this.#add(kind, content, await stored);
      if (kind === 'PAGE' || kind === 'FILE') this.#index.add(kind, place, content);
      this.#waiting.shift();
      this.#waitingBytes -= content.length;
      written();
    };
    const done = inFile();
    // What goes wrong is thrown to who waits for room, or for the end.
    done.catch(() => {});
    this.#waiting.push(done);
    this.#waitingBytes += content.length;
  }

  async #startCompressing(content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    await this.#waiting.at(-AT_ONCE);
    return this.#compress(content);
  }

  /** The file is whole. `recent`: sections of memory, the first ones, with what the processor used last. */
  async end(recent = 0): Promise<void> {
    await this.#waiting.at(-1);
    const start = this.written;
    const index = this.#index.encode(recent, start);
    await this.#add('INDX', index, await deflate(index));
    const content = new Uint8Array(LAST_BYTES);
    viewOf(content).setUint32(0, this.#sections, true);
    viewOf(content).setUint32(4, this.#checksums, true);
    viewOf(content).setBigUint64(8, BigInt(start), true);
    await this.#add('LAST', content, content);
    await this.#writer.close();
  }

  async #add(kind: SectionKind, content: Uint8Array, stored: Uint8Array<ArrayBuffer>): Promise<PlacedSection> {
    if (content.length > MOST_CONTENT) throw new RangeError(`a section of ${content.length} bytes`);
    const offset = this.written;
    const header = new Uint8Array(SECTION_HEADER_BYTES);
    const view = viewOf(header);
    for (let i = 0; i < KIND_BYTES; i++) header[i] = kind.charCodeAt(i);
    view.setUint32(4, stored.length, true);
    view.setUint32(8, content.length, true);
    const checksum = crc32(stored, crc32(header.subarray(0, 12)));
    view.setUint32(12, checksum, true);
    await this.#write(header);
    await this.#write(stored);
    this.#sections += 1;
    this.#checksums = crc32(header.subarray(12), this.#checksums);
    return { offset, length: this.written - offset, checksum };
  }

  /** The file will never be whole. */
  async abort(reason: unknown): Promise<void> {
    await this.#writer.abort(reason).catch(() => {});
  }

  async #write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#writer.ready;
    await this.#writer.write(bytes);
    this.written += bytes.length;
  }
}

const TRUNCATED = 'its end is missing';

interface SectionHeader {
  readonly kind: SectionKind;
  readonly storedLength: number;
  readonly length: number;
  readonly checksum: number;
}

/** `where` names the section in messages. @throws UserError when it is none */
function parseHeader(header: Uint8Array, where: string): SectionHeader {
  const view = viewOf(header);
  const kind = KINDS.find((name) => [...name].every((letter, i) => letter.charCodeAt(0) === header[i]));
  const storedLength = view.getUint32(4, true);
  const length = view.getUint32(8, true);
  const asIs = kind === 'LAST' && (storedLength !== LAST_BYTES || length !== LAST_BYTES);
  if (kind === undefined || storedLength > MOST_STORED || length > MOST_CONTENT || asIs)
    throw damaged(`${where} has a wrong header`);
  return { kind, storedLength, length, checksum: view.getUint32(12, true) };
}

const fits = (header: Uint8Array, stored: Uint8Array, { checksum }: SectionHeader): boolean =>
  crc32(stored, crc32(header.subarray(0, 12))) === checksum;

/** A section as it is stored, of the right checksum. */
export interface StoredSection {
  readonly stored: Uint8Array;
  /** Of its content. */
  readonly length: number;
}

/** The section that the index says to be in `bytes`. @throws UserError when another one is, or a damaged one */
export function placedSection(
  bytes: Uint8Array,
  kind: SectionKind,
  { checksum, offset }: PlacedSection,
): StoredSection {
  const where = `the section at byte ${offset}`;
  const header = bytes.subarray(0, SECTION_HEADER_BYTES);
  const stored = bytes.subarray(SECTION_HEADER_BYTES);
  const found = parseHeader(header, where);
  const expected = found.kind === kind && found.storedLength === stored.length && found.checksum === checksum;
  if (!expected || !fits(header, stored, found)) throw damaged(`${where} has another checksum`);
  return { stored, length: found.length };
}

/** @throws UserError when it cannot be */
export async function inflated({ stored, length }: StoredSection, where: string): Promise<Uint8Array> {
  const content = await inflate(stored, length);
  if (content?.length !== length) throw damaged(`${where} cannot be decompressed`);
  return content;
}

/** What the last section says. */
export interface FileEnd {
  readonly sections: number;
  readonly checksums: number;
  /** Where the index begins. */
  readonly index: number;
}

/** `bytes`: the last of a file. @throws UserError when the file is not whole */
export function parseEnd(bytes: Uint8Array): FileEnd {
  if (bytes.length < LAST_SECTION_BYTES) throw damaged(TRUNCATED);
  const [header, content] = [bytes.subarray(0, SECTION_HEADER_BYTES), bytes.subarray(SECTION_HEADER_BYTES)];
  const isLast = [...'LAST'].every((letter, i) => letter.charCodeAt(0) === header[i]);
  if (!isLast || !fits(header, content, parseHeader(header, 'its last section'))) throw damaged(TRUNCATED);
  const view = viewOf(content);
  return {
    sections: view.getUint32(0, true),
    checksums: view.getUint32(4, true),
    index: Number(view.getBigUint64(8, true)),
  };
}

/** Sections that are not read in order: where the first of them begins, their checksums, and what the last section says of all. */
export interface FileRest {
  readonly start: number;
  readonly checksums: Iterable<number>;
  readonly end: FileEnd;
}

export class SnapshotReader {
  readonly #reader: ExactReader;
  readonly #index = new SectionIndex();
  #sections = 0;
  #checksums = 0;
  #begun = false;
  #indexAt: number | undefined;
  #rest: FileRest | undefined;

  constructor(source: ByteSource) {
    this.#reader = new ExactReader(source);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#reader.position;
  }

  /** From its start on, the file will be read otherwise. */
  leave(rest: FileRest): void {
    this.#rest = rest;
  }

  /** The next section; undefined when the file was whole. @throws UserError when it is damaged or no snapshot. */
  async next(): Promise<Section | undefined> {
    if (!this.#begun) await this.#begin();
    this.#begun = true;
    if (this.position === this.#rest?.start) return this.#finishRest(this.#rest);
    const offset = this.position;
    const header = (await this.#exactly(SECTION_HEADER_BYTES)).slice();
    const where = `section ${this.#sections}`;
    const parsed = parseHeader(header, where);
    const stored = await this.#exactly(parsed.storedLength);
    if (!fits(header, stored, parsed)) throw damaged(`${where} has another checksum`);
    const { kind, length, checksum } = parsed;
    if (kind === 'LAST') return this.#finish(parseEnd(joined([header, stored], LAST_SECTION_BYTES)));
    const content = await inflated({ stored, length }, where);
    this.#count(checksum);
    if (kind === 'INDX') return this.#checkIndex(content, offset);
    if (this.#indexAt !== undefined) throw damaged('a section follows its index');
    if (kind === 'PAGE' || kind === 'FILE')
      this.#index.add(kind, { offset, length: this.position - offset, checksum }, content);
    return { kind, content };
  }

  /** Nothing more is wanted of the stream. */
  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }

  #count(checksum: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, checksum, true);
    this.#sections += 1;
    this.#checksums = crc32(bytes, this.#checksums);
  }

  async #begin(): Promise<void> {
    const header = await this.#reader.take(FILE_HEADER_BYTES);
    if (header.length === 0) throw snapshotProblem('it is empty');
    if (MAGIC.some((byte, i) => header[i] !== byte))
      throw snapshotProblem(
        'it does not begin as one: it is another kind of file, or damaged; give one that was saved',
      );
    if (header.length < FILE_HEADER_BYTES) throw damaged(TRUNCATED);
    const view = viewOf(header);
    if (crc32(header.subarray(0, 12)) !== view.getUint32(12, true)) throw damaged('its header has another checksum');
    const version = view.getUint32(8, true);
    if (version !== FORMAT_VERSION)
      throw snapshotProblem(
        `it has format ${version}, this Trapeze reads ${FORMAT_VERSION}: use the version that saved it`,
      );
  }

  /** The index must say what was found. */
  #checkIndex(content: Uint8Array, offset: number): Promise<Section | undefined> {
    const found = this.#index.encode(recentOf(content), offset);
    const same = found.length === content.length && found.every((byte, i) => byte === content[i]);
    if (!same || this.#indexAt !== undefined) throw damaged('its index is wrong');
    this.#indexAt = offset;
    return this.next();
  }

  async #finish(end: FileEnd): Promise<undefined> {
    if (end.index !== this.#indexAt) throw damaged('its index is missing');
    this.#checkEnd(end);
    if ((await this.#reader.take(1)).length > 0) throw damaged('something follows its end');
    return undefined;
  }

  #finishRest({ checksums, end }: FileRest): undefined {
    for (const checksum of checksums) this.#count(checksum);
    this.#checkEnd(end);
  }

  #checkEnd({ sections, checksums }: FileEnd): void {
    if (sections !== this.#sections || checksums !== this.#checksums) throw damaged('sections are missing');
  }

  async #exactly(length: number): Promise<Uint8Array> {
    const bytes = await this.#reader.take(length);
    if (bytes.length < length) throw damaged(TRUNCATED);
    return bytes;
  }
}
