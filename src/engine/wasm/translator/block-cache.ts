/** Blocks that were built before: regions that overlap have the same ones, and to build one takes longer than to compare its bytes. */
import type { CodeSize } from '../../../isa/x86/decoder.ts';
import type { BlockCode } from './region.ts';

/** Where a block starts and what is known of its page. */
export interface BlockPlace {
  /** Offset from the entry's page, which the block's statements know. */
  readonly start: number;
  readonly size: CodeSize;
  readonly physical: number;
  /** What its page holds from there on. */
  readonly bytes: Uint8Array;
}

interface Known {
  readonly code: BlockCode;
  /** Those that were decoded, with those of the instruction behind it. */
  readonly bytes: Uint8Array;
  /** Ends where another block starts. */
  readonly cut: boolean;
}

/** Instructions kept: each takes about 3 KB. */
const MOST = 3000;
/** Blocks kept for one place: regions have their entries on several pages, and blocks end where others start. */
const MOST_ALIKE = 4;
const MAX_INSTRUCTION = 15;
const SIZES = { 16: 0, 32: 1, 64: 2 } as const;

const keyOf = ({ physical, size }: BlockPlace): number => physical * 4 + SIZES[size];
const endOf = ({ instructions }: BlockCode): number => {
  const { offset, length } = instructions[instructions.length - 1];
  return offset + length;
};

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export class BlockCache {
  /** The oldest first. */
  readonly #blocks = new Map<number, Known[]>();
  #instructions = 0;

  /** The block at a place, if it was built before as it would be now; `starts` has the offsets of other blocks. */
  find(place: BlockPlace, starts: ReadonlyMap<number, unknown>): BlockCode | undefined {
    const fits = ({ code, bytes, cut }: Known): boolean => {
      if (code.offset !== place.start || bytes.length > place.bytes.length || !isSame(bytes, place.bytes)) return false;
      for (let i = 1; i < code.instructions.length; i++) if (starts.has(code.instructions[i].offset)) return false;
      return !cut || starts.has(endOf(code));
    };
    return this.#blocks.get(keyOf(place))?.find(fits)?.code;
  }

  /** `cut`: the block ends where another one starts. */
  add(place: BlockPlace, code: BlockCode, cut: boolean): void {
    const key = keyOf(place);
    const alike = this.#blocks.get(key) ?? [];
    this.#blocks.set(key, alike);
    alike.push({ code, bytes: place.bytes.slice(0, endOf(code) - place.start + MAX_INSTRUCTION), cut });
    this.#instructions += code.instructions.length;
    if (alike.length > MOST_ALIKE) this.#forget(alike.splice(0, 1));
    while (this.#instructions > MOST) {
      const [[oldest, blocks]] = this.#blocks;
      this.#blocks.delete(oldest);
      this.#forget(blocks);
    }
  }
  #forget(blocks: readonly Known[]): void {
    for (const { code } of blocks) this.#instructions -= code.instructions.length;
  }
}
