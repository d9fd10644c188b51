/** How regions are entered and left: registers from and to memory, and on to the next region where that is known. */
import { CODE_DROPPED, IP_BASE, REGION_EXIT_COUNTS, RETIRED, RETIRED_LIMIT, RIP } from '../../../isa/x86/state.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { Emitter, STATUS } from '../emitter.ts';
import { type ByteWriter, OP } from '../encoder.ts';
import { pushCachedRecord, pushIsCached } from '../jump-cache.ts';
import { writeLoad, writeStore } from '../op-code.ts';
import { IS_REGION, RECORD_AT } from '../record.ts';
import { REGION_EXITS, type RegionExit } from '../region-exits.ts';
import type { Locals, Target } from '../target.ts';
import { type FlagFunctions, FlagLowering, type LoweredBlock } from './flag-lowering.ts';

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
  readonly flags: FlagFunctions;
}

export class ExitLowering extends FlagLowering {
  protected readonly around: RegionPlace;
  /** Offset of the instruction that faulted. */
  protected readonly faultOffset: number;
  readonly #status: number;
  readonly #cause: number;
  readonly #linear: number;

  constructor(code: ByteWriter, locals: Locals, target: Target, blocks: readonly LoweredBlock[], place: RegionPlace) {
    super(code, locals, target, blocks, place.flags);
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
    this.code.set(this.retired);
    this.storeState(CODE_DROPPED.offset, 'i32', () => this.code.i32(0));
    this.code.i32(STATUS.arrived);
    this.code.set(this.#status);
    this.open(OP.block);
    this.open(OP.block);
  }
  /** Behind all blocks. */
  protected epilogue(): void {
    this.code.byte(OP.unreachable);
    this.close();
    this.storeState(RIP.offset, 'i64', () => {
      this.pushCached(IP_BASE.offset);
      this.code.get(this.faultOffset);
      this.code.byte(OP.i64_extend_i32_s);
      this.code.byte(OP.i64_add);
    });
    this.noteExit('fault');
    this.code.i32(STATUS.faulted);
    this.code.set(this.#status);
    this.close();
    this.spillSettled();
    this.#countExit();
    if (this.around.long) this.#goOn();
    this.code.get(this.#status);
    this.code.byte(OP.end);
  }

  protected open(op: number): void {
    this.code.open(op);
    this.depth++;
  }
  protected close(): void {
    this.depth--;
    this.code.byte(OP.end);
  }
  protected br(label: number): void {
    this.code.indexed(OP.br, this.depth - label);
  }

  /** For the statistics. */
  protected noteExit(cause: RegionExit): void {
    this.code.i32(8 * REGION_EXITS.indexOf(cause));
    this.code.set(this.#cause);
  }
  #countExit(): void {
    const counters = this.target.cpuBase + REGION_EXIT_COUNTS.offset;
    this.code.get(this.#cause);
    this.code.get(this.#cause);
    writeLoad(this.code, 'i64', counters);
    this.code.i64(1);
    this.code.byte(OP.i64_add);
    writeStore(this.code, 'i64', counters);
  }

  /** Where the next instruction is known to start a region, that is called in place of going back to the main loop. */
  #goOn(): void {
    const e = new Emitter(this.target.cpuBase, this.code);
    const [linear, scratch] = [this.#linear, this.faultOffset];
    this.open(OP.block);
    const unless = (): void => {
      this.code.byte(OP.i32_eqz);
      this.code.indexed(OP.br_if, 0);
    };
    this.code.get(this.#status);
    this.code.i32(STATUS.arrived);
    this.code.byte(OP.i32_eq);
    unless();
    this.code.get(this.retired);
    this.loadState(RETIRED_LIMIT.offset, 'i64');
    this.code.byte(OP.i64_lt_s);
    unless();
    this.loadState(RIP.offset, 'i64');
    this.code.set(linear);
    pushIsCached(e, linear, scratch, true);
    unless();
    pushCachedRecord(e, scratch);
    this.code.tee(scratch);
    writeLoad(this.code, 'i8', RECORD_AT.flags);
    this.code.i32(IS_REGION);
    this.code.byte(OP.i32_and);
    unless();
    this.storeState(IP_BASE.offset, 'i64', () => {
      this.code.get(linear);
      this.code.i64(-PAGE_SIZE);
      this.code.byte(OP.i64_and);
    });
    this.code.get(scratch);
    this.code.get(scratch);
    writeLoad(this.code, 'i16', RECORD_AT.handler);
    this.code.i32(this.around.first);
    this.code.byte(OP.i32_sub);
    this.code.byte(OP.return_call_indirect);
    this.code.u32(this.around.type);
    this.code.u32(0);
    this.close();
  }
}
