/** A timeline of a machine: what its processor, its translator and its devices did when. */

import type { Bus } from '../devices/contract.ts';
import { NOTIFY_MULTIPLIER, NOTIFY_OFFSET } from '../devices/virtio/transport-pci.ts';
import type { CpuTrace, Engine, EngineHost, InterruptSource, Vcpu } from '../engine/engine.ts';
import { forwardVcpu } from '../engine/forward-vcpu.ts';
import { PAGE_SIZE } from '../engine/layout.ts';
import { VECTOR_NAMES } from '../isa/x86/exceptions.ts';

/** Something that happened, in nanoseconds since the machine was made. */
export interface TimelineEvent {
  /** Where it is shown: `vCPU 0`, `interrupts`, `exceptions`, or the name of a device. */
  readonly track: string;
  readonly name: string;
  readonly startNs: number;
  /** Undefined: it takes no time. Slices of one track lie apart or inside each other. */
  readonly endNs: number | undefined;
  readonly details: Readonly<Record<string, number | string>>;
}

/** Told of events in the order in which they began, over all calls. */
export type TimelineListener = (events: readonly TimelineEvent[]) => void;

/** Events of one track that are told of in one slice of the processor, which has at most about 4 ms; the slice counts the others. */
const MOST_IN_SLICE = 64;
const NS_PER_MS = 1e6;
const VCPU = 'vCPU 0';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

class Recorder {
  readonly #now: () => number;
  readonly #tell: TimelineListener;
  readonly #originMs: number;
  #events: TimelineEvent[] = [];
  readonly #counts = new Map<string, number>();

  constructor(now: () => number, tell: TimelineListener) {
    this.#now = now;
    this.#tell = tell;
    this.#originMs = now();
  }

  now(): number {
    return this.at(this.#now());
  }
  /** A time of the host's clock as one of the timeline. */
  at(ms: number): number {
    return Math.round((ms - this.#originMs) * NS_PER_MS);
  }

  add(event: TimelineEvent): void {
    this.#events.push(event);
  }
  /** An event of a kind that may be frequent. */
  limited(event: TimelineEvent): void {
    const count = (this.#counts.get(event.track) ?? 0) + 1;
    this.#counts.set(event.track, count);
    if (count <= MOST_IN_SLICE) this.add(event);
  }

  /** Ends a slice of the processor: adds it, with how much of each kind there was in it, and hands everything over. */
  slice(startNs: number, instructions: number, exit: string): void {
    const details = { instructions, exit, ...Object.fromEntries(this.#counts) };
    this.add({ track: VCPU, name: 'run', startNs, endNs: this.now(), details });
    this.#counts.clear();
    const end = (e: TimelineEvent): number => e.endNs ?? e.startNs;
    // What contains another comes first.
    this.#events.sort((a, b) => a.startNs - b.startNs || end(b) - end(a));
    this.#tell(this.#events);
    this.#events = [];
  }
}

/** Wraps `engine` so that `tell` hears of everything that its processor does. */
export function timelineEngine(engine: Engine, tell: TimelineListener): Engine {
  return {
    name: engine.name,
    memory: engine.memory,
    createVcpu(host) {
      const recorder = new Recorder(() => host.milliseconds?.() ?? 0, tell);
      return recordRuns(engine.createVcpu(recordedHost(host, recorder)), recorder);
    },
  };
}

function recordedHost(host: EngineHost, recorder: Recorder): EngineHost {
  return {
    ...host,
    mmio: recordBus('mmio', host.mmio, recorder),
    ports: recordBus('port', host.ports, recorder),
    interrupts: recordInterrupts(host.interrupts, recorder),
    trace: recordProcessor(host.trace, recorder),
  };
}

function recordRuns(vcpu: Vcpu, recorder: Recorder): Vcpu {
  let idleSinceNs: number | undefined;
  return {
    ...forwardVcpu(vcpu),
    run(budget) {
      const startNs = recorder.now();
      if (idleSinceNs !== undefined)
        recorder.add({ track: VCPU, name: 'idle', startNs: idleSinceNs, endNs: startNs, details: {} });
      const before = vcpu.retired();
      const exit = vcpu.run(budget);
      recorder.slice(startNs, vcpu.retired() - before, exit.kind);
      idleSinceNs = exit.kind === 'halted' ? recorder.now() : undefined;
      return exit;
    },
  };
}

/** The parts of a virtio device's window that are not its registers: a write there says that a queue has work. */
function accessName(kind: 'port' | 'mmio', what: 'read' | 'write', name: string, offset: number): string {
  const isNotification = what === 'write' && name.startsWith('virtio-') && offset >= NOTIFY_OFFSET;
  if (!isNotification || offset >= NOTIFY_OFFSET + PAGE_SIZE) return `${kind} ${what}`;
  return `virtqueue ${Math.floor((offset - NOTIFY_OFFSET) / NOTIFY_MULTIPLIER)} notified`;
}

function recordBus(kind: 'port' | 'mmio', bus: Bus, recorder: Recorder): Bus {
  const note = (what: 'read' | 'write', startNs: number, address: number, width: number, value: number): void => {
    const { name, offset } = bus.deviceAt?.(address) ?? { name: 'unmapped', offset: 0 };
    recorder.limited({
      track: name,
      name: accessName(kind, what, name, offset),
      startNs,
      endNs: recorder.now(),
      details: { address: hex(address), width, value: hex(value) },
    });
  };
  return {
    map: (range, device) => bus.map(range, device),
    unmap: (range) => bus.unmap(range),
    read(address, width) {
      const startNs = recorder.now();
      const value = bus.read(address, width);
      note('read', startNs, address, width, value);
      return value;
    },
    write(address, width, value) {
      const startNs = recorder.now();
      bus.write(address, width, value);
      note('write', startNs, address, width, value);
    },
  };
}

function recordInterrupts(source: InterruptSource, recorder: Recorder): InterruptSource {
  const instant = (name: string): void =>
    recorder.limited({ track: 'interrupts', name, startNs: recorder.now(), endNs: undefined, details: {} });
  return {
    pending: () => source.pending(),
    acknowledge() {
      const vector = source.acknowledge();
      if (vector >= 0) instant(`vector ${hex(vector)}`);
      return vector;
    },
    takeNmi() {
      const taken = source.takeNmi();
      if (taken) instant('NMI');
      return taken;
    },
    taskPriority: () => source.taskPriority(),
    setTaskPriority: (value) => source.setTaskPriority(value),
  };
}

function recordProcessor(other: CpuTrace | undefined, recorder: Recorder): CpuTrace {
  return {
    ...other,
    exception(vector, errorCode, address) {
      other?.exception?.(vector, errorCode, address);
      recorder.limited({
        track: 'exceptions',
        name: VECTOR_NAMES[vector] ?? hex(vector),
        startNs: recorder.now(),
        endNs: undefined,
        details: { address: hex(address), ...(errorCode === undefined ? {} : { errorCode: hex(errorCode) }) },
      });
    },
    regionMade({ startMs, endMs, physical, kept, ...details }) {
      recorder.add({
        track: VCPU,
        name: kept ? 'take a region of an earlier run' : 'translate a region',
        startNs: recorder.at(startMs),
        endNs: recorder.at(endMs),
        details: { physical: hex(physical), ...details },
      });
    },
    moduleMade({ startMs, endMs, wasmBytes }) {
      recorder.add({
        track: VCPU,
        name: 'compile a module',
        startNs: recorder.at(startMs),
        endNs: recorder.at(endMs),
        details: { wasmBytes },
      });
    },
  };
}
