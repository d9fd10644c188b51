/** The code around a hot block as far as it is known, by offsets from the page that the block lies in. */
import { PAGE_SIZE } from '../../layout.ts';

/** A page of code. */
export interface KnownPage {
  /** Guest-physical page number. */
  readonly frame: number;
  readonly bytes: Uint8Array;
  /** Offsets of blocks that indirect jumps lead to. */
  indirect(): readonly number[];
  /** The record of the block at an offset, which was executed or is about to be. */
  record(offset: number): number | undefined;
  /** How often the block that a record starts was entered, as far as that is known. */
  entered(record: number): number;
  /** Linear address that a computed jump led to last, by the record of its block and its index in that; 0 where there is none. */
  target(record: number, index: number): bigint;
}

/** What is known around the page of a hot block, by offsets from that. */
export interface Surroundings {
  /** How often a block was entered that is worth translating with the hot one. */
  readonly least: number;
  /** The record at an offset, where the processor went lately. */
  find(offset: number): number | undefined;
  /** The offset that a pointer at an offset leads to, as far as memory is known. */
  follow(offset: number): number | undefined;
  /** The offset of a linear address. */
  offsetOf(linear: bigint): number | undefined;
}

/** What is known without its pages. */
type Near = Omit<Surroundings, 'find'>;

/** Farther away nothing is part of a region: offsets are 32-bit numbers. */
const FARTHEST = 2 ** 30;

export class KnownCode {
  /** By distance in pages from the entry's. */
  readonly #pages = new Map<number, KnownPage>();
  readonly #find: (offset: number) => KnownPage | undefined;
  readonly #near: Near;
  readonly #everything: boolean;

  /**
   * `entry`: the page of the hot block. `find`: the page at an offset, where the processor went lately. `everything`: of the entry's page
   * also what was not executed is wanted.
   */
  constructor(entry: KnownPage, find: (offset: number) => KnownPage | undefined, near: Near, everything: boolean) {
    this.#pages.set(0, entry);
    this.#find = find;
    this.#near = near;
    this.#everything = everything;
  }

  static distanceOf(offset: number): number {
    return Math.floor(offset / PAGE_SIZE);
  }
  static within(offset: number): number {
    return offset - KnownCode.distanceOf(offset) * PAGE_SIZE;
  }

  page(offset: number): KnownPage | undefined {
    const distance = KnownCode.distanceOf(offset);
    const known = this.#pages.get(distance);
    if (known !== undefined || Math.abs(offset) > FARTHEST) return known;
    const page = this.#find(offset);
    if (page !== undefined) this.#pages.set(distance, page);
    return page;
  }
  record(offset: number): number | undefined {
    return this.page(offset)?.record(KnownCode.within(offset));
  }
  /** The block at an offset is worth translating with others. */
  isWanted(offset: number): boolean {
    if (this.#everything && KnownCode.distanceOf(offset) === 0) return true;
    const page = this.page(offset);
    const record = page?.record(KnownCode.within(offset));
    return record !== undefined && page!.entered(record) >= this.#near.least;
  }
  /** Where a pointer at an offset leads now, if code there was executed. */
  pointedTo(offset: number): number | undefined {
    return this.#wanted(this.#near.follow(offset));
  }
  /** Where the computed jump led last that is an instruction of the block at an offset. */
  ledTo(block: number, index: number): number | undefined {
    const page = this.page(block);
    const record = page?.record(KnownCode.within(block));
    return record === undefined ? undefined : this.#wanted(this.#near.offsetOf(page!.target(record, index)));
  }
  #wanted(target: number | undefined): number | undefined {
    return target !== undefined && Math.abs(target) <= FARTHEST && this.isWanted(target) ? target : undefined;
  }
  /** Guest-physical address of what lies at an offset of a page that is known. */
  physical(offset: number): number {
    return this.page(offset)!.frame * PAGE_SIZE + KnownCode.within(offset);
  }
  /** Offsets of all blocks that indirect jumps lead to. */
  indirect(): readonly number[] {
    return [...this.#pages].flatMap(([distance, page]) => page.indirect().map((o) => distance * PAGE_SIZE + o));
  }
}
