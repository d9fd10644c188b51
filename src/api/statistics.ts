/** What a run cost and did, as plain data. */
import type { BlockBackend, FetchFigures } from '../devices/contract.ts';
import type { CodeStatistics } from '../engine/engine.ts';
import { VECTOR_NAMES } from '../isa/x86/exceptions.ts';
import type { MachineStatistics } from '../machine/machine.ts';
import type { ArrivalFigures } from '../snapshot/arrival.ts';

export interface Statistics {
  readonly engine: 'wasm' | 'reference';
  /** Guest instructions executed since power-on, over all restarts. */
  readonly instructions: number;
  /** Of these, instructions before the snapshot that the machine was made of; 0 without one. All else is of this machine. */
  readonly instructionsBefore: number;
  /** Instructions that were decoded (the others were met again). */
  readonly decodedInstructions: number;
  /** Host seconds since the start. */
  readonly wallSeconds: number;
  /** Host seconds spent executing the guest; the rest it slept. */
  readonly busySeconds: number;
  /** Seconds by the guest's own clock. */
  readonly guestSeconds: number;
  /** Per busy second. */
  readonly instructionsPerSecond: number;
  /** Host seconds from the start to the first byte on a console; null when there was none. */
  readonly firstOutputSeconds: number | null;
  readonly restarts: number;
  /** Delivered exceptions by mnemonic, such as `#PF`. */
  readonly exceptions: Readonly<Record<string, number>>;
  /** Delivered interrupts by vector, in decimal. */
  readonly interrupts: Readonly<Record<string, number>>;
  /** Register accesses by device, of those that were accessed. */
  readonly devices: Readonly<Record<string, { readonly reads: number; readonly writes: number }>>;
  /** By disk: what was fetched over a network; null for a disk that is here. */
  readonly disks: readonly (FetchFigures | null)[];
  /** How the memory of a machine out of a snapshot came; null where all was there before the guest ran. */
  readonly arrival: ArrivalFigures | null;
  /** By virtual CPU. */
  readonly vcpus: readonly VcpuFigures[];
}

/** What a virtual CPU did, and what its engine made of guest code. */
export interface VcpuFigures {
  readonly instructions: number;
  /** Null for an engine that makes no code. */
  readonly code: CodeFigures | null;
}

export interface CodeFigures {
  /** Shares of the executed instructions, from 0 to 1. */
  readonly tiers: { readonly interpreter: number; readonly translator: number };
  /** Translated pieces of guest code; dropped are those whose code changed or that made room. */
  /** `kept`: of those made, the ones that were there from an earlier run. */
  readonly regions: {
    readonly made: number;
    readonly kept: number;
    readonly live: number;
    readonly dropped: number;
  };
  readonly modules: { readonly made: number; readonly live: number };
  /** Of all modules made. */
  readonly wasmBytes: number;
  /** Host milliseconds spent translating, and in the compilation of modules that translating and interpreting waited for. */
  readonly translateMs: number;
  readonly compileMs: number;
  /** Data accesses that the software TLB did not answer. */
  readonly tlbMisses: number;
  /** How often a region went back to the interpreter, by cause. */
  readonly regionExits: Readonly<Record<string, number>>;
  /** How often the processor went back to the machine, by kind of exit. */
  readonly exits: Readonly<Record<string, number>>;
}

/** Vectors below are exceptions (SDM vol. 3 §6.2). */
const FIRST_INTERRUPT = 32;
const NS_PER_S = 1e9;

export function toStatistics(
  engine: Statistics['engine'],
  measured: MachineStatistics,
  {
    firstOutputNs,
    disks,
    arrival,
  }: {
    readonly firstOutputNs: number | undefined;
    readonly disks: readonly BlockBackend[];
    readonly arrival: ArrivalFigures | undefined;
  },
): Statistics {
  const busySeconds = measured.busyNs / NS_PER_S;
  const here = measured.instructions - measured.instructionsBefore;
  const vectors = [...measured.vectors].filter(([, count]) => count > 0).sort(([a], [b]) => a - b);
  const exceptions = vectors.filter(([vector]) => vector < FIRST_INTERRUPT);
  const interrupts = vectors.filter(([vector]) => vector >= FIRST_INTERRUPT);
  const accessed = [...measured.accesses].filter(([, { reads, writes }]) => reads + writes > 0);
  return {
    engine,
    instructions: measured.instructions,
    instructionsBefore: measured.instructionsBefore,
    decodedInstructions: measured.decodedInstructions,
    wallSeconds: measured.wallNs / NS_PER_S,
    busySeconds,
    guestSeconds: measured.guestNs / NS_PER_S,
    instructionsPerSecond: busySeconds > 0 ? Math.round(here / busySeconds) : 0,
    firstOutputSeconds: firstOutputNs === undefined ? null : firstOutputNs / NS_PER_S,
    restarts: measured.restarts,
    exceptions: Object.fromEntries(exceptions.map(([vector, count]) => [VECTOR_NAMES[vector] ?? `${vector}`, count])),
    interrupts: Object.fromEntries(interrupts),
    devices: Object.fromEntries(accessed.map(([name, { reads, writes }]) => [name, { reads, writes }])),
    disks: disks.map((disk) => disk.fetched?.() ?? null),
    arrival: arrival === undefined ? null : { ...arrival, waitedMs: rounded(arrival.waitedMs) },
    vcpus: measured.code.map((code) => vcpuFigures(measured.instructions, here, code)),
  };
}

/** Milliseconds to a thousandth: what lies below is noise. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

/** `here`: of the instructions, those that this machine executed. */
function vcpuFigures(instructions: number, here: number, code: CodeStatistics | undefined): VcpuFigures {
  if (code === undefined) return { instructions, code: null };
  const translator = here > 0 ? code.translatedInstructions / here : 0;
  return {
    instructions,
    code: {
      tiers: { interpreter: 1 - translator, translator },
      regions: {
        made: code.regionsMade,
        kept: code.regionsKept,
        live: code.regionsMade - code.regionsDropped,
        dropped: code.regionsDropped,
      },
      modules: { made: code.modulesMade, live: code.modulesMade - code.modulesDropped },
      wasmBytes: code.wasmBytes,
      translateMs: rounded(code.translateMs),
      compileMs: rounded(code.compileMs),
      tlbMisses: code.tlbMisses,
      regionExits: code.regionExits,
      exits: code.exits,
    },
  };
}
