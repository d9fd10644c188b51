/** A page of guest-physical memory that holds decoded code. */
import type { CodeSize } from '../../isa/x86/prefixes.ts';
import { PAGE_SIZE } from '../layout.ts';

/** A region in place of the block that its entry starts. */
export interface InstalledRegion {
  /** Guest-physical address of the entry. */
  readonly physical: number;
  readonly size: CodeSize;
  /** The handler of the entry's record, and the one it had before. */
  readonly handler: number;
  readonly before: number;
  /** Page numbers of all its code. */
  readonly frames: readonly number[];
}

export interface CodePage {
  /** Record of each decoded start: page offset * 4 + code size. */
  readonly starts: Map<number, number>;
  /** The same for blocks of few instructions: key of `starts` * `MAX_BLOCK` + most instructions. */
  readonly short: Map<number, number>;
  /** First and last + 1 addresses of runs of records, one after another: there are many runs. */
  runs: number[];
  /** A bit for each byte that was decoded. */
  readonly covered: Uint32Array;
  /** Frames whose last instruction ends in this page. */
  readonly leaders: Set<number>;
  /** Regions by their start. */
  readonly regions: Map<number, InstalledRegion>;
  /** Regions that start elsewhere and have code of this page too. */
  readonly foreign: Set<InstalledRegion>;
  /** Starts that were first reached by an indirect jump. */
  readonly indirect: Set<number>;
  /** Stores since its code was dropped. */
  idleStores: number;
  /** How often regions that start here were dropped because code changed, at most `MAX_PATIENCE`. */
  patience: number;
}

export function newPage(): CodePage {
  return {
    starts: new Map(),
    short: new Map(),
    runs: [],
    covered: new Uint32Array(PAGE_SIZE / 32),
    leaders: new Set(),
    regions: new Map(),
    foreign: new Set(),
    indirect: new Set(),
    idleStores: 0,
    patience: 0,
  };
}

/** Some bytes of a page were decoded; what lies behind it is another's. */
export function cover({ covered }: CodePage, at: number, length: number): void {
  const end = Math.min(at + length, PAGE_SIZE);
  for (let from = at, bits: number; from < end; from += bits) {
    bits = Math.min(32 - (from & 31), end - from);
    covered[from >> 5] |= (bits === 32 ? -1 : (1 << bits) - 1) << (from & 31);
  }
}
/** Some of the bytes were decoded. */
export function isCovered({ covered }: CodePage, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (covered[i >> 5] & (1 << (i & 31))) return true;
  return false;
}
