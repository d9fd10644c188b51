/** Decides what is translated, and makes it so. */
import type { CodeSize } from '../../../isa/x86/decoder.ts';
import { PAGE_SIZE } from '../../layout.ts';
import type { ModuleParts } from '../assembly.ts';
import { DecodeCache, type InstalledRegion } from '../decode-cache.ts';
import type { Handlers } from '../handlers.ts';
import type { Tier } from '../tier.ts';
import type { TranslationEvents } from '../translation-events.ts';
import { FlagMakers } from './flag-makers.ts';
import { KnownCode, type KnownPage, type Surroundings } from './known-code.ts';
import { mayGoTo, type Reach, reachOf, readRegion } from './region.ts';
import { RegionLowering } from './region-lowering.ts';

/** Regions kept. Each takes 30 to 60 KB of the host's memory. */
const MAX_REGIONS = 4096;
/** The oldest, which make room together: what of them is hot is soon found again. */
const EVICTED = 128;

/** A region is made anew at most this often, when what it is left for has become hot. */
const MAX_REMAKES = 1;

const NOTHING_AROUND: Surroundings = { find: () => undefined, follow: () => undefined };

interface Made {
  readonly reach: Reach;
  readonly remakes: number;
}

export class Translator {
  readonly #cache: DecodeCache;
  readonly #handlers: Handlers;
  readonly #makers: FlagMakers;
  readonly #tier: Tier;
  readonly #events: TranslationEvents;
  /** The oldest first. */
  readonly #regions = new Map<InstalledRegion, Made>();

  constructor(cache: DecodeCache, handlers: Handlers, tier: Tier, events: TranslationEvents) {
    this.#cache = cache;
    this.#handlers = handlers;
    this.#makers = new FlagMakers(handlers);
    this.#tier = tier;
    this.#events = events;
  }

  /** A block was entered often. `near`: what is known around it. */
  hot(physical: number, size: CodeSize, near: Surroundings): void {
    const left = this.#lastLeftFor(physical, size);
    if (left === undefined) {
      this.#translate(physical, size, 0, near);
      return;
    }
    this.#cache.uninstall(left);
    this.#events.regionsDropped(1);
    this.dropped([left]);
    this.#translate(left.physical, size, 1, near);
  }
  /** The newest region that is left for a place and was not made anew yet: one is enough, translating takes long. */
  #lastLeftFor(physical: number, size: CodeSize): InstalledRegion | undefined {
    return this.#cache.regionsOn(physical).findLast((region) => {
      const made = this.#regions.get(region);
      if (made === undefined || region.size !== size || made.remakes >= MAX_REMAKES) return false;
      return mayGoTo(made.reach, physical % PAGE_SIZE);
    });
  }

  /** A block was decoded at a physical address. */
  decoded(physical: number, size: CodeSize): void {
    if (this.#tier === 'translator') this.#translate(physical, size, 0, NOTHING_AROUND);
  }

  #translate(physical: number, size: CodeSize, remakes: number, near: Surroundings): void {
    const known = this.#cache.regionAt(physical, size);
    if (known === undefined) return;
    if (this.#regions.size >= MAX_REGIONS) this.#evict();
    this.#events.translationStarted();
    const pageAt = (offset: number): KnownPage | undefined => {
      const record = near.find(offset);
      return record === undefined ? undefined : this.#cache.pageOf(record, size);
    };
    const around = new KnownCode(known, pageAt, (offset) => near.follow(offset), this.#tier === 'translator');
    const region = this.#events.prepare(readRegion(around, physical % PAGE_SIZE, size));
    const { blocks } = region;
    if (blocks.length === 0) return;
    const long = size === 64;
    const listing = this.#events.listing();
    let code: Uint8Array = new Uint8Array();
    const write = (m: ModuleParts, first: number): Uint8Array => {
      const place = { long, first, startRecord: DecodeCache.start, makers: this.#makers };
      code = RegionLowering.write(listing?.watch(m) ?? m, region, place, listing);
      return code;
    };
    const number = this.#handlers.make(long, write, this.#makers.missing(blocks));
    // They are entered inside the region now; one that is entered from elsewhere as well will be hot again.
    for (const { offset } of blocks) this.#cache.cool(around.physical(offset), size);
    const ranges = blocks.flatMap((b) => b.instructions.map((i) => [around.physical(i.offset), i.length] as const));
    this.#regions.set(this.#cache.install(physical, size, number, ranges), { reach: reachOf(region), remakes });
    this.#events.regionMade({ physical, size, region, code, listing });
  }

  /** Not while a region is executed. */
  #evict(): void {
    const oldest = [...this.#regions.keys()].slice(0, EVICTED);
    for (const region of oldest) this.#cache.uninstall(region);
    this.#events.regionsDropped(oldest.length);
    this.dropped(oldest);
  }

  /** Nothing leads to some regions any more. */
  dropped(regions: readonly InstalledRegion[]): void {
    for (const region of regions) {
      this.#regions.delete(region);
      this.#handlers.free(region.handler, region.size === 64);
    }
    this.#events.modulesDropped(regions.length);
  }
}
