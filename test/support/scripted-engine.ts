import type { Engine, EngineHost, Exit, Vcpu, VcpuState, VcpuStatistics } from '../../src/engine/engine.ts';
import { TestRam } from './test-ram.ts';

/** What a scripted processor may do between two yields; each yield is an exit or, for a number, that many instructions. */
export type Script = (host: EngineHost, registers: ReadonlyMap<string, bigint>) => Generator<Exit | number, void, void>;

const HALTED: Exit = { kind: 'halted' };
const SPENT: Exit = { kind: 'budgetSpent' };

/** An engine whose guest is a generator: it starts anew after each reset and halts for ever at its end. */
export class ScriptedEngine implements Engine {
  readonly name = 'reference';
  readonly memory: TestRam;
  readonly #script: Script;

  constructor(memorySize: number, script: Script) {
    this.memory = new TestRam(memorySize);
    this.#script = script;
  }

  createVcpu(host: EngineHost): Vcpu {
    return new ScriptedVcpu(host, this.#script);
  }
}

class ScriptedVcpu implements Vcpu {
  readonly #host: EngineHost;
  readonly #script: Script;
  readonly #registers = new Map<string, bigint>();
  #steps: Iterator<Exit | number> | undefined;
  #retired = 0;
  #kicked = false;

  constructor(host: EngineHost, script: Script) {
    this.#host = host;
    this.#script = script;
  }

  run(budget: number): Exit {
    this.#kicked = false;
    this.#steps ??= this.#script(this.#host, this.#registers);
    for (const end = this.#retired + budget; this.#retired < end && !this.#kicked; ) {
      const { value, done } = this.#steps.next();
      if (done === true) return HALTED;
      if (typeof value === 'number') this.#retired += value;
      else if (value.kind !== 'halted' || !this.#host.interrupts.pending()) return value;
    }
    return SPENT;
  }

  kick(): void {
    this.#kicked = true;
  }

  retired(): number {
    return this.#retired;
  }

  register(name: string): bigint {
    return this.#registers.get(name) ?? 0n;
  }

  setRegister(name: string, value: bigint): void {
    this.#registers.set(name, value);
  }

  reset(): void {
    this.#steps = undefined;
    this.#registers.clear();
    this.#retired = 0;
  }

  state(): VcpuState {
    return { registers: new Map(this.#registers), halted: false, retired: this.#retired };
  }

  /** The script starts anew. */
  restore({ registers, retired }: VcpuState): void {
    this.reset();
    for (const [name, value] of registers) this.#registers.set(name, value);
    this.#retired = retired;
  }

  statistics(): VcpuStatistics {
    return { vectors: new Map(), decodedInstructions: 0 };
  }
}
