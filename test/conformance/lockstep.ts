/**
 * Two engines on one boot. The product's engine runs the machine; in chosen stretches all that it hears from devices is recorded, and
 * the reference engine executes the same stretch from a copy of memory and registers, hearing the same. Then both must agree on all
 * registers every few instructions, on every access to devices and its place, on exceptions, and on all of memory.
 */

import { codeSize, readCode } from '../../src/api/guest-view.ts';
import type { Engine, EngineHost, Exit, Vcpu } from '../../src/engine/engine.ts';
import { forwardVcpu } from '../../src/engine/forward-vcpu.ts';
import { CPU_BASE } from '../../src/engine/layout.ts';
import { EngineMemory } from '../../src/engine/memory.ts';
import { ReferenceVcpu } from '../../src/engine/reference/vcpu.ts';
import type { Tier } from '../../src/engine/wasm/tier.ts';
import { WasmVcpu } from '../../src/engine/wasm/vcpu.ts';
import { disassemble } from '../../src/isa/x86/disassemble.ts';
import { REGISTERS, STATE_SIZE } from '../../src/isa/x86/state.ts';
import { Divergence, type Recorder, Recording, recordingHost, replayingHost, WatchedMemory } from './lockstep-log.ts';

export interface LockstepOptions {
  readonly memoryBytes: number;
  readonly tier: Tier;
  /** Whether a stretch begins here, `retired` instructions into the run. */
  readonly begins: (retired: number) => boolean;
  /** Instructions of a stretch, about. */
  readonly length: number;
  /** Instructions between two comparisons of registers, about. */
  readonly every: number;
  /** Instructions until `begins` is asked again. */
  readonly gap: number;
}

/** Parts of RFLAGS, which is compared whole; and what says something only while HELD_IP is RIP, which an engine may forget later. */
const LEFT_OUT = /^(FLAG|HELD)/;
/** What must agree. */
export const COMPARED_REGISTERS: readonly string[] = [
  'RFLAGS',
  ...[...REGISTERS.values()]
    .filter((state) => state.class !== 'engine' && !LEFT_OUT.test(state.name))
    .map((state) => state.name),
];

type State = readonly bigint[];
interface Checkpoint {
  /** Since the stretch began. */
  readonly retired: number;
  /** Made by then: an engine may stop behind an exception, which is no instruction. */
  readonly calls: number;
  readonly state: State;
}

const stateOf = (vcpu: Vcpu): State => COMPARED_REGISTERS.map((name) => vcpu.register(name));
const SPENT: Exit = { kind: 'budgetSpent' };
const SHOWN_INSTRUCTIONS = 40;

/** An engine for a machine of a test. Its runs throw `Divergence`. */
export class LockstepEngine implements Engine {
  readonly name = 'wasm';
  readonly memory: WatchedMemory;
  readonly #options: LockstepOptions;
  readonly #memory: EngineMemory;
  /** What the reference engine works on. */
  readonly #copy: EngineMemory;
  compared = 0;
  stretches = 0;

  constructor(options: LockstepOptions) {
    this.#options = options;
    this.#memory = new EngineMemory(options.memoryBytes);
    this.#copy = new EngineMemory(options.memoryBytes);
    this.memory = new WatchedMemory(this.#memory);
  }

  createVcpu(host: EngineHost): Vcpu {
    const leader: Recorder = { current: undefined, retired: () => vcpu.retired() - start.leader };
    let goal: Checkpoint | undefined;
    const follower: Recorder = {
      current: undefined,
      retired: () => reference.retired() - start.follower,
      replayed: () => {
        if (goal !== undefined && isReached(goal, follower)) reference.kick();
      },
    };
    const vcpu = new WasmVcpu(this.#memory, recordingHost(host, this.memory, leader), this.#options);
    const reference = new ReferenceVcpu(this.#copy, replayingHost(host, this.#copy, follower));
    const start = { leader: 0, follower: 0 };
    const stretch = (budget: number, kicked: () => boolean): Exit => {
      start.leader = vcpu.retired();
      start.follower = reference.retired();
      this.#copyAll();
      const recording = (leader.current = follower.current = new Recording());
      const led = lead(vcpu, leader, { budget, every: this.#options.every, kicked });
      leader.current = undefined;
      const towards = (checkpoint: Checkpoint): void => void (goal = checkpoint);
      follow({ vcpu: reference, memory: this.#copy, recorder: follower, towards }, led);
      recording.end();
      this.#compareMemory();
      this.compared += led.checkpoints.at(-1)?.retired ?? 0;
      this.stretches += 1;
      return led.exit;
    };
    return this.#controlled(vcpu, stretch);
  }

  /** Runs stretches where they are due and freely elsewhere. */
  #controlled(vcpu: Vcpu, stretch: (budget: number, kicked: () => boolean) => Exit): Vcpu {
    const { begins, length, gap } = this.#options;
    let kicked = false;
    return {
      ...forwardVcpu(vcpu),
      run(budget) {
        kicked = false;
        if (!begins(vcpu.retired())) return vcpu.run(Math.min(budget, gap));
        return stretch(Math.min(budget, length), () => kicked);
      },
      kick() {
        kicked = true;
        vcpu.kick();
      },
    };
  }

  #copyAll(): void {
    const size = this.#memory.size;
    this.#copy.writable(0, size)!.set(this.#memory.readable(0, size)!);
    const state = (memory: EngineMemory): Uint8Array => new Uint8Array(memory.wasm.buffer, CPU_BASE, STATE_SIZE);
    state(this.#copy).set(state(this.#memory));
  }

  #compareMemory(): void {
    const size = this.#memory.size;
    const [mine, other] = [this.#memory.readable(0, size)!, this.#copy.readable(0, size)!];
    if (Buffer.compare(mine, other) === 0) return;
    const at = mine.findIndex((byte, i) => byte !== other[i]);
    throw new Divergence(`memory differs at 0x${at.toString(16)}: ${mine[at]}, reference ${other[at]}`);
  }
}

interface Led {
  readonly exit: Exit;
  readonly checkpoints: readonly Checkpoint[];
}

function lead(
  vcpu: Vcpu,
  recorder: Recorder,
  limits: { readonly budget: number; readonly every: number; readonly kicked: () => boolean },
): Led {
  const checkpoints: Checkpoint[] = [];
  let exit = SPENT;
  while (recorder.retired() < limits.budget && exit.kind === 'budgetSpent' && !limits.kicked()) {
    exit = vcpu.run(Math.min(limits.every, limits.budget - recorder.retired()));
    checkpoints.push({ retired: recorder.retired(), calls: recorder.current!.length, state: stateOf(vcpu) });
  }
  return { exit, checkpoints };
}

interface Follower {
  readonly vcpu: ReferenceVcpu;
  readonly memory: EngineMemory;
  readonly recorder: Recorder;
  /** The engine is to stop there. */
  readonly towards: (checkpoint: Checkpoint) => void;
}

const isReached = ({ retired, calls }: Checkpoint, { retired: now, current }: Recorder): boolean =>
  now() >= retired && current!.position >= calls;

/** @throws Divergence */
function follow(follower: Follower, { exit, checkpoints }: Led): void {
  const { vcpu, recorder } = follower;
  const executed: Executed[] = [];
  let last = SPENT;
  for (const checkpoint of checkpoints) {
    follower.towards(checkpoint);
    try {
      while (
        !isReached(checkpoint, recorder) &&
        recorder.retired() <= checkpoint.retired &&
        last.kind === 'budgetSpent'
      ) {
        executed.push(instructionAt(follower));
        if (executed.length > SHOWN_INSTRUCTIONS) executed.shift();
        last = vcpu.run(1);
      }
      compare(checkpoint, stateOf(vcpu), recorder.retired());
    } catch (error) {
      if (!(error instanceof Divergence)) throw error;
      throw new Divergence(`${error.message}\nthe reference engine executed:\n${executed.map(show).join('\n')}`);
    }
  }
  if (last.kind !== exit.kind) throw new Divergence(`the run ended as ${exit.kind}, on the reference as ${last.kind}`);
}

function compare({ retired, state }: Checkpoint, reference: State, referenceRetired: number): void {
  if (retired !== referenceRetired)
    throw new Divergence(`${retired} instructions were executed, by the reference ${referenceRetired}`);
  const hex = (value: bigint): string => value.toString(16);
  const different = COMPARED_REGISTERS.flatMap((name, i) =>
    state[i] === reference[i] ? [] : [`${name} is ${hex(state[i]!)}, reference ${hex(reference[i]!)}`],
  );
  if (different.length > 0) throw new Divergence(`after ${retired} instructions ${different.join('; ')}`);
}

interface Executed {
  readonly retired: number;
  readonly rip: bigint;
  readonly code: Uint8Array;
  readonly mode: 16 | 32 | 64;
}

function instructionAt({ vcpu, memory, recorder }: Follower): Executed {
  const rip = vcpu.register('RIP');
  return { retired: recorder.retired(), rip, code: readCode(vcpu, memory, rip, 15).slice(), mode: codeSize(vcpu) };
}

function show({ retired, rip, code, mode }: Executed): string {
  const text = code.length === 0 ? '(not mapped)' : disassemble(code, mode, rip).text;
  return `  ${retired}: ${rip.toString(16)} ${text}`;
}
