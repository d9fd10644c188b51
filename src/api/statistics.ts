/** What a run cost and did, as plain data. */
import { VECTOR_NAMES } from '../isa/x86/exceptions.ts';
import type { MachineStatistics } from '../machine/machine.ts';

export interface Statistics {
  readonly engine: 'wasm' | 'reference';
  /** Guest instructions executed, over all restarts. */
  readonly instructions: number;
  /** Of these, instructions that were decoded (the others were met again). */
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
}

/** Vectors below are exceptions (SDM vol. 3 §6.2). */
const FIRST_INTERRUPT = 32;
const NS_PER_S = 1e9;

export function toStatistics(
  engine: Statistics['engine'],
  measured: MachineStatistics,
  firstOutputNs: number | undefined,
): Statistics {
  const busySeconds = measured.busyNs / NS_PER_S;
  const vectors = [...measured.vectors].filter(([, count]) => count > 0).sort(([a], [b]) => a - b);
  const exceptions = vectors.filter(([vector]) => vector < FIRST_INTERRUPT);
  const interrupts = vectors.filter(([vector]) => vector >= FIRST_INTERRUPT);
  const accessed = [...measured.accesses].filter(([, { reads, writes }]) => reads + writes > 0);
  return {
    engine,
    instructions: measured.instructions,
    decodedInstructions: measured.decodedInstructions,
    wallSeconds: measured.wallNs / NS_PER_S,
    busySeconds,
    guestSeconds: measured.guestNs / NS_PER_S,
    instructionsPerSecond: busySeconds > 0 ? Math.round(measured.instructions / busySeconds) : 0,
    firstOutputSeconds: firstOutputNs === undefined ? null : firstOutputNs / NS_PER_S,
    restarts: measured.restarts,
    exceptions: Object.fromEntries(exceptions.map(([vector, count]) => [VECTOR_NAMES[vector] ?? `${vector}`, count])),
    interrupts: Object.fromEntries(interrupts),
    devices: Object.fromEntries(accessed.map(([name, { reads, writes }]) => [name, { reads, writes }])),
  };
}
