/** RAM as pages: those that are all zero are left out. */
import type { GuestMemory } from '../devices/contract.ts';
import { snapshotProblem } from './problem.ts';

const PAGE = 4096;
const NUMBER = 4;
/** Pages of one section: 4 MiB. */
const PAGES_OF_SECTION = 1024;

/** Sections of RAM: the number of pages, their numbers, 4 bytes each, then the pages. `end`: RAM up to here has been looked at. */
export function* ramSections(memory: GuestMemory): Generator<{ readonly content: Uint8Array; readonly end: number }> {
  let pages: number[] = [];
  for (let page = 0; page < memory.size / PAGE; page++) {
    if (!isZero(memory, page)) pages.push(page);
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

/** Puts the pages of a section where they belong. @throws UserError when it holds anything else. */
export function restorePages(memory: GuestMemory, content: Uint8Array): void {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const count = content.length < NUMBER ? 0 : view.getUint32(0, true);
  const first = NUMBER + count * NUMBER;
  if (content.length !== first + count * PAGE) throw snapshotProblem('a section of memory has no whole pages');
  for (let i = 0; i < count; i++) {
    const page = memory.writable(view.getUint32(NUMBER + i * NUMBER, true) * PAGE, PAGE);
    if (page === undefined) throw snapshotProblem('a page lies outside the memory');
    page.set(content.subarray(first + i * PAGE, first + (i + 1) * PAGE));
  }
}
