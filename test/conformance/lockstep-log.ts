/** What a processor and its surroundings say to each other in one stretch of execution: recorded with one engine, replayed to another. */
import { isDeepStrictEqual } from 'node:util';
import type { Bus, GuestMemory } from '../../src/devices/contract.ts';
import type { CpuTrace, EngineHost, InterruptSource } from '../../src/engine/engine.ts';

/** One call of the processor, and what devices wrote into RAM before it returned. */
interface Call {
  readonly name: string;
  readonly words: readonly unknown[];
  /** Instructions retired when it was made; undefined where engines may differ. */
  readonly at: number | undefined;
  readonly result: unknown;
  readonly writes: readonly { readonly at: number; readonly bytes: Uint8Array }[];
}

export const describe = (name: string, words: readonly unknown[], at: number | undefined): string =>
  `${name}(${words.map((word) => (typeof word === 'number' || typeof word === 'bigint' ? `0x${word.toString(16)}` : String(word))).join(', ')})${at === undefined ? '' : ` at instruction ${at}`}`;

/** The engines part ways. */
export class Divergence extends Error {
  override readonly name = 'Divergence';
}

export class Recording {
  readonly #calls: Call[] = [];
  #next = 0;

  get length(): number {
    return this.#calls.length;
  }
  /** Calls replayed so far. */
  get position(): number {
    return this.#next;
  }

  add(call: Call): void {
    this.#calls.push(call);
  }

  /** The next call is one that the processor's surroundings decide about, such as an interrupt, and is due at `at`. */
  isDue(name: string, at: number): boolean {
    const call = this.#calls[this.#next];
    return call?.name === name && call.at === at;
  }

  /** @throws Divergence when another call was recorded here. */
  replay(memory: GuestMemory, name: string, words: readonly unknown[], at: number | undefined): unknown {
    const call = this.#calls[this.#next];
    const said = describe(name, words, at);
    if (call === undefined) throw new Divergence(`${said} was not made by the other engine`);
    if (call.name !== name || call.at !== at || !isDeepStrictEqual(call.words, words))
      throw new Divergence(`${said}, where the other engine made ${describe(call.name, call.words, call.at)}`);
    this.#next += 1;
    for (const { at: address, bytes } of call.writes) memory.writable(address, bytes.length)!.set(bytes);
    return call.result;
  }

  /** @throws Divergence when recorded calls are left. */
  end(): void {
    const call = this.#calls[this.#next];
    if (call !== undefined) throw new Divergence(`${describe(call.name, call.words, call.at)} is missing`);
  }
}

type Answer = (name: string, words: readonly unknown[], act: () => unknown, at?: 'anywhere') => unknown;

/** A host each of whose calls `answer` decides about. */
function hostWith(host: EngineHost, answer: Answer, interrupts: InterruptSource): EngineHost {
  const bus = (name: string, { read, write, map, unmap }: Bus): Bus => ({
    map,
    unmap,
    read: (address, width) => answer(`${name} read`, [address, width], () => read(address, width)) as number,
    write: (address, width, value) =>
      void answer(`${name} write`, [address, width, value], () => write(address, width, value)),
  });
  const bound = (one: Bus): Bus => ({
    map: one.map.bind(one),
    unmap: one.unmap.bind(one),
    read: one.read.bind(one),
    write: one.write.bind(one),
  });
  const trace: CpuTrace = {
    exception: (vector, errorCode, address) => {
      const act = (): void => host.trace?.exception?.(vector, errorCode, address);
      // What an engine has counted while it delivers is its own affair.
      answer('exception', [vector, errorCode, address], act, 'anywhere');
    },
  };
  return {
    mmio: bus('memory', bound(host.mmio)),
    ports: bus('port', bound(host.ports)),
    interrupts,
    msrs: {
      read: (index) => answer('MSR read', [index], () => host.msrs.read(index)) as bigint | undefined,
      write: (index, value) => answer('MSR write', [index, value], () => host.msrs.write(index, value)) as boolean,
    },
    timestamp: () => answer('timestamp', [], () => host.timestamp()) as bigint,
    entropy: () => answer('entropy', [], () => host.entropy()) as bigint,
    trace,
  };
}

/** Where recordings go: nowhere while `current` is undefined. */
export interface Recorder {
  current: Recording | undefined;
  /** Instructions retired since the recording began. */
  readonly retired: () => number;
  /** Called after each call that was replayed. */
  readonly replayed?: () => void;
}

/** `host` as it is, with its calls recorded. `memory` must be the one whose `writable` devices use. */
export function recordingHost(host: EngineHost, memory: WatchedMemory, recorder: Recorder): EngineHost {
  const answer: Answer = (name, words, act, at) => {
    const recording = recorder.current;
    if (recording === undefined) return act();
    const before = at === 'anywhere' ? undefined : recorder.retired();
    memory.ranges.length = 0;
    const result = act();
    const writes = memory.ranges.map(([address, length]) => ({
      at: address,
      bytes: memory.readable(address, length)!.slice(),
    }));
    recording.add({ name, words, at: before, result, writes });
    return result;
  };
  const { interrupts } = host;
  return hostWith(host, answer, {
    pending: () => interrupts.pending(),
    acknowledge: () => answer('interrupt', [], () => interrupts.acknowledge()) as number,
    takeNmi() {
      if (!interrupts.takeNmi()) return false;
      answer('NMI', [], () => {});
      return true;
    },
    taskPriority: () => answer('CR8 read', [], () => interrupts.taskPriority()) as number,
    setTaskPriority: (value) => void answer('CR8 write', [value], () => interrupts.setTaskPriority(value)),
  });
}

/** A host without devices that gives the recorded answers and takes interrupts where the recording has them. */
export function replayingHost(host: EngineHost, memory: GuestMemory, recorder: Recorder): EngineHost {
  const answer: Answer = (name, words, _act, at) => {
    const result = recorder.current!.replay(memory, name, words, at === 'anywhere' ? undefined : recorder.retired());
    recorder.replayed?.();
    return result;
  };
  const isDue = (name: string): boolean => recorder.current!.isDue(name, recorder.retired());
  return hostWith(host, answer, {
    pending: () => isDue('interrupt'),
    acknowledge: () => answer('interrupt', [], () => {}) as number,
    takeNmi: () => isDue('NMI') && answer('NMI', [], () => {}) === undefined,
    taskPriority: () => answer('CR8 read', [], () => {}) as number,
    setTaskPriority: (value) => void answer('CR8 write', [value], () => {}),
  });
}

/** Guest memory that remembers which ranges were asked for to be written. */
export class WatchedMemory implements GuestMemory {
  readonly #memory: GuestMemory;
  readonly ranges: (readonly [at: number, length: number])[] = [];

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }
  get size(): number {
    return this.#memory.size;
  }
  readable(at: number, length: number): Uint8Array | undefined {
    return this.#memory.readable(at, length);
  }
  writable(at: number, length: number): Uint8Array | undefined {
    const bytes = this.#memory.writable(at, length);
    if (bytes !== undefined) this.ranges.push([at, length]);
    return bytes;
  }
}
