/** Decides what is translated, and makes it so. */
import type { CodeSize } from '../../../isa/x86/prefixes.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { IMPORTS } from '../assembly.ts';
import type { InstalledRegion } from '../code-page.ts';
import { DecodeCache } from '../decode-cache.ts';
import type { Handlers } from '../handlers.ts';
import type { KeptRegion, KeptRegions } from '../kept-regions.ts';
import type { Tier } from '../tier.ts';
import type { TranslationEvents } from '../translation-events.ts';
import { betterEntries, nodesOf } from './control-flow.ts';
import { FlagMakers } from './flag-makers.ts';
import { codeOf, isHere, keyOf } from './kept-code.ts';
import { KnownCode, type KnownPage, type Surroundings } from './known-code.ts';
import { mayGoTo, type Reach, type Region, reachOf, readRegion } from './region.ts';
import { RegionLowering } from './region-lowering.ts';

/** Regions that are there at once: each takes tens of KB of the host's memory, for its code and what V8 makes of that. */
const MAX_REGIONS = 4096;
/** The oldest, which make room together: what of them is hot is soon found again. */
const EVICTED = 128;

/** A region is made anew at most this often, when what it is left for has become hot. */
const MAX_REMAKES = 1;

/** Blocks of a region that is made before its first is hot: of large loops it is known late how they go on. */
const MOST_EARLY = 12;

/** By which name a module imports the record of a block. */
const recordName = (i: number): string => `r${i}`;

type RegionParts = Pick<KeptRegion, 'blocks' | 'records' | 'wasm' | 'imports'>;

/** Blocks of a region that starts on the same page. */
const goesTo = ({ physical }: Entry, blocks: readonly { readonly offset: number }[]): boolean =>
  blocks.some(({ offset }) => offset === physical % PAGE_SIZE);

const NOTHING_AROUND: Surroundings = {
  least: 0,
  find: () => undefined,
  follow: () => undefined,
  offsetOf: () => undefined,
};

interface Made {
  readonly reach: Reach;
  readonly remakes: number;
  /** Where on its page it starts: not at the hot block where that is in the middle of a loop. */
  readonly start: number;
}

/** A place where a region may begin. */
interface Entry {
  readonly physical: number;
  readonly size: CodeSize;
}

/** What translators need besides the code. */
export interface TranslatorParts {
  readonly cache: DecodeCache;
  readonly handlers: Handlers;
  readonly tier: Tier;
  readonly events: TranslationEvents;
  /** Regions of earlier runs, and where this one's are kept. */
  readonly kept: KeptRegions | undefined;
}

export class Translator {
  readonly #cache: DecodeCache;
  readonly #handlers: Handlers;
  readonly #makers: FlagMakers;
  readonly #tier: Tier;
  readonly #events: TranslationEvents;
  readonly #kept: KeptRegions | undefined;
  /** The oldest first. */
  readonly #regions = new Map<InstalledRegion, Made>();
  /** Regions that were made in place of one that starts in the middle of a loop, by where that would have started. */
  readonly #instead = new Map<number, InstalledRegion>();

  constructor({ cache, handlers, tier, events, kept }: TranslatorParts) {
    this.#cache = cache;
    this.#handlers = handlers;
    this.#makers = new FlagMakers(handlers, kept);
    this.#tier = tier;
    this.#events = events;
    this.#kept = kept;
  }

  /** The block that a record starts was entered as often as it counts. `near`: what is known around it. */
  entered(record: number, size: CodeSize, near: Surroundings): void {
    const entry = { physical: this.#cache.placeOf(record), size };
    const heat = this.#cache.heat(record);
    if (heat === 'hot') this.#hot(entry, near);
    else if (!this.#find(entry, near) && heat === 'dense' && this.#lastLeftFor(entry) === undefined)
      this.#translate(entry, 0, near, ({ length }) => length <= MOST_EARLY);
  }
  #hot(entry: Entry, near: Surroundings): void {
    const left = this.#lastLeftFor(entry);
    if (left !== undefined && this.#remake(left, entry, near)) return;
    if (!this.#find(entry, near)) this.#translate(entry, 0, near);
  }
  /** Makes a region anew that goes to a place as well; false where it would still not, and stays as it is. */
  #remake(left: InstalledRegion, goal: Entry, near: Surroundings): boolean {
    this.#cache.uninstall(left);
    if (!this.#find(left, near, goal) && !this.#translate(left, 1, near, (blocks) => goesTo(goal, blocks))) {
      this.#cache.reinstall(left);
      this.#regions.set(left, { ...this.#regions.get(left)!, remakes: MAX_REMAKES });
      return false;
    }
    this.#events.regionsDropped(1);
    this.dropped([left]);
    return true;
  }
  /** The newest region that is left for a place and was not made anew yet: one is enough, translating takes long. */
  #lastLeftFor({ physical, size }: Entry): InstalledRegion | undefined {
    return this.#cache.regionsOn(physical).findLast((region) => {
      const made = this.#regions.get(region);
      if (made === undefined || region.size !== size || made.remakes >= MAX_REMAKES) return false;
      return mayGoTo(made.reach, physical % PAGE_SIZE);
    });
  }

  /** A block was decoded at a physical address. */
  decoded(physical: number, size: CodeSize): void {
    if (this.#tier === 'translator') this.#translate({ physical, size }, 0, NOTHING_AROUND);
  }

  /** The code around an entry; undefined where no region can begin. */
  #around({ physical, size }: Entry, near: Surroundings): KnownCode | undefined {
    const page = this.#cache.regionAt(physical, size);
    return page === undefined ? undefined : this.#knownFrom(page, size, near);
  }
  /** `page`: the entry's. */
  #knownFrom(page: KnownPage, size: CodeSize, near: Surroundings): KnownCode {
    const pageAt = (offset: number): KnownPage | undefined => {
      const record = near.find(offset);
      return record === undefined ? undefined : this.#cache.pageOf(record, size);
    };
    return new KnownCode(page, pageAt, near, this.#tier === 'translator');
  }

  /** Makes a region of a hot block; false where none can be made, or none that is `wanted`. */
  #translate(
    hot: Entry,
    remakes: number,
    near: Surroundings,
    wanted: (blocks: Region['blocks']) => boolean = () => true,
  ): boolean {
    const around = this.#around(hot, near);
    if (around === undefined) return false;
    this.#events.translationStarted();
    const { start, region: found } = this.#read(around, hot, remakes > 0);
    if (found.blocks.length === 0 || !wanted(found.blocks)) return false;
    const region = this.#events.prepare(found);
    const entry = { physical: around.physical(start), size: hot.size };
    const { physical, size } = entry;
    const { blocks } = region;
    const makers = this.#makers.need(blocks);
    const long = size === 64;
    const listing = this.#events.listing();
    const records: number[] = [];
    let code: Uint8Array = new Uint8Array();
    const assembly = this.#handlers.assemble(long, (m, first) => {
      const recordAt = (offset: number): number => {
        const known = records.indexOf(offset);
        if (known >= 0) return known;
        m.builder.importGlobal(IMPORTS, recordName(records.length), 'i32');
        return records.push(offset) - 1;
      };
      const place = { long, first, startRecord: DecodeCache.start, makers: this.#makers, recordAt };
      code = RegionLowering.write(listing?.watch(m) ?? m, region, place, listing);
      return code;
    });
    const made = { reach: reachOf(region), remakes, start };
    const parts = { ...codeOf(region, around), records, imports: assembly.imports, wasm: assembly.bytes, note: made };
    if (makers !== undefined)
      this.#kept?.add(keyOf(around.page(0)!, hot.physical % PAGE_SIZE, size), { ...parts, makers });
    this.#install(hot, parts, made, around, false);
    this.#events.regionMade({ physical, size, region, code, listing });
    return true;
  }

  /**
   * The region of a hot block. In the middle of a loop it rather starts at another block of its page, which is soon entered: once, and not
   * where the region is made anew, for what goes to it goes on there.
   */
  #read(
    around: KnownCode,
    { physical, size }: Entry,
    again: boolean,
  ): { readonly start: number; readonly region: Region } {
    const start = physical % PAGE_SIZE;
    const region = readRegion(around, start, size);
    if (again || this.#tier === 'translator' || this.#instead.has(physical)) return { start, region };
    for (const n of betterEntries(...nodesOf(region))) {
      const { offset } = region.blocks[n];
      if (!this.#isFree(around, offset, size)) continue;
      const other = readRegion(around, offset, size);
      if (other.blocks.length >= region.blocks.length) return { start: offset, region: other };
    }
    return { start, region };
  }
  /** A region can start at an offset from the entry's page. */
  #isFree(around: KnownCode, offset: number, size: CodeSize): boolean {
    return KnownCode.distanceOf(offset) === 0 && this.#cache.regionAt(around.physical(offset), size) !== undefined;
  }

  /** Installs a region of an earlier run, if there is one of the same code; `goal`: that goes there as well, on the same page. */
  #find(entry: Entry, near: Surroundings, goal = entry): boolean {
    const { physical, size } = entry;
    const page = this.#kept === undefined ? undefined : this.#cache.regionAt(physical, size);
    if (page === undefined) return false;
    const key = keyOf(page, physical % PAGE_SIZE, size);
    if (!this.#kept!.has(key)) return false;
    this.#events.translationStarted();
    const around = this.#knownFrom(page, size, near);
    const region = this.#kept!.find(key, (r) => goesTo(goal, r.blocks) && this.#isUsable(r, around, size));
    if (region === undefined) return false;
    this.#install(entry, region, region.note as Made, around, true);
    this.#events.regionKept(region, physical);
    return true;
  }
  #isUsable(region: KeptRegion, around: KnownCode, size: CodeSize): boolean {
    if (!isHere(region, around) || !this.#isFree(around, (region.note as Made).start, size)) return false;
    if (!this.#handlers.hasAll(region.imports)) return false;
    return region.makers.every((number) => this.#makers.isThere(number));
  }

  /** Installs a region that was made for a hot block; `kept`: in an earlier run. */
  #install(hot: Entry, region: RegionParts, made: Made, around: KnownCode, kept: boolean): void {
    if (this.#regions.size >= MAX_REGIONS) this.#evict();
    const { blocks, records, wasm, imports } = region;
    const { size } = hot;
    const physical = around.physical(made.start);
    const numbers = Object.fromEntries(records.map((offset, i) => [recordName(i), around.record(offset)!]));
    const assembly = { bytes: wasm, imports, procedures: [] };
    const handler = this.#handlers.install(assembly, size === 64, numbers);
    // They are entered inside the region now; one that is entered from elsewhere as well will be hot again.
    for (const { offset } of blocks) this.#cache.cool(around.physical(offset), size, kept);
    const ranges = blocks.map(({ offset, length }) => [around.physical(offset), length] as const);
    const installed = this.#cache.install(physical, size, handler, ranges);
    this.#regions.set(installed, made);
    if (physical !== hot.physical) this.#instead.set(hot.physical, installed);
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
    for (const [place, region] of this.#instead) if (regions.includes(region)) this.#instead.delete(place);
    for (const region of regions) {
      this.#regions.delete(region);
      this.#handlers.free(region.handler, region.size === 64);
    }
    this.#events.modulesDropped(regions.length);
  }
}
