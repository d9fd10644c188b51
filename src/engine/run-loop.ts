/** How a run proceeds, for every engine: what is delivered between instructions, and when the machine is heard. */
import { EXIT } from '../isa/x86/state.ts';
import type { Boundary, Delivery } from './boundary.ts';
import type { CpuTrace, Exit } from './engine.ts';

/** What an engine does between two looks at the machine. All of them return a reason of `EXIT`. */
export interface Executor {
  /** Instructions retired; exact inside a device access too. */
  retired(): number;
  /** Executes until at least `limit` instructions are retired, but less than `OVERSHOOT` more. */
  execute(limit: number): number;
  /** Moves the limit of `execute` while that is under way; 0 ends it at the first boundary between blocks. */
  limit(limit: number): void;
  /** Executes at least one and at most `most` instructions; an exception ends it too. */
  step(most: number): number;
  /** What ended the last call: an instruction behind which something may have to be delivered. */
  asksAttention(): boolean;
}

/** Exceptions that a run may deliver however small its budget of instructions. */
const MIN_PATIENCE = 1000;
/** More instructions than any engine executes between two looks at its limit. */
export const OVERSHOOT = 1024;
/** Where stops are exact, instructions from a device's call in the middle of a block to the stop that it asks for, in every tier. */
const EXACT_LATENCY = OVERSHOOT + 64;
/** Instructions of one step on the way to an exact stop. */
const STEP_LENGTH = 8;

const HALTED: Exit = { kind: 'halted' };
const BUDGET_SPENT: Exit = { kind: 'budgetSpent' };
const SHUTDOWN: Exit = { kind: 'shutdown' };

export interface RunOptions {
  /** Stops come after the same instruction in every engine and tier. */
  readonly exactStops: boolean;
  readonly trace: CpuTrace | undefined;
}

export class RunLoop {
  readonly #executor: Executor;
  readonly #boundary: Boundary;
  readonly #exact: boolean;
  readonly #beforeInstruction: (() => void) | undefined;
  #running = false;
  /** `execute` is under way, and how far it may go. */
  #freeLimit: number | undefined;
  /** Instructions retired when the run ends. */
  #end = 0;
  #kicked = false;
  /** Exceptions that may still be delivered before the machine is heard. */
  #patience = 0;
  #endsBlock = false;
  /** HLT was executed and nothing came since. */
  halted = false;

  constructor(executor: Executor, boundary: Boundary, { exactStops, trace }: RunOptions) {
    this.#executor = executor;
    this.#boundary = boundary;
    this.#exact = exactStops;
    this.#beforeInstruction = trace?.instruction && (() => trace.instruction?.());
  }

  run(budget: number): Exit {
    this.#end = this.#executor.retired() + Math.max(1, budget);
    this.#patience = Math.max(MIN_PATIENCE, budget);
    this.#kicked = false;
    this.#running = true;
    try {
      return this.#loop();
    } finally {
      this.#running = false;
    }
  }

  #loop(): Exit {
    // Where stops are exact, nothing may depend on the other places where an engine happened to stop.
    for (let looks = true; ; ) {
      const delivery: Delivery = looks ? this.#boundary.deliver() : 'nothing';
      if (delivery === 'shutdown') return SHUTDOWN;
      if (delivery === 'delivered') this.halted = false;
      const now = this.#executor.retired();
      if (now >= this.#end || (this.#kicked && (!this.#exact || this.halted))) return BUDGET_SPENT;
      if (this.halted) return HALTED;
      const traps = this.#boundary.traps;
      const reason = this.#advance(now);
      if (reason === EXIT.shutdown) return SHUTDOWN;
      this.halted = reason === EXIT.halt;
      looks = !this.#exact || this.halted || traps || this.#boundary.waits || this.#executor.asksAttention();
    }
  }

  /** One instruction where each must be seen, a few on the last way to an exact stop, else as many as there may be. */
  #advance(now: number): number {
    const { traps, holds } = this.#boundary;
    if (traps || holds || this.#beforeInstruction) {
      this.#beforeInstruction?.();
      return traps ? this.#stepAlone(now) : this.#executor.step(1);
    }
    const left = this.#end - now;
    if (this.#exact && left <= OVERSHOOT) return this.#executor.step(left < STEP_LENGTH ? 1 : STEP_LENGTH);
    this.#freeLimit = this.#exact ? this.#end - OVERSHOOT : this.#end;
    try {
      return this.#executor.execute(this.#freeLimit);
    } finally {
      this.#freeLimit = undefined;
    }
  }

  /** One instruction, or the exception that comes in its place. */
  #stepAlone(now: number): number {
    const delivery = this.#boundary.begin();
    if (delivery !== 'nothing') return delivery === 'shutdown' ? EXIT.shutdown : EXIT.budget;
    const reason = this.#executor.step(1);
    if (this.#executor.retired() > now) this.#boundary.end();
    return reason;
  }

  /** Devices act on behalf of an instruction behind which no engine goes on without a look at its limit. */
  atBlockEnd<T>(act: () => T): T {
    this.#endsBlock = true;
    const result = act();
    this.#endsBlock = false;
    return result;
  }

  /** The machine wants to be heard soon. */
  kick(): void {
    this.#kicked = true;
    if (!this.#running) return;
    if (!this.#exact || this.#endsBlock) {
      this.#end = Math.min(this.#end, this.#executor.retired() + 1);
      this.#executor.limit(0);
      return;
    }
    this.#end = Math.min(this.#end, this.#executor.retired() + EXACT_LATENCY);
    if (this.#freeLimit === undefined || this.#freeLimit <= this.#end - OVERSHOOT) return;
    this.#freeLimit = this.#end - OVERSHOOT;
    this.#executor.limit(this.#freeLimit);
  }

  /**
   * An exception is about to be delivered. Those without an instruction between them come to no end where handlers fault themselves: they
   * are part of the budget too.
   */
  countException(): void {
    if (--this.#patience !== 0) return;
    this.#end = 0;
    this.#executor.limit(0);
  }
}
