/** Blocks of regions. Offsets are from the page of the region's entry. */
import type { Statement } from '../../../isa/ir/types.ts';
import { alwaysLeaves } from '../../bodies.ts';
import type { RegionExit } from '../region-exits.ts';
import type { BlockPlan } from './flag-lowering.ts';
import { KnownCode } from './known-code.ts';
import type { FlagsBehind } from './known-flags.ts';
import type { Narrowing } from './narrow-registers.ts';
import type { Use } from './registers-used.ts';

/** One instruction of a block. */
export interface RegionInstruction {
  /** Offset of its first byte. */
  readonly offset: number;
  readonly length: number;
  /** Where its statements end in the block's. */
  readonly end: number;
  /** It may write memory. */
  readonly stores: boolean;
  readonly narrowing: Narrowing;
}

/** What follows from the bytes of a block and from its place in its page; offsets are from that. */
export interface BlockCode {
  readonly offset: number;
  readonly instructions: readonly RegionInstruction[];
  readonly statements: readonly Statement[];
  readonly plan: BlockPlan;
  readonly registers: Use;
  /** Offsets of the instructions behind the last one: over link 0, over link 1 or by falling through. */
  readonly taken: number | undefined;
  readonly next: number | undefined;
  /** How it ends: a near call, one of an address that is computed, a near return, a jump to another computed address, or otherwise. */
  readonly ending: 'call' | 'computedCall' | 'return' | 'computed' | 'plain';
  /** Behind it the limit of instructions may have been moved. */
  readonly attends: boolean;
  /** Offset of the pointer that a computed jump or call goes through, where that is a constant. */
  readonly pointer: number | undefined;
  /** It reads flags that were computed before it. */
  readonly readsFlags: boolean;
  readonly flags: FlagsBehind;
}

/** A block of a region: offsets are from the entry's page, but in its statements, which take IP_BASE for the start of the block's. */
export interface RegionBlock extends BlockCode {
  /** Offset of its page. */
  readonly base: number;
  /** Guest-physical page numbers: its page's, and the next one's where its only instruction lies on both. */
  readonly frames: readonly number[];
}

/** Offset of the instruction behind a block. */
export function endOf(block: BlockCode): number {
  const last = block.instructions[block.instructions.length - 1];
  return last.offset + last.length;
}

/** The block ends in a computed jump. */
export const isComputed = ({ ending }: BlockCode): boolean => ending !== 'plain' && ending !== 'call';

/** Distances of the pages that a block lies on. */
export const pagesOf = ({ offset, frames }: RegionBlock): number[] =>
  frames.map((_, i) => KnownCode.distanceOf(offset) + i);

/** The offset of a block that has a record, on the page where a block starts. */
export function recordedOn(block: RegionBlock, all: readonly RegionBlock[]): number {
  if (block.frames.length === 1) return block.offset;
  return all.find(({ base, frames }) => base === block.base && frames.length === 1)!.offset;
}

/** Why a block's jump over `link` leaves the region. */
export function exitOf(block: RegionBlock, link: 0 | 1 | undefined): RegionExit {
  if (!alwaysLeaves(block.statements)) return 'barrier';
  return link === undefined ? 'computedJump' : 'jump';
}
