/** A virtual CPU that executes as WebAssembly: interpreted at first, translated where it is hot. */
import type { Procedure } from '../../isa/ir/types.ts';
import { cpuidLeaf } from '../../isa/x86/cpuid.ts';
import { DROP } from '../../isa/x86/externals.ts';
import type { CodeSize } from '../../isa/x86/prefixes.ts';
import { beginStep, endStep } from '../../isa/x86/procedures/debug.ts';
import { checkFetchEnd, translateFetch } from '../../isa/x86/procedures/fetch.ts';
import {
  deliverDebugTrap,
  deliverFault,
  deliverInterrupt,
  deliverNmi,
  deliverWaitingFault,
} from '../../isa/x86/procedures/interrupts.ts';
import { refresh } from '../../isa/x86/procedures/refresh.ts';
import {
  CODE_DROPPED,
  CODE_SIZE,
  CR4,
  CS_AT,
  FAULT,
  FAULT_CODE,
  FAULT_HAS_CODE,
  FAULT_VECTOR,
  FETCH_PHYSICAL,
  HELD,
  INTERRUPT_PENDING,
  IP_BASE,
  RAM_SIZE,
  RECORD,
  RETIRED,
  RETIRED_LIMIT,
  RIP,
  SEGMENT,
  SEGMENTS,
  XCR0,
} from '../../isa/x86/state.ts';
import { Boundary } from '../boundary.ts';
import { cpuidContext } from '../cpuid-context.ts';
import type { EngineHost, Exit, Vcpu, VcpuState, VcpuStatistics } from '../engine.ts';
import type { Instrument } from '../execution-counters.ts';
import { CPU_BASE, PAGE_SIZE } from '../layout.ts';
import type { EngineMemory } from '../memory.ts';
import { checkRegisters, Registers, resetRegisters, restoreRegisters, saveRegisters } from '../registers.ts';
import { type Executor, RunLoop } from '../run-loop.ts';
import { BlockCounts } from './block-counts.ts';
import { CodeCounts } from './code-counts.ts';
import { CodeStore } from './code-store.ts';
import { type CodeEvents, DecodeCache } from './decode-cache.ts';
import { Handlers } from './handlers.ts';
import type { KeptRegions } from './kept-regions.ts';
import { Linker } from './linker.ts';
import { RECORD_AT } from './record.ts';
import type { RegionWatch } from './region-watch.ts';
import type { Tier } from './tier.ts';
import { Translations } from './translations.ts';
import { Translator } from './translator/translator.ts';

const MAX_LIMIT = Number.MAX_SAFE_INTEGER;
/** A limit that ends execution at the first boundary between blocks; unlike 0, which an instruction sets to ask for attention. */
const STEP_LIMIT = -1;
const ASKS_ATTENTION = 0;

export interface VcpuOptions {
  readonly tier?: Tier | undefined;
  readonly instrument?: Instrument | undefined;
  readonly watch?: RegionWatch | undefined;
  readonly store?: CodeStore | undefined;
  readonly kept?: KeptRegions | undefined;
}

export class WasmVcpu implements Vcpu, Executor {
  readonly #host: EngineHost;
  readonly #registers: Registers;
  readonly #bytes: Uint8Array;
  readonly #translations: Translations;
  readonly #cache: DecodeCache;
  readonly #memory: EngineMemory;
  readonly #handlers: Handlers;
  readonly #translator: Translator;
  readonly #counts: CodeCounts;
  readonly #vectors = new Map<number, number>();
  readonly #translateFetch: (distance: number) => void;
  readonly #checkFetchEnd: (length: number) => void;
  readonly #refresh: () => void;
  readonly #loop: RunLoop;
  #running = false;
  #changed = true;

  constructor(
    memory: EngineMemory,
    host: EngineHost,
    { tier = 'both', instrument, watch, store = new CodeStore(), kept }: VcpuOptions,
  ) {
    instrument?.attach(memory.wasm);
    this.#host = host;
    this.#memory = memory;
    this.#registers = new Registers(memory.wasm, CPU_BASE);
    watch?.attach(memory.wasm);
    this.#counts = new CodeCounts(this.#registers, host, watch);
    this.#bytes = new Uint8Array(memory.wasm.buffer);
    this.#translations = new Translations(memory.wasm, this.#registers);
    const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1024 });
    const linker = new Linker({
      memory: memory.wasm,
      table,
      cpuBase: CPU_BASE,
      externals: this.#externals(),
      events: this.#counts,
      // What is counted in them makes handlers another's.
      store: instrument === undefined ? store : new CodeStore(),
    });
    this.#handlers = new Handlers(linker, table, instrument);
    const events: CodeEvents = {
      reached: (physical) => this.#memory.arrive(physical),
      newPage: (physical) => this.#translations.dropWriteTags(physical),
      dropped: (regions) => {
        this.#registers.setU32(CODE_DROPPED, 1);
        this.#counts.regionsDropped(regions.length);
        this.#translator.dropped(regions);
      },
      cleared: () => this.#translations.dropJumps(),
    };
    // What is counted in them makes regions another's.
    const keeps = tier === 'both' && instrument === undefined && watch === undefined ? kept : undefined;
    const counts =
      tier === 'both' ? new BlockCounts(memory.wasm, keeps !== undefined, () => this.retired()) : undefined;
    this.#cache = new DecodeCache(memory.wasm, memory.size, this.#handlers, events, counts);
    const parts = { cache: this.#cache, handlers: this.#handlers, tier, events: this.#counts };
    this.#translator = new Translator({ ...parts, kept: keeps });
    this.#translateFetch = linker.procedure(translateFetch) as (distance: number) => void;
    this.#checkFetchEnd = linker.procedure(checkFetchEnd) as (length: number) => void;
    const { exactStops = false, trace } = host;
    this.#loop = new RunLoop(this, this.#makeBoundary(linker), { exactStops, trace });
    this.#refresh = linker.procedure(refresh) as () => void;
    memory.onWrite((at, length) => this.#cache.written(at, length));
    this.reset();
  }

  #makeBoundary(linker: Linker): Boundary {
    const r = this.#registers;
    const bind = (p: Procedure): (() => number) => linker.procedure(p) as () => number;
    const [debugTrap, nmi, fault, begin] = [deliverDebugTrap, deliverNmi, deliverFault, beginStep].map(bind);
    const waitingFault = bind(deliverWaitingFault);
    const interrupt = linker.procedure(deliverInterrupt) as (vector: number) => number;
    const end = linker.procedure(endStep) as (ip: bigint) => void;
    const procedures = {
      deliverWaitingFault: () => waitingFault() !== 0,
      deliverDebugTrap: () => debugTrap() !== 0,
      deliverNmi: () => nmi() !== 0,
      deliverInterrupt: (vector: number) => interrupt(vector) !== 0,
      deliverFault: () => {
        this.#noteFault();
        return fault() !== 0;
      },
      beginStep: () => {
        begin();
        return r.u32(FAULT) !== 0;
      },
      endStep: end,
    };
    return new Boundary(r, this.#host.interrupts, procedures, (vector) => this.#count(vector));
  }

  // --- the host's side of the core ----------------------------------------------------------------------------------------------

  #externals(): Readonly<Record<string, (...args: never[]) => unknown>> {
    const host = this.#host;
    const { mmio, ports, msrs, interrupts } = host;
    return {
      portRead: (port: number, width: 1 | 2 | 4) => this.#loop.atBlockEnd(() => ports.read(port & 0xffff, width)),
      portWrite: (port: number, width: 1 | 2 | 4, value: number) =>
        this.#loop.atBlockEnd(() => ports.write(port & 0xffff, width, value >>> 0)),
      deviceRead: (address: bigint, width: 1 | 2 | 4) => mmio.read(Number(address), width),
      deviceWrite: (address: bigint, width: 1 | 2 | 4, value: number) =>
        mmio.write(Number(address), width, value >>> 0),
      timestamp: () => host.timestamp(),
      entropy: () => host.entropy(),
      cpuid: (leaf: number, subleaf: number) => this.#cpuid(leaf >>> 0, subleaf >>> 0),
      msrRead: (index: number) => {
        const value = msrs.read(index >>> 0);
        return [value ?? 0n, value === undefined ? 0 : 1];
      },
      msrWrite: (index: number, value: bigint) =>
        this.#loop.atBlockEnd(() => (msrs.write(index >>> 0, BigInt.asUintN(64, value)) ? 1 : 0)),
      taskPriorityRead: () => BigInt(interrupts.taskPriority()),
      taskPriorityWrite: (value: bigint) => {
        this.#loop.atBlockEnd(() => {
          interrupts.setTaskPriority(Number(value));
          this.kick();
        });
      },
      dropTranslations: (what: number, address: bigint) => this.#drop(what, address),
      forgetJumps: () => this.#translations.nextGeneration(),
      arrive: (physical: bigint) => this.#memory.arrive(Number(physical)),
      codeWritten: (physical: bigint, length: number) => this.#cache.written(Number(physical), length),
      findBlock: (link: number) => this.#findBlock(link === 0),
      hotBlock: (record: number) => this.#hotBlock(record),
      noteFault: () => this.#noteFault(),
    };
  }

  #cpuid(leaf: number, subleaf: number): readonly number[] {
    const r = this.#registers;
    return cpuidLeaf(leaf, subleaf, cpuidContext(this.#host, r.get(CR4), r.get(XCR0)));
  }

  #noteFault(): void {
    const r = this.#registers;
    const vector = r.u32(FAULT_VECTOR);
    this.#count(vector);
    this.#loop.countException();
    this.#host.trace?.exception?.(vector, r.u32(FAULT_HAS_CODE) ? r.u32(FAULT_CODE) : undefined, r.get(RIP));
  }
  #count(vector: number): void {
    this.#vectors.set(vector, (this.#vectors.get(vector) ?? 0) + 1);
  }

  #drop(what: number, address: bigint): void {
    if (what === DROP.all) this.#translations.dropAll();
    else if (what === DROP.page) this.#translations.dropPage(address);
    else if (what === DROP.space) this.#translations.dropSpace(Number(address));
    else this.#translations.enterSpace(Number(BigInt.asUintN(12, address)), address < 0n || address >> 63n !== 0n);
  }

  // --- instructions -------------------------------------------------------------------------------------------------------------

  /** The record of the instruction at RIP; into the jump cache too but where its block is to have at most `most` instructions. */
  #findBlock(indirect: boolean, most?: number): number {
    const r = this.#registers;
    if (!this.#translate(0)) return DecodeCache.fault;
    const size = r.u32(CODE_SIZE) as CodeSize;
    const physical = r.number(FETCH_PHYSICAL);
    if (size === 64 && most === undefined) {
      const known = this.#cache.known(physical, size);
      if (known !== undefined) return this.#found(known, physical, size);
    }
    const nextPage = (): number | undefined =>
      this.#translate(PAGE_SIZE - (physical % PAGE_SIZE)) ? r.number(FETCH_PHYSICAL) : undefined;
    const cut = size !== 64 && this.#codeLeft() < PAGE_SIZE - (physical % PAGE_SIZE);
    const alone = cut || most !== undefined;
    const record = this.#cache.find({ physical, size, indirect, nextPage }, cut ? 1 : most);
    if (record === undefined) return DecodeCache.fault;
    if (cut && !this.#fits(this.#bytes[record + RECORD_AT.length])) return DecodeCache.fault;
    if (!alone) return this.#found(record, physical, size);
    this.#enter(record, size, physical % PAGE_SIZE, alone);
    return record;
  }
  #found(record: number, physical: number, size: CodeSize): number {
    this.#enter(record, size, physical % PAGE_SIZE, false);
    this.#translator.decoded(physical, size);
    return record;
  }
  /** Bytes from RIP to the end of the code segment: where that is within the page, instructions are looked up one by one. */
  #codeLeft(): number {
    const r = this.#registers;
    return r.u32({ offset: SEGMENTS.offset + CS_AT + SEGMENT.limit }) + 1 - r.u32(RIP);
  }
  #fits(length: number): boolean {
    this.#checkFetchEnd(length);
    return this.#registers.u32(FAULT) === 0;
  }
  #translate(distance: number): boolean {
    this.#translateFetch(distance);
    return this.#registers.u32(FAULT) === 0;
  }

  #enter(record: number, size: CodeSize, offset: number, alone: boolean): void {
    const r = this.#registers;
    const low = r.u32(RIP);
    const high = r.u32(RIP, 1);
    r.setU32(IP_BASE, low - offset);
    r.setU32(IP_BASE, low >= offset ? high : high - 1, 1);
    if (alone) return;
    const base = size === 64 ? 0 : r.u32({ offset: SEGMENTS.offset + CS_AT });
    this.#translations.remember((low + base) >>> 0, size === 64 ? high : 0, record);
  }

  /** A block was entered often: from now on its record may lead to a region → the record to go on with. */
  #hotBlock(record: number): number {
    const r = this.#registers;
    const size = r.u32(CODE_SIZE) as CodeSize;
    const base = r.get(IP_BASE);
    // Segments may end anywhere: what lies on other pages of them is left to the main loop.
    const find = (offset: number): number | undefined =>
      size === 64 ? this.#translations.recall(base + BigInt(offset)) : undefined;
    const follow = (offset: number): number | undefined => {
      const target = size === 64 ? this.#translations.quadwordAt(base + BigInt(offset)) : undefined;
      return target === undefined ? undefined : offsetOf(target);
    };
    const offsetOf = (linear: bigint): number => Number(BigInt.asIntN(64, linear - base));
    const least = this.#cache.leastBeside(record);
    this.#translator.entered(record, size, { least, find, follow, offsetOf });
    return record;
  }

  // --- running ------------------------------------------------------------------------------------------------------------------

  run(budget: number): Exit {
    if (this.#changed) this.#applyChanges();
    const exit = this.#loop.run(budget);
    this.#counts.ran(exit);
    return exit;
  }

  execute(limit: number): number {
    return this.#enterCode(DecodeCache.start, Math.min(limit, MAX_LIMIT));
  }
  step(most: number): number {
    return this.#enterCode(this.#findBlock(false, most), STEP_LIMIT);
  }
  limit(limit: number): void {
    if (!this.asksAttention()) this.#registers.setNumber(RETIRED_LIMIT, limit);
  }
  asksAttention(): boolean {
    return this.#registers.number(RETIRED_LIMIT) === ASKS_ATTENTION;
  }

  #enterCode(record: number, limit: number): number {
    const r = this.#registers;
    const run = this.#handlers.mainLoop(r.u32(CODE_SIZE) === 64);
    r.setU32(HELD, 0);
    r.setNumber(RETIRED_LIMIT, limit);
    r.setU32(RECORD, record);
    this.#running = true;
    try {
      return run(record);
    } finally {
      this.#running = false;
    }
  }

  #applyChanges(): void {
    const r = this.#registers;
    this.#changed = false;
    this.#refresh();
    this.#translations.dropAll();
    r.setU32(FAULT, 0);
  }

  kick(): void {
    this.#registers.setU32(INTERRUPT_PENDING, 1);
    this.#loop.kick();
  }

  retired(): number {
    const before = this.#registers.number(RETIRED);
    return this.#running ? before + this.#bytes[this.#registers.u32(RECORD) + RECORD_AT.index] : before;
  }

  register(name: string): bigint {
    if (this.#changed) this.#applyChanges();
    return this.#registers.byName(name);
  }
  setRegister(name: string, value: bigint): void {
    this.#registers.setByName(name, value);
    // Whoever sends the processor elsewhere wants it to run.
    if (name === 'RIP') this.#loop.halted = false;
    this.#changed = true;
  }

  reset(): void {
    const r = this.#registers;
    this.#counts.collect();
    resetRegisters(r);
    r.set(RAM_SIZE, BigInt(this.#memory.size));
    this.#translations.reset();
    r.setU32(CODE_SIZE, 16);
    this.#cache.clear();
    this.#loop.halted = false;
    this.#changed = true;
  }

  recentPages(): ReadonlyMap<number, bigint | undefined> {
    return new Map([...this.#cache.pages().map((page) => [page, undefined] as const), ...this.#translations.pages()]);
  }

  state(): VcpuState {
    if (this.#changed) this.#applyChanges();
    return { registers: saveRegisters(this.#registers), halted: this.#loop.halted, retired: this.retired() };
  }
  restore({ registers, halted, retired }: VcpuState): void {
    checkRegisters(registers);
    this.reset();
    restoreRegisters(this.#registers, registers, () => this.#applyChanges());
    this.#registers.setNumber(RETIRED, retired);
    this.#loop.halted = halted;
  }

  statistics(): VcpuStatistics {
    return { vectors: this.#vectors, decodedInstructions: this.#cache.decoded, code: this.#counts.statistics() };
  }
}
