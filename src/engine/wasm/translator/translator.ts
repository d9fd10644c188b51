/** Decides what is translated, and makes it so. */
import type { CodeSize } from '../../../isa/x86/decoder.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { DecodeCache } from '../decode-cache.ts';
import type { Handlers } from '../handlers.ts';
import type { Tier } from '../tier.ts';
import type { TranslationEvents } from '../translation-events.ts';
import { readRegion } from './region.ts';
import { RegionLowering } from './region-lowering.ts';

/** Regions kept; when there are more, all code is forgotten and found again. */
const MAX_REGIONS = 4096;

export class Translator {
  readonly #cache: DecodeCache;
  readonly #handlers: Handlers;
  readonly #tier: Tier;
  readonly #events: TranslationEvents;
  #regions: { readonly number: number; readonly long: boolean }[] = [];

  constructor(cache: DecodeCache, handlers: Handlers, tier: Tier, events: TranslationEvents) {
    this.#cache = cache;
    this.#handlers = handlers;
    this.#tier = tier;
    this.#events = events;
  }

  /** A block was entered often. False: all code was forgotten instead, this block's records included. */
  hot(physical: number, size: CodeSize): boolean {
    if (this.makeRoom()) return false;
    this.#translate(physical, size);
    return true;
  }

  /** A block was decoded at a physical address. */
  decoded(physical: number, size: CodeSize): void {
    if (this.#tier === 'translator') this.#translate(physical, size);
  }

  #translate(physical: number, size: CodeSize): void {
    const page = this.#cache.regionAt(physical, size);
    if (page === undefined) return;
    this.#events.translationStarted();
    const region = this.#events.prepare(readRegion(page, physical % PAGE_SIZE, size));
    const { blocks } = region;
    if (blocks.length === 0) return;
    const long = size === 64;
    const listing = this.#events.listing();
    let code: Uint8Array = new Uint8Array();
    const number = this.#handlers.make(
      blocks.map((b) => b.statements),
      long,
      (m) => (code = RegionLowering.write(listing?.watch(m) ?? m, region, DecodeCache.start, listing)),
    );
    this.#regions.push({ number, long });
    const ranges = blocks.flatMap((b) => b.instructions.map((i) => [i.offset, i.length] as const));
    this.#cache.install(physical, size, number, ranges);
    this.#events.regionMade({ physical, size, region, code, listing });
  }

  /** Forgets all code where there are many regions, and says so. Not while a record is executed other than to go to the next one. */
  makeRoom(): boolean {
    if (this.#regions.length < MAX_REGIONS) return false;
    this.#cache.clear();
    for (const { number, long } of this.#regions) this.#handlers.free(number, long);
    this.#events.modulesDropped(this.#regions.length);
    this.#regions = [];
    return true;
  }
}
