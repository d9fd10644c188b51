/** Streams of bytes as the Streams standard has them; the `ReadableStream` and `WritableStream` of any host are such. */

export interface ByteReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(reason?: unknown): Promise<void>;
}
export interface ByteSource {
  getReader(): ByteReader;
}

export interface ByteWriter {
  /** Resolves when the stream wants more. */
  readonly ready: Promise<unknown>;
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}
export interface ByteTarget {
  getWriter(): ByteWriter;
}

/** Takes exact pieces from a stream. */
export class ExactReader {
  readonly #reader: ByteReader;
  #rest: Uint8Array = new Uint8Array(0);
  /** Bytes taken so far. */
  position = 0;

  constructor(source: ByteSource) {
    this.#reader = source.getReader();
  }

  /** The next `length` bytes, fewer at the end of the stream. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#rest.length < length) await this.#gather(length);
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(taken.length);
    this.position += taken.length;
    return taken;
  }

  /** Nothing more is wanted. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async #gather(length: number): Promise<void> {
    const pieces = [this.#rest];
    let have = this.#rest.length;
    while (have < length) {
      const { done, value } = await this.#reader.read();
      if (done) break;
      if (value === undefined) continue;
      pieces.push(value);
      have += value.length;
    }
    this.#rest = joined(pieces, have);
  }
}

export function joined(pieces: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
