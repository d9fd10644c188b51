/** Decides what is translated, and makes it so. */
import type { CodeSize } from '../../../isa/x86/decoder.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { DecodeCache } from '../decode-cache.ts';
import type { Handlers } from '../handlers.ts';
import type { Tier } from '../tier.ts';
import type { TranslationEvents } from '../translation-events.ts';
import { readRegion } from './region.ts';
import { RegionLowering } from './region-lowering.ts';

/** Instructions between two looks at where the guest is: while looking for hot code, and in code that was found. */
const FAST_SAMPLING = 1 << 14;
const SLOW_SAMPLING = 1 << 19;
/** Looks at the same block before it is translated. */
const HOT_SAMPLES = 4;
const MAX_SAMPLES = 4096;
/** Regions kept; when there are more, all code is forgotten and found again. */
const MAX_REGIONS = 4096;

export class Translator {
  readonly #cache: DecodeCache;
  readonly #handlers: Handlers;
  readonly #tier: Tier;
  readonly #events: TranslationEvents;
  readonly #samples = new Map<number, number>();
  #regions: { readonly number: number; readonly long: boolean }[] = [];

  constructor(cache: DecodeCache, handlers: Handlers, tier: Tier, events: TranslationEvents) {
    this.#cache = cache;
    this.#handlers = handlers;
    this.#tier = tier;
    this.#events = events;
  }

  /** Instructions until the first look. */
  get firstSample(): number {
    return this.#tier === 'both' ? FAST_SAMPLING : Number.MAX_SAFE_INTEGER;
  }

  /** The guest is at a physical address now; returns the instructions until the next look. Not while guest code runs. */
  sample(physical: number, size: CodeSize): number {
    if (this.#tier !== 'both') return Number.MAX_SAFE_INTEGER;
    if (this.#regions.length >= MAX_REGIONS) this.#forget();
    if (this.#samples.size >= MAX_SAMPLES) this.#samples.clear();
    const key = physical * 4 + (size >> 5);
    const seen = (this.#samples.get(key) ?? 0) + 1;
    this.#samples.set(key, seen);
    if (seen % HOT_SAMPLES === 0) this.#translate(physical, size);
    return seen > HOT_SAMPLES ? SLOW_SAMPLING : FAST_SAMPLING;
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

  #forget(): void {
    this.#cache.clear();
    for (const { number, long } of this.#regions) this.#handlers.free(number, long);
    this.#events.modulesDropped(this.#regions.length);
    this.#regions = [];
  }
}
