/** What happens between two instructions: traps and interrupts, in the order of SDM vol. 3 table 6-2, and what stepping needs. */
import { VECTOR } from '../isa/x86/exceptions.ts';
import { RFLAGS } from '../isa/x86/flags.ts';
import { HOLD } from '../isa/x86/procedures/debug.ts';
import {
  BREAKPOINTS,
  DEBUG_PENDING,
  FLAGS_OTHER,
  FLAGS_SYSTEM,
  HELD,
  HELD_IP,
  INTERRUPT_PENDING,
  NMI_BLOCKED,
  RIP,
  WAITING_FAULT,
} from '../isa/x86/state.ts';
import type { InterruptSource } from './engine.ts';
import type { Registers } from './registers.ts';

/** Procedures of the instruction set, as an engine runs them; those that deliver answer whether the processor shut down. */
export interface BoundaryProcedures {
  deliverWaitingFault(): boolean;
  deliverDebugTrap(): boolean;
  deliverNmi(): boolean;
  deliverInterrupt(vector: number): boolean;
  /** The exception that is noted. */
  deliverFault(): boolean;
  /** Answers whether an exception is noted now. */
  beginStep(): boolean;
  endStep(ip: bigint): void;
}

export type Delivery = 'nothing' | 'delivered' | 'shutdown';

export class Boundary {
  readonly #registers: Registers;
  readonly #interrupts: InterruptSource;
  readonly #procedures: BoundaryProcedures;
  readonly #count: (vector: number) => void;
  #ip = 0n;
  /** The last `deliver` found what may come only behind the next instruction. */
  waits = false;

  /** `count` hears of every vector that is delivered between instructions. */
  constructor(
    registers: Registers,
    interrupts: InterruptSource,
    procedures: BoundaryProcedures,
    count: (vector: number) => void,
  ) {
    this.#registers = registers;
    this.#interrupts = interrupts;
    this.#procedures = procedures;
    this.#count = count;
  }

  /** What STI or a load of SS holds off before the next instruction. */
  #held(): number {
    const r = this.#registers;
    const held = r.u32(HELD);
    return held !== 0 && r.get(HELD_IP) === r.get(RIP) ? held : 0;
  }

  /** Delivers what waits. */
  deliver(): Delivery {
    const r = this.#registers;
    const held = this.#held();
    let result: Delivery = 'nothing';
    const send = (vector: number, deliver: () => boolean): boolean => {
      this.#count(vector);
      result = deliver() ? 'shutdown' : 'delivered';
      return result === 'shutdown';
    };
    const p = this.#procedures;
    // Vectors are in the upper half.
    if (r.u32(WAITING_FAULT, 1) !== 0 && send(r.u32(WAITING_FAULT, 1) & 0xff, () => p.deliverWaitingFault()))
      return result;
    if (r.u32(DEBUG_PENDING) !== 0 && held !== HOLD.traps && send(VECTOR.DB, () => p.deliverDebugTrap())) return result;
    const mayNmi = r.u32(NMI_BLOCKED) === 0 && held !== HOLD.traps;
    if (mayNmi && this.#interrupts.takeNmi() && send(VECTOR.NMI, () => p.deliverNmi())) return result;
    const pending = this.#interrupts.pending();
    if (pending && held === 0 && (r.u32(FLAGS_SYSTEM) & RFLAGS.IF) !== 0) {
      const vector = this.#interrupts.acknowledge();
      if (vector >= 0 && send(vector, () => p.deliverInterrupt(vector))) return result;
    }
    r.setU32(INTERRUPT_PENDING, pending && this.#interrupts.pending() ? 1 : 0);
    this.waits = held !== 0 && (pending || r.u32(DEBUG_PENDING) !== 0);
    return result;
  }

  /** Traps may come behind any instruction: the next must run alone, between `begin` and `end`. */
  get traps(): boolean {
    const r = this.#registers;
    return (r.u32(FLAGS_OTHER) & RFLAGS.TF) !== 0 || r.u32(BREAKPOINTS) !== 0;
  }
  /** Behind the next instruction something comes that is held off until then. */
  get holds(): boolean {
    return this.#held() !== 0;
  }

  /** Before an instruction that runs alone; answers otherwise where a breakpoint is delivered in its place. */
  begin(): Delivery {
    this.#ip = this.#registers.get(RIP);
    if (!this.#procedures.beginStep()) return 'nothing';
    return this.#procedures.deliverFault() ? 'shutdown' : 'delivered';
  }
  /** The instruction is complete. */
  end(): void {
    this.#procedures.endStep(this.#ip);
  }
}
