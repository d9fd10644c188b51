/**
 * Tracing. Device accesses and interrupts pass through what a machine hands an engine, so they are watched there;
 * exceptions come by the engine's own hook; instructions by single steps.
 */
import type { Bus, GuestMemory } from '../devices/contract.ts';
import type { CpuTrace, Engine, InterruptSource, Vcpu } from '../engine/engine.ts';
import { disassemble } from '../isa/x86/disassemble.ts';
import { VECTOR_NAMES } from '../isa/x86/exceptions.ts';
import type { TraceKind } from './choices.ts';
import { formatInstruction } from './crash-report.ts';
import { codeSize, readCode } from './guest-view.ts';

type Emit = (line: string) => void;

const LONGEST_INSTRUCTION = 15;

/** Wraps `engine` so that `emit` gets a line for each event of the asked kinds. */
export function traceEngine(engine: Engine, kinds: ReadonlySet<TraceKind>, emit: Emit): Engine {
  return {
    name: engine.name,
    memory: engine.memory,
    createVcpu(host) {
      const vcpu: Vcpu = engine.createVcpu({
        mmio: kinds.has('mmio') ? traceBus('mmio', host.mmio, emit) : host.mmio,
        ports: kinds.has('io') ? traceBus('io', host.ports, emit) : host.ports,
        interrupts: kinds.has('interrupts') ? traceInterrupts(host.interrupts, emit) : host.interrupts,
        msrs: host.msrs,
        timestamp: () => host.timestamp(),
        entropy: () => host.entropy(),
        milliseconds: () => host.milliseconds?.() ?? 0,
        exactStops: host.exactStops,
        trace: {
          ...host.trace,
          ...(kinds.has('exceptions') && traceExceptions(emit, host.trace)),
          ...(kinds.has('instructions') && {
            instruction: () => emit(`instruction ${currentInstruction(vcpu, engine.memory)}`),
          }),
        },
      });
      return vcpu;
    },
  };
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function traceBus(kind: 'io' | 'mmio', bus: Bus, emit: Emit): Bus {
  return {
    map: (range, device) => bus.map(range, device),
    unmap: (range) => bus.unmap(range),
    read(address, width) {
      const value = bus.read(address, width);
      emit(`${kind} read ${hex(address)} width ${width} = ${hex(value)}`);
      return value;
    },
    write(address, width, value) {
      emit(`${kind} write ${hex(address)} width ${width} = ${hex(value)}`);
      bus.write(address, width, value);
    },
  };
}

function traceInterrupts(source: InterruptSource, emit: Emit): InterruptSource {
  return {
    pending: () => source.pending(),
    acknowledge() {
      const vector = source.acknowledge();
      if (vector >= 0) emit(`interrupt ${hex(vector)}`);
      return vector;
    },
    takeNmi() {
      const taken = source.takeNmi();
      if (taken) emit('interrupt NMI');
      return taken;
    },
    taskPriority: () => source.taskPriority(),
    setTaskPriority: (value) => source.setTaskPriority(value),
  };
}

function traceExceptions(emit: Emit, other: CpuTrace | undefined): CpuTrace {
  return {
    exception(vector, errorCode, address) {
      other?.exception?.(vector, errorCode, address);
      const code = errorCode === undefined ? '' : ` error code ${hex(errorCode)}`;
      emit(`exception ${VECTOR_NAMES[vector] ?? hex(vector)}${code} at ${hex(address)}`);
    },
  };
}

function currentInstruction(vcpu: Vcpu, memory: GuestMemory): string {
  const rip = vcpu.register('RIP');
  const code = readCode(vcpu, memory, rip, LONGEST_INSTRUCTION);
  if (code.length === 0) return `${hex(rip)} (not mapped)`;
  const { text, length } = disassemble(code, codeSize(vcpu), rip);
  return formatInstruction(rip, code.subarray(0, length), text);
}
