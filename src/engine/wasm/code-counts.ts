/** Counts what is made of guest code and how it runs; tells those who watch. */
import { CODE_SIZE, IP_BASE, REGION_EXIT_COUNTS, TLB_MISSES, TRANSLATED } from '../../isa/x86/state.ts';
import type { CodeStatistics, EngineHost, Exit, MadeRegion } from '../engine.ts';
import { PAGE_SIZE } from '../layout.ts';
import type { Registers } from '../registers.ts';
import type { KeptRegion } from './kept-regions.ts';
import { REGION_EXITS, type RegionExit } from './region-exits.ts';
import type { RegionListing } from './region-listing.ts';
import type { RegionWatch } from './region-watch.ts';
import type { NewRegion, TranslationEvents } from './translation-events.ts';
import type { Region } from './translator/region.ts';

type Counter = { readonly offset: number };
/** Counters that generated code keeps in the virtual CPU's block, where a reset clears them. */
const KEPT = {
  translatedInstructions: TRANSLATED,
  tlbMisses: TLB_MISSES,
} as const satisfies Record<string, Counter>;
const COUNTER_SIZE = 8;

export class CodeCounts implements TranslationEvents {
  readonly #registers: Registers;
  readonly #host: Pick<EngineHost, 'milliseconds' | 'trace'>;
  readonly #watch: RegionWatch | undefined;
  readonly #made = {
    regionsMade: 0,
    regionsKept: 0,
    regionsDropped: 0,
    modulesMade: 0,
    modulesDropped: 0,
    wasmBytes: 0,
  };
  readonly #ms = { translateMs: 0, compileMs: 0 };
  readonly #ran = { translatedInstructions: 0, tlbMisses: 0 };
  readonly #regionExits = Object.fromEntries(REGION_EXITS.map((e) => [e, 0])) as Record<RegionExit, number>;
  readonly #exits: Record<Exit['kind'], number> = { halted: 0, budgetSpent: 0, shutdown: 0 };
  #startMs = 0;
  /** Time that had gone into compiling when the present translation began. */
  #compiledMs = 0;

  constructor(registers: Registers, host: EngineHost, watch: RegionWatch | undefined) {
    this.#registers = registers;
    this.#host = host;
    this.#watch = watch;
  }

  now(): number {
    return this.#host.milliseconds?.() ?? 0;
  }
  prepare(region: Region): Region {
    return this.#watch?.prepare(region) ?? region;
  }
  listing(): RegionListing | undefined {
    return this.#watch?.listing();
  }

  translationStarted(): void {
    this.#startMs = this.now();
    this.#compiledMs = this.#ms.compileMs;
  }
  /** Of a place in the page where the guest is. */
  #linearAddress(physical: number): bigint {
    const r = this.#registers;
    const ip = r.get(IP_BASE) + BigInt(physical % PAGE_SIZE);
    return r.u32(CODE_SIZE) === 64 ? BigInt.asUintN(64, ip) : BigInt.asUintN(32, ip + r.byName('CS.base'));
  }
  regionMade(made: NewRegion): void {
    const { physical, region, code } = made;
    const instructions = region.blocks.flatMap((b) => b.instructions);
    const guestBytes = instructions.reduce((total, { length }) => total + length, 0);
    this.#translated({ physical, instructions: instructions.length, guestBytes, wasmBytes: code.length, kept: false });
    this.#watch?.made(made, this.#linearAddress(physical));
  }
  regionKept({ instructions, code, wasm }: KeptRegion, physical: number): void {
    this.#made.regionsKept++;
    this.#translated({ physical, instructions, guestBytes: code.length, wasmBytes: wasm.length, kept: true });
  }
  #translated(region: Omit<MadeRegion, 'startMs' | 'endMs'>): void {
    const [startMs, endMs] = [this.#startMs, this.now()];
    this.#made.regionsMade++;
    this.#ms.translateMs += endMs - startMs - (this.#ms.compileMs - this.#compiledMs);
    this.#host.trace?.regionMade?.({ startMs, endMs, ...region });
  }
  regionsDropped(count: number): void {
    this.#made.regionsDropped += count;
  }
  moduleMade(wasmBytes: number, startMs: number): void {
    const endMs = this.now();
    this.#made.modulesMade++;
    this.#made.wasmBytes += wasmBytes;
    this.#ms.compileMs += endMs - startMs;
    this.#host.trace?.moduleMade?.({ startMs, endMs, wasmBytes });
  }
  modulesDropped(count: number): void {
    this.#made.modulesDropped += count;
  }

  /** The processor goes back to the machine. */
  ran(exit: Exit): void {
    this.#exits[exit.kind]++;
  }

  /** Takes over what generated code has counted. */
  collect(): void {
    for (const [name, counter] of Object.entries(KEPT)) this.#ran[name as keyof typeof KEPT] += this.#take(counter);
    for (const [i, cause] of REGION_EXITS.entries())
      this.#regionExits[cause] += this.#take({ offset: REGION_EXIT_COUNTS.offset + i * COUNTER_SIZE });
  }
  #take({ offset }: Counter): number {
    const count = Number(this.#registers.readAt(offset, COUNTER_SIZE));
    this.#registers.writeAt(offset, COUNTER_SIZE, 0n);
    return count;
  }

  statistics(): CodeStatistics {
    this.collect();
    return {
      ...this.#made,
      ...this.#ms,
      ...this.#ran,
      regionExits: { ...this.#regionExits },
      exits: { ...this.#exits },
    };
  }
}
