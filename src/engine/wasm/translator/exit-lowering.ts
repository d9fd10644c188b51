/** How regions are entered and left: registers from and to memory, and on to the next region where that is known. */
import {
  CODE_DROPPED,
  FAULT,
  IP_BASE,
  RECORD,
  REGION_EXIT_COUNTS,
  RETIRED,
  RETIRED_LIMIT,
  RIP,
} from '../../../isa/x86/state.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { Emitter, STATUS } from '../emitter.ts';
import { BLOCK_EMPTY, type ByteWriter, OP, TYPE_CODE } from '../encoder.ts';
import { pushCachedRecord, pushIsCached } from '../jump-cache.ts';
import { writeLoad, writeStore } from '../op-code.ts';
import { IS_REGION, RECORD_AT } from '../record.ts';
import { REGION_EXITS, type RegionExit } from '../region-exits.ts';
import type { Locals, Target } from '../target.ts';
import { type FlagFunctions, FlagLowering, type LoweredBlock } from './flag-lowering.ts';

/**
 * Labels around the whole body, by the depth at which they were opened. What goes there leaves on the stack where the guest goes on: for
 * `exit` the instruction pointer, for `fault` an instruction that faults, or that dropped code where none does, for others an offset. For
 * `dropped` and `fault` RETIRED is in memory, without the instruction that is left.
 */
const LABEL = { exit: 1, place: 2, dropped: 3, budget: 4, fault: 5 } as const;

/** Bits that the length of an instruction takes. */
const LENGTH_BITS = 4;
/** An instruction as one number: where it starts, and how long it is. */
export const instructionAt = (offset: number, length: number): number => offset * 2 ** LENGTH_BITS + length;

/** Where a region is left for: an offset, or what pushes the instruction pointer. */
export type Place = number | (() => void);

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
  /** The index of the number that the module imports as the record of a block, by its offset. */
  recordAt(offset: number): number;
}

export class ExitLowering extends FlagLowering {
  protected readonly around: RegionPlace;
  readonly #status: number;
  readonly #cause: number;
  readonly #rip: number;
  readonly #scratch: number;
  /** Whether an instruction dropped code. A local: the host's compiler sees that only slow paths change it. */
  readonly #dropped: number;

  constructor(
    code: ByteWriter,
    locals: Locals,
    target: Target,
    blocks: readonly LoweredBlock[],
    rare: ReadonlySet<number>,
    place: RegionPlace,
  ) {
    super(code, locals, target, blocks, rare, place.flags);
    this.around = place;
    this.#status = locals.take('i32');
    this.#dropped = locals.take('i32');
    this.#cause = locals.take('i32');
    this.#rip = locals.take('i64');
    this.#scratch = locals.take('i32');
  }

  /** Up to where the first block starts. */
  protected prologue(): void {
    this.loadRegisters();
    this.loadState(RETIRED.offset, 'i64');
    this.code.set(this.retired);
    this.storeState(CODE_DROPPED.offset, 'i32', () => this.code.i32(0));
    this.storeState(RECORD.offset, 'i32', () => this.code.i32(this.around.startRecord));
    this.code.i32(STATUS.arrived);
    this.code.set(this.#status);
    this.open(OP.block, TYPE_CODE.i64);
    for (let label: number = LABEL.place; label < LABEL.fault; label++) this.open(OP.block, TYPE_CODE.i32);
    this.open(OP.block, TYPE_CODE.i64);
  }
  /** Behind all blocks. */
  protected epilogue(): void {
    this.code.byte(OP.unreachable);
    this.close();
    this.#leaveInstruction();
    this.close();
    this.noteExit('budget');
    this.br(LABEL.place);
    this.close();
    this.#retireDropping();
    this.close();
    this.code.byte(OP.i64_extend_i32_s);
    this.pushCached(IP_BASE.offset);
    this.code.byte(OP.i64_add);
    this.close();
    this.code.set(this.#rip);
    this.storeState(RIP.offset, 'i64', () => this.code.get(this.#rip));
    this.spillSettled();
    this.#countExit();
    if (this.around.long) this.#goOn();
    this.code.get(this.#status);
    this.code.byte(OP.end);
  }

  /** What goes to `fault`. */
  #leaveInstruction(): void {
    this.code.set(this.#rip);
    this.code.get(this.#rip);
    this.code.i64(LENGTH_BITS);
    this.code.byte(OP.i64_shr_s);
    this.loadState(FAULT.offset, 'i32');
    this.open(OP.if, TYPE_CODE.i64);
    this.loadState(RETIRED.offset, 'i64');
    this.code.set(this.retired);
    this.noteExit('fault');
    this.code.i32(STATUS.faulted);
    this.code.set(this.#status);
    this.code.i64(0);
    this.code.byte(OP.else);
    this.#retireDropping();
    this.code.get(this.#rip);
    this.code.i64(2 ** LENGTH_BITS - 1);
    this.code.byte(OP.i64_and);
    this.close();
    this.code.byte(OP.i64_add);
    this.pushCached(IP_BASE.offset);
    this.code.byte(OP.i64_add);
    this.br(LABEL.exit);
  }
  /** The instruction that dropped code is retired. */
  #retireDropping(): void {
    this.loadState(RETIRED.offset, 'i64');
    this.code.i64(1);
    this.code.byte(OP.i64_add);
    this.code.set(this.retired);
    this.noteExit('codeDropped');
  }

  /** Leaves the region; what it retired is in its local. */
  protected leaveFor(place: Place): void {
    if (typeof place === 'number') {
      this.code.i32(place);
      this.br(LABEL.place);
    } else {
      place();
      this.br(LABEL.exit);
    }
  }
  /** Leaves the region for an offset where the condition holds that is pushed. */
  protected leaveIf(why: 'dropped' | 'budget', offset: number, pushCondition: () => void): void {
    this.code.i32(offset);
    this.#leaveIf(why, pushCondition);
  }
  /** Before an instruction that may drop code. */
  protected expectDropped(): void {
    this.code.i32(0);
    this.code.set(this.#dropped);
  }
  /** Where it may just have done so. */
  protected noteDropped(): void {
    this.loadState(CODE_DROPPED.offset, 'i32');
    this.code.set(this.#dropped);
  }
  /** Behind it; `exit` leaves for places that are no offsets. */
  protected leaveIfDropped(place: Place, exit: () => void): void {
    if (typeof place === 'number') {
      this.leaveIf('dropped', place, () => this.code.get(this.#dropped));
      return;
    }
    this.code.get(this.#dropped);
    this.code.hint(false);
    this.open(OP.if);
    exit();
    this.close();
  }
  /** Leaves the region in or behind an instruction that faults or drops code, where the condition holds. */
  protected leaveInstructionIf(instruction: number, pushCondition: () => void): void {
    this.code.i64(instruction);
    this.#leaveIf('fault', pushCondition);
  }
  #leaveIf(label: keyof typeof LABEL, pushCondition: () => void): void {
    pushCondition();
    this.code.hint(false);
    this.code.indexed(OP.br_if, this.depth - LABEL[label]);
    this.code.byte(OP.drop);
  }
  /** Leaves the region where the budget of instructions is spent. */
  protected leaveAtLimit(place: Place): void {
    const isSpent = (): void => {
      this.code.get(this.retired);
      this.loadState(RETIRED_LIMIT.offset, 'i64');
      this.code.byte(OP.i64_ge_s);
    };
    if (typeof place === 'number') {
      this.leaveIf('budget', place, isSpent);
      return;
    }
    isSpent();
    this.code.hint(false);
    this.open(OP.if);
    this.noteExit('budget');
    this.leaveFor(place);
    this.close();
  }
  /** Leaves the region at an instruction that faults; `depth` labels are open. */
  protected leaveAtFault(instruction: number, depth: number): void {
    this.code.i64(instruction);
    this.code.indexed(OP.br, depth - LABEL.fault);
  }

  protected open(op: number, type = BLOCK_EMPTY): void {
    this.code.open(op, type);
    this.depth++;
  }
  protected close(): void {
    this.depth--;
    this.code.byte(OP.end);
  }
  protected br(label: number): void {
    this.code.indexed(OP.br, this.depth - label);
  }

  /** For the statistics. Locals are 0 at first: most exits are of the first cause. */
  protected noteExit(cause: RegionExit): void {
    if (cause === REGION_EXITS[0]) return;
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
    const [linear, scratch] = [this.#rip, this.#scratch];
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
