/** How regions are entered and left: registers from and to memory, and on to the next region where that is known. */
import { CODE_DROPPED, IP_BASE, REGION_EXIT_COUNTS, RETIRED, RETIRED_LIMIT, RIP } from '../../../isa/x86/state.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { Emitter, STATUS } from '../emitter.ts';
import { BLOCK_EMPTY, type ByteWriter } from '../encoder.ts';
import { pushCachedRecord, pushIsCached } from '../jump-cache.ts';
import { writeMemoryOp } from '../op-code.ts';
import { IS_REGION, RECORD_AT } from '../record.ts';
import { REGION_EXITS, type RegionExit } from '../region-exits.ts';
import type { Locals, Target } from '../target.ts';
import { FlagLowering, type LoweredBlock } from './flag-lowering.ts';

/** Labels around the whole body, by the depth at which they were opened. */
export const EXIT_LABEL = 1;
export const FAULT_LABEL = 2;

/** What a region's function knows of the engine around it. */
export interface RegionPlace {
  /** Of 64-bit code. */
  readonly long: boolean;
  /** The record of no instruction, for who looks at the processor from outside. */
  readonly startRecord: number;
  /** The handler number of the table's first function. */
  readonly first: number;
  /** The index of the functions' type. */
  readonly type: number;
}

export class ExitLowering extends FlagLowering {
  protected readonly around: RegionPlace;
  /** Offset of the instruction that faulted. */
  protected readonly faultOffset: number;
  readonly #status: number;
  readonly #cause: number;
  readonly #linear: number;

  constructor(code: ByteWriter, locals: Locals, target: Target, blocks: readonly LoweredBlock[], place: RegionPlace) {
    super(code, locals, target, blocks);
    this.around = place;
    this.faultOffset = locals.take('i32');
    this.#status = locals.take('i32');
    this.#cause = locals.take('i32');
    this.#linear = locals.take('i64');
  }

  /** Up to where the first block starts; branches to `EXIT_LABEL` have stored RIP, those to `FAULT_LABEL` have set `faultOffset`. */
  protected prologue(): void {
    this.loadRegisters();
    this.loadState(RETIRED.offset, 'i64');
    this.local('local_set', this.retired);
    this.storeState(CODE_DROPPED.offset, 'i32', () => this.i32(0));
    this.i32(STATUS.arrived);
    this.local('local_set', this.#status);
    this.open('block');
    this.open('block');
  }
  /** Behind all blocks. */
  protected epilogue(): void {
    this.op('unreachable');
    this.close();
    this.storeState(RIP.offset, 'i64', () => {
      this.pushCached(IP_BASE.offset);
      this.local('local_get', this.faultOffset);
      this.op('i64_extend_i32_s');
      this.op('i64_add');
    });
    this.noteExit('fault');
    this.i32(STATUS.faulted);
    this.local('local_set', this.#status);
    this.close();
    this.settleFlags();
    this.spillAll();
    this.#countExit();
    if (this.around.long) this.#goOn();
    this.local('local_get', this.#status);
    this.op('end');
  }

  protected open(kind: 'block' | 'loop' | 'if'): void {
    this.op(kind);
    this.code.byte(BLOCK_EMPTY);
    this.depth++;
  }
  protected close(): void {
    this.depth--;
    this.op('end');
  }
  protected br(label: number): void {
    this.op('br');
    this.code.u32(this.depth - label);
  }

  /** For the statistics. */
  protected noteExit(cause: RegionExit): void {
    this.i32(8 * REGION_EXITS.indexOf(cause));
    this.local('local_set', this.#cause);
  }
  #countExit(): void {
    const counters = this.target.cpuBase + REGION_EXIT_COUNTS.offset;
    this.local('local_get', this.#cause);
    this.local('local_get', this.#cause);
    writeMemoryOp(this.code, 'load', 'i64', counters);
    this.constant('i64', 1n);
    this.op('i64_add');
    writeMemoryOp(this.code, 'store', 'i64', counters);
  }

  /** Where the next instruction is known to start a region, that is called in place of going back to the main loop. */
  #goOn(): void {
    const e = new Emitter(this.target.cpuBase, this.code);
    const [linear, scratch] = [this.#linear, this.faultOffset];
    this.open('block');
    const unless = (): void => {
      this.op('i32_eqz');
      this.op('br_if');
      this.code.u32(0);
    };
    this.local('local_get', this.#status);
    this.i32(STATUS.arrived);
    this.op('i32_eq');
    unless();
    this.local('local_get', this.retired);
    this.loadState(RETIRED_LIMIT.offset, 'i64');
    this.op('i64_lt_s');
    unless();
    this.loadState(RIP.offset, 'i64');
    this.local('local_set', linear);
    pushIsCached(e, linear, scratch, true);
    unless();
    pushCachedRecord(e, scratch);
    this.local('local_tee', scratch);
    writeMemoryOp(this.code, 'load', 'i8', RECORD_AT.flags);
    this.i32(IS_REGION);
    this.op('i32_and');
    unless();
    this.storeState(IP_BASE.offset, 'i64', () => {
      this.local('local_get', linear);
      this.constant('i64', BigInt(-PAGE_SIZE));
      this.op('i64_and');
    });
    this.local('local_get', scratch);
    this.local('local_get', scratch);
    writeMemoryOp(this.code, 'load', 'i16', RECORD_AT.handler);
    this.i32(this.around.first);
    this.op('i32_sub');
    this.op('return_call_indirect');
    this.code.u32(this.around.type);
    this.code.u32(0);
    this.close();
  }
}
