/** Who looks at every region: a profile, or a test. */
import type { RegionListing } from './region-listing.ts';
import type { NewRegion } from './translation-events.ts';
import type { Region } from './translator/region.ts';

export interface RegionWatch {
  /** The engine's linear memory, before anything runs. */
  attach(memory: WebAssembly.Memory): void;
  /** The region to make in place of the one that was read. */
  prepare(region: Region): Region;
  listing(): RegionListing;
  /** `linear`: the instruction pointer at the time. */
  made(region: NewRegion, linear: bigint): void;
}
