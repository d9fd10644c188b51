/** Random bytes as code, at both privilege levels and in every mode: whatever they do, the host must not notice. */
import process from 'node:process';
import type { Bus } from '../../src/devices/contract.ts';
import type { Engine, EngineHost, Vcpu } from '../../src/engine/engine.ts';
import { createWasmEngine } from '../../src/engine/wasm/engine.ts';
import { Random } from './random.ts';
import { MODES, prepareStream, STREAM_RAM } from './stream-guest.ts';

export interface StreamReport {
  readonly instructions: number;
  readonly failures: readonly string[];
  /** How the streams ended. */
  readonly ends: Readonly<Record<string, number>>;
}

const BUDGET = 400;
/** A machine keeps the code of every instruction that it met: after so many streams another takes its place. */
const MACHINE_STREAMS = 50_000;
/** A stream that takes more of the processor's time than this hangs. */
const PATIENCE_MS = 2000;

function hostOf(random: Random): EngineHost {
  const bus: Bus = {
    map: () => {},
    unmap: () => {},
    read: (_at, width) => random.u32() >>> (32 - 8 * width),
    write: () => {},
  };
  return {
    mmio: bus,
    ports: bus,
    interrupts: {
      pending: () => random.chance(0.02),
      acknowledge: () => random.below(224) + 32,
      takeNmi: () => random.chance(0.002),
      taskPriority: () => 0,
      setTaskPriority: () => {},
    },
    msrs: { read: () => (random.chance(0.5) ? random.u64() : undefined), write: () => random.chance(0.5) },
    timestamp: () => random.u64(),
    entropy: () => random.u64(),
  };
}

interface Machine {
  readonly engine: Engine;
  readonly vcpu: Vcpu;
}

function machine(random: Random): Machine {
  const engine = createWasmEngine({ memoryBytes: STREAM_RAM });
  return { engine, vcpu: engine.createVcpu(hostOf(random)) };
}

/** `progress` is called now and then with the number of streams done. */
export function runStreamCheck(count: number, seed: number, progress: (done: number) => void = () => {}): StreamReport {
  const random = new Random(seed);
  const failures: string[] = [];
  const ends: Record<string, number> = {};
  let instructions = 0;
  let { engine, vcpu } = machine(random);
  for (let number = 0; number < count; number++) {
    if (number % MACHINE_STREAMS === MACHINE_STREAMS - 1) ({ engine, vcpu } = machine(random));
    const mode = MODES[number % MODES.length];
    const user = mode === 'virtual8086' || (mode !== 'real' && random.chance(0.5));
    const code = prepareStream(random, engine.memory, vcpu, mode, user);
    const before = vcpu.retired();
    const started = process.cpuUsage();
    let end: string;
    try {
      end = vcpu.run(BUDGET).kind;
    } catch (error) {
      end = 'threw';
      failures.push(
        `stream ${number}, ${mode}, CPL ${user ? 3 : 0}, ${Buffer.from(code).toString('hex')}: ${(error as Error).stack}`,
      );
      ({ engine, vcpu } = machine(random));
    }
    const { user: busy, system } = process.cpuUsage(started);
    const elapsed = (busy + system) / 1000;
    if (elapsed > PATIENCE_MS) failures.push(`stream ${number}, ${mode}: took ${elapsed.toFixed(0)} ms`);
    ends[end] = (ends[end] ?? 0) + 1;
    instructions += end === 'threw' ? 0 : vcpu.retired() - before;
    if (number % 1000 === 999) progress(number + 1);
  }
  return { instructions, failures, ends };
}
