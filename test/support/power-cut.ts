/** A file that remembers what a power cut may lose: everything written since the last flush. */
import type { SizedFile } from '../../src/storage/file.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';

const SECTOR = 512;

interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What is in the file after a cut. */
export class RecordingFile implements SizedFile {
  readonly #current = new MemoryFile();
  /** What has surely reached the medium. */
  #durable: Uint8Array = new Uint8Array();
  #waiting: Write[] = [];
  /** Called before each write and each flush: the moments at which the power may go. */
  onMoment: (() => Promise<void>) | undefined;

  /** A file with this content, all of it durable. */
  static async of(content: Uint8Array): Promise<RecordingFile> {
    const file = new RecordingFile();
    await file.#current.write(0, content);
    file.#durable = new Uint8Array(content);
    return file;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#current.read(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await this.onMoment?.();
    this.#waiting.push({ offset, bytes: from.slice() });
    await this.#current.write(offset, from);
  }

  size(): Promise<number> {
    return this.#current.size();
  }

  async flush(): Promise<void> {
    await this.onMoment?.();
    this.#durable = applied(this.#durable, this.#waiting);
    this.#waiting = [];
  }

  async close(): Promise<void> {}

  /** All that was written, as if it had been flushed. */
  content(): Uint8Array {
    return applied(this.#durable, this.#waiting);
  }

  /**
   * What may be left when the power goes now: of the sectors written since the last flush any, and of those written
   * more than once any of the versions. `random` returns numbers from 0 to below 1.
   */
  afterCut(random: () => number): Uint8Array {
    const chance = random();
    const sectors = this.#waiting.flatMap(({ offset, bytes }) => pieces(offset, bytes)).filter(() => random() < chance);
    for (let i = sectors.length - 1; i > 0; i--) {
      const other = Math.floor(random() * (i + 1));
      [sectors[i], sectors[other]] = [sectors[other]!, sectors[i]!];
    }
    return applied(this.#durable, sectors);
  }
}

function pieces(offset: number, bytes: Uint8Array): Write[] {
  const all: Write[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(bytes.length - at, SECTOR - ((offset + at) % SECTOR));
    all.push({ offset: offset + at, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return all;
}

function applied(base: Uint8Array, writes: readonly Write[]): Uint8Array {
  const end = writes.reduce((most, { offset, bytes }) => Math.max(most, offset + bytes.length), base.length);
  const all = new Uint8Array(end);
  all.set(base);
  for (const { offset, bytes } of writes) all.set(bytes, offset);
  return all;
}
