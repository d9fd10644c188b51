/** What those who make code tell whoever watches: statistics, timelines, profiles. */
import type { CodeSize } from '../../isa/x86/prefixes.ts';
import type { KeptRegion } from './kept-regions.ts';
import type { RegionListing } from './region-listing.ts';
import type { Region } from './translator/region.ts';

/** A region whose function exists. */
export interface NewRegion {
  /** Guest-physical address of its entry. */
  readonly physical: number;
  readonly size: CodeSize;
  readonly region: Region;
  /** The function's body: locals and code. */
  readonly code: Uint8Array;
  /** What `listing` gave before the region was lowered. */
  readonly listing: RegionListing | undefined;
}

export interface TranslationEvents {
  /** The host's clock in milliseconds. */
  now(): number;
  /** A region is about to be read and lowered; `regionMade` follows unless nothing can be made there. */
  translationStarted(): void;
  /** The region to lower in place of the one that was read, as where executions are counted. */
  prepare(region: Region): Region;
  /** What wants to know which code belongs to which instruction; undefined where nobody does. */
  listing(): RegionListing | undefined;
  regionMade(made: NewRegion): void;
  /** In place of `regionMade`: it was there from an earlier run. */
  regionKept(kept: KeptRegion, physical: number): void;
  /** Regions that no guest code leads to any more. */
  regionsDropped(count: number): void;
  /** A module was compiled; `startMs` is when that began. */
  moduleMade(bytes: number, startMs: number): void;
  /** Modules of which nothing is reachable any more. */
  modulesDropped(count: number): void;
}
