/** RAM as pages: those that are all zero are left out. */
import type { GuestMemory } from '../devices/contract.ts';
import { snapshotProblem } from './problem.ts';

const PAGE = 4096;
const NUMBER = 4;
/** Pages of one section: 4 MiB. */
const PAGES_OF_SECTION = 1024;

/**
 * Sections of RAM: the number of pages, their numbers, 4 bytes each, then the pages. `end`: RAM up to here has been looked at.
 * What `base` has alike is left out.
 */
export function* ramSections(
  memory: GuestMemory,
  base?: BasePages,
): Generator<{ readonly content: Uint8Array; readonly end: number }> {
  let pages: number[] = [];
  for (let page = 0; page < memory.size / PAGE; page++) {
    if (base?.same.has(page) !== true && !isZero(memory, page)) pages.push(page);
    if (pages.length < PAGES_OF_SECTION) continue;
    yield { content: packed(memory, pages), end: (page + 1) * PAGE };
    pages = [];
  }
  if (pages.length > 0) yield { content: packed(memory, pages), end: memory.size };
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

/** Calls `act` for each page of a section. @throws UserError when it holds anything else. */
function eachPage(content: Uint8Array, act: (page: number, bytes: Uint8Array) => void): void {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const count = content.length < NUMBER ? 0 : view.getUint32(0, true);
  const first = NUMBER + count * NUMBER;
  if (content.length !== first + count * PAGE) throw snapshotProblem('a section of memory has no whole pages');
  for (let i = 0; i < count; i++)
    act(view.getUint32(NUMBER + i * NUMBER, true), content.subarray(first + i * PAGE, first + (i + 1) * PAGE));
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

/** @throws UserError when the section holds no numbers of pages. */
export function restoreZeroes(memory: GuestMemory, content: Uint8Array): void {
  if (content.length % NUMBER !== 0) throw snapshotProblem('a section of zero pages is wrong');
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  for (let at = 0; at < content.length; at += NUMBER) writablePage(memory, view.getUint32(at, true)).fill(0);
}
