/** The file: a header, sections, each compressed and with a checksum, and a last section that says that the file is whole. */
import { deflate, inflate } from './compression.ts';
import { crc32 } from './crc32.ts';
import { damaged, snapshotProblem } from './problem.ts';
import type { ByteSource, ByteTarget, ByteWriter } from './streams.ts';
import { ExactReader } from './streams.ts';

/** A first byte that text does not have, then bytes that transfers as text would change. */
const MAGIC = Uint8Array.of(0x89, 0x54, 0x52, 0x41, 0x50, 0x0d, 0x0a, 0x1a);
/** Goes up when old programs could not read new files. */
export const FORMAT_VERSION = 1;
const FILE_HEADER_BYTES = 16;
const SECTION_HEADER_BYTES = 16;
const KIND_BYTES = 4;
/** Content of a section before it is compressed. */
export const MOST_CONTENT = 8 * 2 ** 20;
/** Deflate makes what cannot be compressed a little longer. */
const MOST_STORED = MOST_CONTENT + 2 ** 16;

export const KINDS = ['META', 'BOOT', 'CPU0', 'TIME', 'PART', 'DISK', 'PAGE', 'ZERO', 'LAST'] as const;
export type SectionKind = (typeof KINDS)[number];

export interface Section {
  readonly kind: SectionKind;
  readonly content: Uint8Array;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export class SnapshotWriter {
  readonly #writer: ByteWriter;
  #sections = 0;
  #checksums = 0;
  /** Bytes written so far. */
  written = 0;

  constructor(target: ByteTarget) {
    this.#writer = target.getWriter();
  }

  async begin(): Promise<void> {
    const header = new Uint8Array(FILE_HEADER_BYTES);
    header.set(MAGIC);
    viewOf(header).setUint32(8, FORMAT_VERSION, true);
    viewOf(header).setUint32(12, crc32(header.subarray(0, 12)), true);
    await this.#write(header);
  }

  async add(kind: SectionKind, content: Uint8Array): Promise<void> {
    if (content.length > MOST_CONTENT) throw new RangeError(`a section of ${content.length} bytes`);
    const stored = await deflate(content);
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
  }

  /** The file is whole. */
  async end(): Promise<void> {
    const content = new Uint8Array(8);
    viewOf(content).setUint32(0, this.#sections, true);
    viewOf(content).setUint32(4, this.#checksums, true);
    await this.add('LAST', content);
    await this.#writer.close();
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

export class SnapshotReader {
  readonly #reader: ExactReader;
  #sections = 0;
  #checksums = 0;
  #begun = false;

  constructor(source: ByteSource) {
    this.#reader = new ExactReader(source);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#reader.position;
  }

  /** The next section; undefined when the file was whole. @throws UserError when it is damaged or no snapshot. */
  async next(): Promise<Section | undefined> {
    if (!this.#begun) await this.#begin();
    this.#begun = true;
    const header = (await this.#exactly(SECTION_HEADER_BYTES)).slice();
    const view = viewOf(header);
    const kind = KINDS.find((name) => [...name].every((letter, i) => letter.charCodeAt(0) === header[i]));
    const storedLength = view.getUint32(4, true);
    const length = view.getUint32(8, true);
    if (kind === undefined || storedLength > MOST_STORED || length > MOST_CONTENT)
      throw damaged(`section ${this.#sections} has a wrong header`);
    const stored = await this.#exactly(storedLength);
    if (crc32(stored, crc32(header.subarray(0, 12))) !== view.getUint32(12, true))
      throw damaged(`section ${this.#sections} has another checksum`);
    const content = await inflate(stored, length);
    if (content?.length !== length) throw damaged(`section ${this.#sections} cannot be decompressed`);
    if (kind === 'LAST') return this.#finish(content);
    this.#sections += 1;
    this.#checksums = crc32(header.subarray(12), this.#checksums);
    return { kind, content };
  }

  /** Nothing more is wanted of the stream. */
  async cancel(): Promise<void> {
    await this.#reader.cancel();
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

  async #finish(content: Uint8Array): Promise<undefined> {
    const view = viewOf(content);
    const fits = content.length === 8 && view.getUint32(0, true) === this.#sections;
    if (!fits || view.getUint32(4, true) !== this.#checksums) throw damaged('sections are missing');
    if ((await this.#reader.take(1)).length > 0) throw damaged('something follows its end');
    return undefined;
  }

  async #exactly(length: number): Promise<Uint8Array> {
    const bytes = await this.#reader.take(length);
    if (bytes.length < length) throw damaged(TRUNCATED);
    return bytes;
  }
}
