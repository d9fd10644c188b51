/** Guest RAM inside the engine's linear memory. */
import type { GuestMemory } from '../devices/contract.ts';
import { UserError } from '../user-error.ts';
import { MAX_RAM, PAGE_SIZE, RAM_BASE } from './layout.ts';

const WASM_PAGE = 65536;
const MIN_RAM = 2 ** 20;

/** `written` hears of every range that a device is about to write. */
export class EngineMemory implements GuestMemory {
  readonly wasm: WebAssembly.Memory;
  readonly size: number;
  #written: (at: number, length: number) => void = () => {};
  readonly #bytes: Uint8Array;

  /** @throws UserError when `size` is not between 1 MiB and 3 GiB, or the host has no room for it. */
  constructor(size: number) {
    if (size < MIN_RAM || size > MAX_RAM || size % PAGE_SIZE !== 0) {
      throw new UserError(`memory of ${size} bytes: choose between 1M and 3072M, a multiple of 4K`);
    }
    this.size = size;
    const pages = Math.ceil((RAM_BASE + size) / WASM_PAGE);
    try {
      this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages });
    } catch {
      throw new UserError(`the host has no room for ${size / 2 ** 20} MiB of guest memory: choose a smaller --memory`);
    }
    this.#bytes = new Uint8Array(this.wasm.buffer, RAM_BASE, size);
  }

  onWrite(written: (at: number, length: number) => void): void {
    this.#written = written;
  }

  #holds(at: number, length: number): boolean {
    return Number.isSafeInteger(at) && at >= 0 && length >= 0 && at + length <= this.size;
  }

  readable(at: number, length: number): Uint8Array | undefined {
    return this.#holds(at, length) ? this.#bytes.subarray(at, at + length) : undefined;
  }

  writable(at: number, length: number): Uint8Array | undefined {
    if (!this.#holds(at, length)) return undefined;
    this.#written(at, length);
    return this.#bytes.subarray(at, at + length);
  }
}
