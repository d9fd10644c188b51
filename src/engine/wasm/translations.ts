/** The tables in linear memory that remember translations: the software TLB and the jump cache. */
import type { State } from '../../isa/ir/types.ts';
import { TRANSLATION } from '../../isa/x86/procedures/paging.ts';
import {
  FETCH_INFO,
  GENERATION,
  GENERATION_HIGH,
  JUMP_EPOCH,
  JUMP_EPOCH_HIGH,
  TLB_LARGE,
} from '../../isa/x86/state.ts';
import { JUMP_CACHE_BASE, RAM_BASE, TLB_BASE } from '../layout.ts';
import type { Registers } from '../registers.ts';
import { JUMP_CACHE } from './main-loop.ts';
import { TLB_BANKS_COUNT, TLB_ENTRIES, TLB_ENTRY } from './tlb.ts';

const BANK_BYTES = TLB_ENTRIES * TLB_ENTRY.size;
const TLB_BYTES = TLB_BANKS_COUNT * BANK_BYTES;
const PAGE_OF_JUMPS = JUMP_CACHE.slots * JUMP_CACHE.entrySize;
const JUMP_CACHE_BYTES = JUMP_CACHE.pages * PAGE_OF_JUMPS;
const SLOT_BITS = Math.log2(JUMP_CACHE.slots);
const GENERATIONS = 0x1000;
const GLOBAL_WORD = TLB_ENTRY.global >> 2;
const WRITE_WORD = TLB_ENTRY.writeTag >> 2;
const ADDEND_WORD = TLB_ENTRY.addend >> 2;
/** The low half of a tag that no address has: those of pages end in zeros. */
const NONE = 0xffffffff;

export class Translations {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #registers: Registers;
  /** The jump cache leads to pages of the upper half that are not global. */
  #hasLocalHigh = false;

  constructor(memory: WebAssembly.Memory, registers: Registers) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#registers = registers;
  }

  /** Stores to a physical page take the slow path, whatever its linear address. */
  dropWriteTags(physical: number): void {
    const words = this.#words;
    const host = RAM_BASE + physical;
    const end = (TLB_BASE + TLB_BYTES) >> 2;
    for (let at = TLB_BASE >> 2; at < end; at += TLB_ENTRY.size >> 2) {
      if (((words[at] + words[at + ADDEND_WORD]) | 0) === (host | 0)) words[at + WRITE_WORD] = NONE;
    }
  }

  /** Every translation and every way by instruction pointer. */
  dropAll(): void {
    this.#bytes.fill(0xff, TLB_BASE, TLB_BASE + TLB_BYTES);
    this.#registers.setU32(TLB_LARGE, 0);
    this.nextGeneration();
  }

  /** Every translation but those of global pages, as a change of CR3 does. */
  dropLocal(): void {
    const words = this.#words;
    const end = (TLB_BASE + TLB_BYTES) >> 2;
    for (let at = TLB_BASE >> 2; at < end; at += TLB_ENTRY.size >> 2) {
      if (words[at + GLOBAL_WORD] !== 1 && words[at] !== NONE) {
        words[at] = NONE;
        words[at + WRITE_WORD] = NONE;
      }
    }
    if (this.#hasLocalHigh) this.nextGeneration();
    else this.#next(GENERATION, JUMP_EPOCH);
  }

  /** Makes every entry of the jump cache another address space's. */
  nextGeneration(): void {
    this.#hasLocalHigh = false;
    this.#next(GENERATION, JUMP_EPOCH);
    this.#next(GENERATION_HIGH, JUMP_EPOCH_HIGH);
  }
  #next(counter: State, epoch: State): void {
    const r = this.#registers;
    const generation = (r.u32(counter) + 1) % GENERATIONS;
    // Entries of the generation that had this number before must not be taken for new ones.
    if (generation === 0) this.dropJumps();
    r.setU32(counter, generation);
    // The kind in the low three bits stays.
    const kind = (r.u32(epoch, 1) >>> 16) & 7;
    r.setU32(epoch, ((generation << 3) | kind) << 16, 1);
  }

  dropJumps(): void {
    this.#bytes.fill(0xff, JUMP_CACHE_BASE, JUMP_CACHE_BASE + JUMP_CACHE_BYTES);
  }

  /** The page of a linear address; where it may be part of a large page, everything. */
  dropPage(address: bigint): void {
    const half = address < 0n || address >= 1n << 63n ? 2 : 1;
    if ((this.#registers.u32(TLB_LARGE) & half) !== 0) {
      this.dropAll();
      return;
    }
    const page = Number(BigInt.asUintN(32, address) >> 12n);
    const entry = (page % TLB_ENTRIES) * TLB_ENTRY.size;
    for (let bank = 0; bank < TLB_BANKS_COUNT; bank++) {
      const at = TLB_BASE + bank * BANK_BYTES + entry;
      this.#bytes.fill(0xff, at, at + TLB_ENTRY.size);
    }
    const jumps = JUMP_CACHE_BASE + (page % JUMP_CACHE.pages) * PAGE_OF_JUMPS;
    this.#bytes.fill(0xff, jumps, jumps + PAGE_OF_JUMPS);
  }

  /** Remembers the record of the instruction at a linear address in the jump cache. */
  remember(low: number, high: number, record: number): void {
    const r = this.#registers;
    const isHigh = high >>> 31 === 1;
    if (isHigh && (r.u32(FETCH_INFO) & TRANSLATION.global) === 0) this.#hasLocalHigh = true;
    const page = (low >>> 12) % JUMP_CACHE.pages;
    const slot = (low ^ (low >>> SLOT_BITS)) & (JUMP_CACHE.slots - 1);
    const at = (JUMP_CACHE_BASE + page * PAGE_OF_JUMPS + slot * JUMP_CACHE.entrySize) >> 2;
    this.#words[at] = low;
    this.#words[at + 1] = (high ^ r.u32(isHigh ? JUMP_EPOCH_HIGH : JUMP_EPOCH, 1)) >>> 0;
    this.#words[at + 2] = record;
  }
}
