/** Blocks that were built before: regions that overlap have the same ones, and to build one takes longer than to compare its bytes. */
import type { CodeSize } from '../../../isa/x86/prefixes.ts';
import type { KnownFlags } from './known-flags.ts';
import type { BlockCode } from './region-block.ts';

/** Where a block starts and what is known of its page. */
export interface BlockPlace {
  /** Offset in its page, which the block's statements know. */
  readonly start: number;
  /** Offset of its page from the entry's. */
  readonly base: number;
  readonly size: CodeSize;
  readonly physical: number;
  /** What its page holds from there on. */
  readonly bytes: Uint8Array;
  /** What is known of the flags there. */
  readonly flags: KnownFlags | undefined;
}

interface Known {
  readonly flags: string | undefined;
  readonly code: BlockCode;
  /** Those that were decoded, with those of the instruction behind it. */
  readonly bytes: Uint8Array;
  /** Ends where another block starts. */
  readonly cut: boolean;
}

/** Instructions kept in each of two generations; one takes about 3 KB. */
const MOST = 2000;
/** Blocks kept for one place: blocks end where others start. */
const MOST_ALIKE = 4;
const MAX_INSTRUCTION = 15;
const SIZES = { 16: 0, 32: 1, 64: 2 } as const;

const keyOf = ({ physical, size }: BlockPlace): number => physical * 4 + SIZES[size];
const endOf = ({ instructions }: BlockCode): number => {
  const { offset, length } = instructions[instructions.length - 1];
  return offset + length;
};

export class BlockCache {
  /** Two generations: when the newer is full it becomes the older, and what was the older is forgotten. */
  #blocks = new Map<number, Known[]>();
  #older: ReadonlyMap<number, Known[]> = new Map();
  #instructions = 0;

  /** The block at a place, if it was built before as it would be now; `starts` has the offsets of other blocks from the entry's page. */
  find(place: BlockPlace, starts: ReadonlyMap<number, unknown>): BlockCode | undefined {
    const key = keyOf(place);
    const fits = (known: Known): boolean => isStill(known, place, starts);
    const found = this.#blocks.get(key)?.find(fits);
    if (found !== undefined) return found.code;
    const older = this.#older.get(key)?.find(fits);
    if (older !== undefined) this.#keep(key, older);
    return older?.code;
  }

  /** `cut`: the block ends where another one starts. */
  add(place: BlockPlace, code: BlockCode, cut: boolean): void {
    const bytes = place.bytes.slice(0, endOf(code) - place.start + MAX_INSTRUCTION);
    this.#keep(keyOf(place), { code, bytes, cut, flags: place.flags?.text });
  }

  #keep(key: number, known: Known): void {
    this.#instructions += known.code.instructions.length;
    if (this.#instructions > MOST) {
      this.#older = this.#blocks;
      this.#blocks = new Map();
      this.#instructions = known.code.instructions.length;
    }
    const alike = this.#blocks.get(key);
    if (alike === undefined) this.#blocks.set(key, [known]);
    else if (alike.push(known) > MOST_ALIKE) alike.shift();
  }
}

function isStill(
  { code, bytes, cut, flags: assumed }: Known,
  { base, bytes: now, flags }: BlockPlace,
  starts: ReadonlyMap<number, unknown>,
): boolean {
  if (bytes.length > now.length || assumed !== flags?.text) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== now[i]) return false;
  for (let i = 1; i < code.instructions.length; i++) if (starts.has(code.instructions[i].offset + base)) return false;
  return !cut || starts.has(endOf(code) + base);
}
