/** Guest RAM inside the engine's linear memory. */
import type { LatePages } from '../devices/contract.ts';
import { UserError } from '../user-error.ts';
import type { EngineRam } from './engine.ts';
import { ABSENT_PAGES, MAX_RAM, PAGE_FLAG, PAGE_FLAGS_BASE, PAGE_SIZE, RAM_BASE } from './layout.ts';

const WASM_PAGE = 65536;
const MIN_RAM = 2 ** 20;

/** Devices reach RAM by views, which are given of pages that have come; generated code asks by `arrive` for those that have not. */
export class EngineMemory implements EngineRam {
  readonly wasm: WebAssembly.Memory;
  readonly size: number;
  #written: (at: number, length: number) => void = () => {};
  readonly #bytes: Uint8Array;
  readonly #flags: Uint8Array;
  /** How many pages have not come, where generated code sees it. */
  readonly #absent: Uint32Array;
  #bring: (page: number) => boolean = () => false;
  readonly late: LatePages = {
    expect: (pages, bring) => this.#expect(pages, bring),
    fill: (page, bytes) => this.#fill(page, bytes),
  };

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
    this.#flags = new Uint8Array(this.wasm.buffer, PAGE_FLAGS_BASE, size / PAGE_SIZE);
    this.#absent = new Uint32Array(this.wasm.buffer, ABSENT_PAGES, 1);
  }

  /** `written` hears of every range that a device is about to write. */
  onWrite(written: (at: number, length: number) => void): void {
    this.#written = written;
  }

  #holds(at: number, length: number): boolean {
    return Number.isSafeInteger(at) && at >= 0 && length >= 0 && at + length <= this.size;
  }

  readable(at: number, length: number): Uint8Array | undefined {
    return this.#holds(at, length) && this.#come(at, length) ? this.#bytes.subarray(at, at + length) : undefined;
  }

  writable(at: number, length: number): Uint8Array | undefined {
    if (!this.#holds(at, length) || !this.#come(at, length)) return undefined;
    this.#written(at, length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The processor is about to reach a page of RAM, by any address in it, around the views. */
  arrive(at: number): void {
    const page = Math.floor(at / PAGE_SIZE);
    if ((this.#flags[page] & PAGE_FLAG.absent) !== 0 && !this.#bring(page))
      throw new Error(`page ${page} did not come`);
  }

  /** Whether every page of a range is there now. */
  #come(at: number, length: number): boolean {
    if (this.#absent[0] === 0 || length === 0) return true;
    const last = Math.floor((at + length - 1) / PAGE_SIZE);
    for (let page = Math.floor(at / PAGE_SIZE); page <= last; page++)
      if ((this.#flags[page] & PAGE_FLAG.absent) !== 0 && !this.#bring(page)) return false;
    return true;
  }

  #expect(pages: Iterable<number>, bring: (page: number) => boolean): void {
    this.#bring = bring;
    for (const page of pages) {
      if ((this.#flags[page] & PAGE_FLAG.absent) === 0) this.#absent[0]!++;
      this.#flags[page] |= PAGE_FLAG.absent;
    }
  }

  #fill(page: number, bytes: Uint8Array): void {
    if ((this.#flags[page] & PAGE_FLAG.absent) === 0) return;
    this.#bytes.set(bytes, page * PAGE_SIZE);
    this.#flags[page] &= ~PAGE_FLAG.absent;
    this.#absent[0]!--;
  }
}
