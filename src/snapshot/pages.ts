/** RAM as pages: those that are all zero are left out. */
import type { GuestMemory } from '../devices/contract.ts';
import { snapshotProblem } from './problem.ts';

const PAGE = 4096;
const NUMBER = 4;
/** Pages of one section: 256 KiB, which a guest waits for at most when it needs one of them. */
const PAGES_OF_SECTION = 64;

interface RamSection {
  readonly content: Uint8Array;
  /** It has pages that were asked for first. */
  readonly first: boolean;
  /** Pages looked at so far, in bytes. */
  readonly done: number;
}

/**
 * Sections of RAM: the number of pages, their numbers, 4 bytes each, then the pages; `first` go before all others. What `base` has alike
 * is left out.
 */
export function* ramSections(memory: GuestMemory, first: ReadonlySet<number>, base?: BasePages): Generator<RamSection> {
  let looked = 0;
  for (const isFirst of [true, false]) {
    let pages: number[] = [];
    for (let page = 0; page < memory.size / PAGE; page++) {
      if (first.has(page) !== isFirst) continue;
      looked += PAGE;
      if (base?.same.has(page) !== true && !isZero(memory, page)) pages.push(page);
      if (pages.length < PAGES_OF_SECTION) continue;
      yield { content: packed(memory, pages), first: isFirst, done: looked };
      pages = [];
    }
    if (pages.length > 0) yield { content: packed(memory, pages), first: isFirst, done: looked };
  }
}

function isZero(memory: GuestMemory, page: number): boolean {
  const bytes = memory.readable(page * PAGE, PAGE)!;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, PAGE / 4);
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

function packed(memory: GuestMemory, pages: readonly number[]): Uint8Array {
  const content = new Uint8Array(NUMBER + pages.length * (NUMBER + PAGE));
  const view = new DataView(content.buffer);
  view.setUint32(0, pages.length, true);
  const first = NUMBER + pages.length * NUMBER;
  for (const [i, page] of pages.entries()) {
    view.setUint32(NUMBER + i * NUMBER, page, true);
    content.set(memory.readable(page * PAGE, PAGE)!, first + i * PAGE);
  }
  return content;
}

/** The numbers of the pages in a section. @throws UserError when it holds anything else. */
export function pageNumbers(content: Uint8Array): readonly number[] {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const count = content.length < NUMBER ? 0 : view.getUint32(0, true);
  if (content.length !== NUMBER + count * (NUMBER + PAGE))
    throw snapshotProblem('a section of memory has no whole pages');
  return Array.from({ length: count }, (_, i) => view.getUint32(NUMBER + i * NUMBER, true));
}

/** Calls `act` for each page of a section. @throws UserError when it holds anything else. */
export function eachPage(content: Uint8Array, act: (page: number, bytes: Uint8Array) => void): void {
  const pages = pageNumbers(content);
  const first = NUMBER + pages.length * NUMBER;
  for (const [i, page] of pages.entries()) act(page, content.subarray(first + i * PAGE, first + (i + 1) * PAGE));
}

function writablePage(memory: GuestMemory, page: number): Uint8Array {
  const bytes = memory.writable(page * PAGE, PAGE);
  if (bytes === undefined) throw snapshotProblem('a page lies outside the memory');
  return bytes;
}

/** Puts the pages of a section where they belong. @throws UserError when it holds anything else. */
export function restorePages(memory: GuestMemory, content: Uint8Array): void {
  eachPage(content, (page, bytes) => writablePage(memory, page).set(bytes));
}

/** Pages of the snapshot that a diff is made against. */
export class BasePages {
  /** Memory holds the same now. */
  readonly same = new Set<number>();
  /** Memory holds zeroes now. */
  readonly #zero: number[] = [];

  /** Compares memory with a section of the base. */
  compare(memory: GuestMemory, content: Uint8Array): void {
    eachPage(content, (page, before) => {
      const now = memory.readable(page * PAGE, PAGE);
      if (now === undefined) throw snapshotProblem('a page of the base lies outside the memory');
      if (isZero(memory, page)) this.#zero.push(page);
      else if (now.every((byte, i) => byte === before[i])) this.same.add(page);
    });
  }

  /** A section with the numbers of pages that the base has and that are zero now; undefined without any. */
  zeroSection(): Uint8Array | undefined {
    if (this.#zero.length === 0) return undefined;
    const content = new Uint8Array(this.#zero.length * NUMBER);
    const view = new DataView(content.buffer);
    for (const [i, page] of this.#zero.entries()) view.setUint32(i * NUMBER, page, true);
    return content;
  }
}

/** The pages that a section says to be zero. @throws UserError when it holds no numbers of pages. */
export function zeroPages(content: Uint8Array): readonly number[] {
  if (content.length % NUMBER !== 0) throw snapshotProblem('a section of zero pages is wrong');
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  return Array.from({ length: content.length / NUMBER }, (_, i) => view.getUint32(i * NUMBER, true));
}

/** @throws UserError when the section holds no numbers of pages. */
export function restoreZeroes(memory: GuestMemory, content: Uint8Array): void {
  for (const page of zeroPages(content)) writablePage(memory, page).fill(0);
}
