import type { GuestMemory, PhysicalAddress, Range } from '../../src/devices/contract.ts';

/** RAM of a test; remembers what devices asked to write. */
export class TestRam implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Ranges that were handed out for writing. */
  readonly written: Range[] = [];
  /** Bytes that were handed out for reading. */
  bytesRead = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  get size(): number {
    return this.bytes.length;
  }

  readable(at: PhysicalAddress, length: number): Uint8Array | undefined {
    if (!this.#holds(at, length)) return undefined;
    this.bytesRead += length;
    return this.bytes.subarray(at, at + length);
  }

  writable(at: PhysicalAddress, length: number): Uint8Array | undefined {
    if (!this.#holds(at, length)) return undefined;
    this.written.push({ base: at, size: length });
    return this.bytes.subarray(at, at + length);
  }

  #holds(at: PhysicalAddress, length: number): boolean {
    return Number.isSafeInteger(at) && at >= 0 && length >= 0 && at + length <= this.bytes.length;
  }
}
