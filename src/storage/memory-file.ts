import { type SizedFile, StorageFullError } from './file.ts';

const CHUNK = 65_536;

/** A sparse file in memory, for hosts without files. */
export class MemoryFile implements SizedFile {
  readonly #chunks = new Map<number, Uint8Array>();
  readonly #capacity: number;
  #end = 0;

  /** `capacity`: bytes of memory that the file may take, counted in whole 64 KiB chunks. */
  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (const { index, start, length, done } of pieces(offset, into.length)) {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) into.fill(0, done, done + length);
      else into.set(chunk.subarray(start, start + length), done);
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    for (const { index, start, length, done } of pieces(offset, from.length))
      this.#chunk(index).set(from.subarray(done, done + length), start);
    this.#end = Math.max(this.#end, offset + from.length);
  }

  async size(): Promise<number> {
    return this.#end;
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    this.#chunks.clear();
  }

  #chunk(index: number): Uint8Array {
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      if ((this.#chunks.size + 1) * CHUNK > this.#capacity) throw new StorageFullError('out of memory for the file');
      chunk = new Uint8Array(CHUNK);
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }
}

/** The parts of a range that lie in one chunk each. */
function* pieces(offset: number, total: number) {
  for (let done = 0, length = 0; done < total; done += length) {
    const start = (offset + done) % CHUNK;
    length = Math.min(CHUNK - start, total - done);
    yield { index: Math.floor((offset + done) / CHUNK), start, length, done };
  }
}
