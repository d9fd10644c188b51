import type { BlockBackend } from '../../src/devices/contract.ts';
import { type RandomAccessFile, StorageFullError } from '../../src/storage/file.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';

export const SECTOR = 512;

/** A disk whose operations wait until the test lets them go. */
export class GatedDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  readonly bytes: Uint8Array;
  readonly log: string[] = [];
  /** The next operations reject. */
  failing = false;
  readonly #waiting: (() => void)[] = [];
  #open = true;

  constructor(sectors: number, readOnly = false) {
    this.size = sectors * SECTOR;
    this.readOnly = readOnly;
    this.bytes = new Uint8Array(this.size);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  hold(): void {
    this.#open = false;
  }

  /** Lets waiting operations go, the one at `first` before the others. */
  release(first = 0): void {
    this.#open = true;
    this.#waiting.splice(first, 1)[0]?.();
    for (const go of this.#waiting.splice(0)) go();
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#pass(`read ${offset} ${into.length}`);
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#pass(`write ${offset} ${from.length}`);
    this.bytes.set(from, offset);
  }

  async flush(): Promise<void> {
    await this.#pass('flush');
  }

  async close(): Promise<void> {}

  async #pass(entry: string): Promise<void> {
    this.log.push(entry);
    if (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.failing) throw new Error('the host failed');
  }
}

/** A file on a host that runs out of room: a write that is refused may have written some whole sectors. */
export class FillingFile implements RandomAccessFile {
  readonly #file = new MemoryFile();
  /** What the next writes do: sectors written before the host refuses, or undefined for all. */
  readonly plan: (number | undefined)[] = [];
  closed = false;

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#file.read(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const sectors = this.plan.shift();
    await this.#file.write(offset, sectors === undefined ? from : from.subarray(0, sectors * SECTOR));
    if (sectors !== undefined) throw new StorageFullError('no room');
  }

  flush(): Promise<void> {
    return this.#file.flush();
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const SLOWEST_MS = 4;

/** A disk that answers after some milliseconds, in any order. */
export class SlowDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly = false;
  readonly bytes: Uint8Array;
  /** Writes that have not been answered. */
  writesUnderWay = 0;

  constructor(size: number) {
    this.size = size;
    this.bytes = new Uint8Array(size);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#wait();
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const bytes = from.slice();
    this.writesUnderWay += 1;
    await this.#wait();
    this.writesUnderWay -= 1;
    this.bytes.set(bytes, offset);
  }

  async flush(): Promise<void> {
    await this.#wait();
  }

  async close(): Promise<void> {}

  async #wait(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * SLOWEST_MS));
  }
}
