/** The tables in linear memory that remember translations: the software TLB and the jump cache. */
import type { State } from '../../isa/ir/types.ts';
import { CR4_BITS } from '../../isa/x86/control-bits.ts';
import { MAX_LENGTH } from '../../isa/x86/instruction-reader.ts';
import { TRANSLATION } from '../../isa/x86/procedures/paging.ts';
import { TLB_BANK_EMPTY } from '../../isa/x86/procedures/segments.ts';
import {
  CR3,
  CR4,
  FETCH_INFO,
  GENERATION,
  GENERATION_HIGH,
  JUMP_EPOCH,
  JUMP_EPOCH_HIGH,
  TLB_BANK,
  TLB_BANKS,
  TLB_LARGE,
} from '../../isa/x86/state.ts';
import { JUMP_CACHE_BASE, PAGE_SIZE, RAM_BASE, TLB_BASE } from '../layout.ts';
import type { Registers } from '../registers.ts';
import { JUMP_CACHE } from './jump-cache.ts';
import { TLB_BANKS_COUNT, TLB_ENTRIES, TLB_ENTRY, TLB_INDEX_MASK, TLB_SPACES } from './tlb.ts';

const BANK_BYTES = TLB_ENTRIES * TLB_ENTRY.size;
const SPACE_BYTES = TLB_BANKS_COUNT * BANK_BYTES;
/** Without the bank that stays empty. */
const USED_BANKS_BYTES = TLB_BANK_EMPTY * BANK_BYTES;
const TLB_BYTES = TLB_SPACES * SPACE_BYTES;
const PAGE_OF_JUMPS = JUMP_CACHE.slots * JUMP_CACHE.entrySize;
const JUMP_CACHE_BYTES = JUMP_CACHE.pages * PAGE_OF_JUMPS;
const SLOT_BITS = Math.log2(JUMP_CACHE.slots);
const PAGE_BITS = Math.log2(PAGE_SIZE);
const GENERATIONS = 0x1000;
const GLOBAL_WORD = TLB_ENTRY.global >> 2;
const WRITE_WORD = TLB_ENTRY.writeTag >> 2;
const ADDEND_WORD = TLB_ENTRY.addend >> 2;
const PCIDE = Number(CR4_BITS.PCIDE);
const PCID_MASK = 0xfff;
/** Neither 0 nor 1, the value of `global` in an entry of the TLB that holds a page; nor half a key of the jump cache. */
const EMPTY = 0xffffffff;
const LAST_ENTRY = (TLB_ENTRIES - 1) * TLB_ENTRY.size;
/** The low half of a tag that no address has whose entry is at a word's place: another entry's. */
const noneAt = (word: number): number => (((word << 2) & (BANK_BYTES - 1)) === LAST_ENTRY ? 0 : 0xffffffff);

export class Translations {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #view: DataView;
  readonly #registers: Registers;
  /** The jump cache leads to pages of the upper half that are not global. */
  #hasLocalHigh = false;
  /** By the low bits of a page's number: 1 where the jump cache may lead there. */
  readonly #jumpsTo = new Uint8Array(2 ** (32 - PAGE_BITS));
  /** The PCID of each address space that is held; -1: none. */
  readonly #pcids = new Array<number>(TLB_SPACES).fill(-1);
  /** What distinguishes an address space's ways by instruction pointer from those of others. */
  readonly #generations = new Array<number>(TLB_SPACES).fill(0);
  #lastGeneration = 0;
  #current = 0;
  /** The address space that was last made room for. */
  #newest = 0;

  constructor(memory: WebAssembly.Memory, registers: Registers) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#registers = registers;
  }

  /** Stores to a physical page take the slow path, whatever its linear address. */
  dropWriteTags(physical: number): void {
    const words = this.#words;
    const host = RAM_BASE + physical;
    for (let space = 0; space < TLB_SPACES; space++) {
      if (this.#pcids[space] < 0 && space !== this.#current) continue;
      const start = (TLB_BASE + space * SPACE_BYTES) >> 2;
      const end = start + (USED_BANKS_BYTES >> 2);
      for (let at = start; at < end; at += TLB_ENTRY.size >> 2) {
        if (((words[at] + words[at + ADDEND_WORD]) | 0) === (host | 0)) words[at + WRITE_WORD] = noneAt(at);
      }
    }
  }

  /** Numbers of the pages that the TLB has, those of the current address space with their linear addresses. */
  *pages(): Generator<readonly [page: number, linear: bigint | undefined]> {
    for (let space = 0; space < TLB_SPACES; space++) {
      if (this.#pcids[space]! < 0 && space !== this.#current) continue;
      const start = (TLB_BASE + space * SPACE_BYTES) >> 2;
      for (let at = start; at < start + (USED_BANKS_BYTES >> 2); at += TLB_ENTRY.size >> 2) {
        // Neither of the two values that entries with a page have.
        if (this.#words[at + GLOBAL_WORD]! > 1) continue;
        const host = (this.#words[at]! + this.#words[at + ADDEND_WORD]!) >>> 0;
        const linear = (BigInt(this.#words[at + 1]!) << 32n) | BigInt(this.#words[at]!);
        yield [(host - RAM_BASE) / PAGE_SIZE, space === this.#current ? linear : undefined];
      }
    }
  }

  /** As the processor does when it is reset: RAM may be another, nothing is known. */
  reset(): void {
    this.#current = 0;
    this.#registers.setU32(TLB_BANKS, TLB_BASE);
  }

  /** Every translation and every way by instruction pointer. */
  dropAll(): void {
    const r = this.#registers;
    for (let space = 0; space < TLB_SPACES; space++) if (this.#pcids[space] >= 0) this.#clear(space);
    this.#clear(this.#current);
    this.#pcids.fill(-1);
    this.#pcids[this.#current] = (r.u32(CR4) & PCIDE) === 0 ? 0 : r.u32(CR3) & PCID_MASK;
    r.setU32(TLB_LARGE, 0);
    this.nextGeneration();
  }

  /** Goes to the address space of a PCID; where `keeps`, to what is known of it. */
  enterSpace(pcid: number, keeps: boolean): void {
    const known = this.#pcids.indexOf(pcid);
    if (known < 0) this.#current = this.#makeRoom(pcid);
    else {
      this.#current = known;
      if (!keeps) this.#dropLocal(known);
    }
    const r = this.#registers;
    r.setU32(TLB_BANKS, TLB_BASE + this.#current * SPACE_BYTES);
    this.#setGeneration(GENERATION, JUMP_EPOCH, this.#generations[this.#current]);
    if (this.#hasLocalHigh) this.#nextHigh();
  }
  #makeRoom(pcid: number): number {
    this.#newest = (this.#newest + 1) % TLB_SPACES;
    this.#clear(this.#newest);
    this.#pcids[this.#newest] = pcid;
    this.#generations[this.#newest] = this.#nextLow();
    return this.#newest;
  }
  #clear(space: number): void {
    const start = TLB_BASE + space * SPACE_BYTES;
    this.#bytes.fill(0xff, start, start + SPACE_BYTES);
    for (let bank = start; bank < start + SPACE_BYTES; bank += BANK_BYTES) this.#dropEntry((bank + LAST_ENTRY) >> 2);
  }
  /** The entry at a word's place. */
  #dropEntry(at: number): void {
    const none = noneAt(at);
    this.#words[at] = none;
    this.#words[at + WRITE_WORD] = none;
    this.#words[at + GLOBAL_WORD] = EMPTY;
  }

  /** Every translation of a PCID's address space but those of global pages. */
  dropSpace(pcid: number): void {
    const space = this.#pcids.indexOf(pcid);
    if (space < 0) return;
    this.#dropLocal(space);
    this.#setGeneration(GENERATION, JUMP_EPOCH, this.#generations[this.#current]);
    if (this.#hasLocalHigh) this.#nextHigh();
  }
  #dropLocal(space: number): void {
    const words = this.#words;
    const start = (TLB_BASE + space * SPACE_BYTES) >> 2;
    const end = start + (SPACE_BYTES >> 2);
    for (let at = start; at < end; at += TLB_ENTRY.size >> 2) {
      if (words[at + GLOBAL_WORD] === 0) this.#dropEntry(at);
    }
    this.#generations[space] = this.#nextLow();
  }

  /** Makes every entry of the jump cache another address space's. */
  nextGeneration(): void {
    for (let space = 0; space < TLB_SPACES; space++) this.#generations[space] = this.#nextLow();
    this.#setGeneration(GENERATION, JUMP_EPOCH, this.#generations[this.#current]);
    this.#nextHigh();
  }
  #nextLow(): number {
    this.#lastGeneration = (this.#lastGeneration + 1) % GENERATIONS;
    if (this.#lastGeneration === 0) this.#restart();
    return this.#lastGeneration;
  }
  /** Entries of the generation that had a number before must not be taken for new ones. */
  #restart(): void {
    this.dropJumps();
    for (let space = 0; space < TLB_SPACES; space++) this.#generations[space] = ++this.#lastGeneration;
    this.#lastGeneration++;
  }
  #nextHigh(): void {
    this.#hasLocalHigh = false;
    const generation = (this.#registers.u32(GENERATION_HIGH) + 1) % GENERATIONS;
    if (generation === 0) this.dropJumps();
    this.#setGeneration(GENERATION_HIGH, JUMP_EPOCH_HIGH, generation);
  }
  #setGeneration(counter: State, epoch: State, generation: number): void {
    const r = this.#registers;
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
    for (let at = (TLB_BASE + entry) >> 2; at < (TLB_BASE + TLB_BYTES) >> 2; at += BANK_BYTES >> 2) {
      this.#dropEntry(at);
    }
    this.#dropJumpsTo(page);
    this.#dropCrossing(page);
  }
  /** Most pages that are dropped have never held code. */
  #dropJumpsTo(page: number): void {
    if (this.#jumpsTo[page] === 0) return;
    this.#jumpsTo[page] = 0;
    const words = this.#words;
    const start = (JUMP_CACHE_BASE + (page % JUMP_CACHE.pages) * PAGE_OF_JUMPS) >> 2;
    for (let at = start; at < start + (PAGE_OF_JUMPS >> 2); at += JUMP_CACHE.entrySize >> 2) {
      if (words[at] >>> PAGE_BITS === page) words.fill(EMPTY, at, at + 2);
    }
  }

  /** Ways to instructions that may begin on the page before and end on this one. */
  #dropCrossing(page: number): void {
    const end = page << PAGE_BITS;
    if (this.#jumpsTo[(end - 1) >>> PAGE_BITS] === 0) return;
    for (let low = end - MAX_LENGTH + 1; low < end; low++) {
      const at = placeInJumps(low >>> 0);
      if (this.#words[at] === low >>> 0) this.#words.fill(EMPTY, at, at + 2);
    }
  }

  /** The 8 bytes at a linear address, if the TLB has them for reading at the current privilege. */
  quadwordAt(linear: bigint): bigint | undefined {
    const low = Number(BigInt.asUintN(32, linear));
    const entry = (this.#registers.u32(TLB_BANK) + ((low >>> 7) & TLB_INDEX_MASK)) >> 2;
    const tag = BigInt(this.#words[entry]) | (BigInt(this.#words[entry + 1]) << 32n);
    if (tag !== BigInt.asUintN(64, linear & -4096n) || (low & 0xfff) > 4096 - 8) return undefined;
    return this.#view.getBigUint64((low + this.#words[entry + ADDEND_WORD]) >>> 0, true);
  }

  /** The record that the jump cache has for a linear address. */
  recall(address: bigint): number | undefined {
    const low = Number(BigInt.asUintN(32, address));
    const high = Number(BigInt.asUintN(32, address >> 32n));
    const at = placeInJumps(low);
    const epoch = this.#registers.u32(high >>> 31 === 1 ? JUMP_EPOCH_HIGH : JUMP_EPOCH, 1);
    const isThere = this.#words[at] === low && this.#words[at + 1] === (high ^ epoch) >>> 0;
    return isThere ? this.#words[at + 2] : undefined;
  }

  /** Remembers the record of the instruction at a linear address in the jump cache. */
  remember(low: number, high: number, record: number): void {
    const r = this.#registers;
    const isHigh = high >>> 31 === 1;
    if (isHigh && (r.u32(FETCH_INFO) & TRANSLATION.global) === 0) this.#hasLocalHigh = true;
    const at = placeInJumps(low);
    this.#words[at] = low;
    this.#words[at + 1] = (high ^ r.u32(isHigh ? JUMP_EPOCH_HIGH : JUMP_EPOCH, 1)) >>> 0;
    this.#words[at + 2] = record;
    this.#jumpsTo[low >>> PAGE_BITS] = 1;
  }
}

/** Index of the word where an address's entry of the jump cache starts. */
function placeInJumps(low: number): number {
  const page = (low >>> 12) % JUMP_CACHE.pages;
  const slot = (low ^ (low >>> SLOT_BITS)) & (JUMP_CACHE.slots - 1);
  return (JUMP_CACHE_BASE + page * PAGE_OF_JUMPS + slot * JUMP_CACHE.entrySize) >> 2;
}
