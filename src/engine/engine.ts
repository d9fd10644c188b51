/**
 * The contract between a machine and what executes its virtual processors.
 *
 * I/O is never an exit: an engine is given buses and calls them. `run` returns only what the machine must decide.
 */
import type { Bus, GuestMemory, LatePages } from '../devices/contract.ts';

/** Why `run` returned. */
export type Exit =
  /** HLT with nothing to deliver: sleep until an interrupt. */
  | { readonly kind: 'halted' }
  /** The budget of instructions is spent, or `kick` was called. */
  | { readonly kind: 'budgetSpent' }
  /** A triple fault: the processor is in shutdown (SDM vol. 3 §6.15, "double fault"). */
  | { readonly kind: 'shutdown' };

/** The interrupt controller as the processor sees it (INTR, NMI pins and the TPR shared with CR8). */
export interface InterruptSource {
  /** A maskable interrupt is waiting that the controller's priorities allow. */
  pending(): boolean;
  /** The processor takes the interrupt: its vector, which the controller now holds in service; -1 if it went away. */
  acknowledge(): number;
  /** A non-maskable interrupt is latched; taking it clears the latch. */
  takeNmi(): boolean;
  /** CR8, the task-priority class (bits 3:0). */
  taskPriority(): number;
  setTaskPriority(value: number): void;
}

/** Model-specific registers that live outside the processor core (APIC base, TSC deadline, MTRRs, x2APIC). */
export interface MsrSpace {
  /** The value, or undefined to raise #GP(0). */
  read(index: number): bigint | undefined;
  /** False raises #GP(0). */
  write(index: number, value: bigint): boolean;
}

/** What a trace may be told of by the processor itself; costs nothing when absent. */
export interface CpuTrace {
  /** An exception is delivered: its vector, its error code if it has one, and RIP as pushed. */
  exception?(vector: number, errorCode: number | undefined, address: bigint): void;
  /** The instruction at RIP is about to be executed: with it the processor goes one instruction at a time. */
  instruction?(): void;
  /** A region of guest code was translated, its modules' compilation aside. */
  regionMade?(region: MadeRegion): void;
  /** WebAssembly was compiled. */
  moduleMade?(module: MadeModule): void;
}

/** Times are milliseconds of the host's clock. */
export interface MadeRegion {
  readonly startMs: number;
  readonly endMs: number;
  /** Guest-physical address of its entry. */
  readonly physical: number;
  readonly instructions: number;
  readonly guestBytes: number;
  readonly wasmBytes: number;
  /** From an earlier run. */
  readonly kept: boolean;
}
export interface MadeModule {
  readonly startMs: number;
  readonly endMs: number;
  readonly wasmBytes: number;
}

/** What a vCPU is given. */
export interface EngineHost {
  readonly mmio: Bus;
  readonly ports: Bus;
  readonly interrupts: InterruptSource;
  readonly msrs: MsrSpace;
  /** The time-stamp counter now. */
  timestamp(): bigint;
  /** Random bits for RDRAND and RDSEED. */
  entropy(): bigint;
  /** The host's clock, for statistics; where it is absent they have no times. */
  milliseconds?(): number;
  /**
   * Stops come at counts of instructions that do not depend on the engine or its tier: runs end exactly at their budgets, and after
   * `kick` behind an instruction for ports or MSRs, or else a fixed number of instructions later, less than a thousand.
   */
  readonly exactStops?: boolean | undefined;
  readonly trace?: CpuTrace | undefined;
}

/** Architectural registers at a boundary between instructions, for boot loaders, dumps, debuggers. */
export interface Vcpu {
  /**
   * Executes at most about `budget` instructions (a block may be finished; see `EngineHost.exactStops`) and returns why it stopped.
   * Guest faults are delivered to the guest and never throw.
   */
  run(budget: number): Exit;
  /** An interrupt line changed or time passed: `run` returns soon. Callable from a device. */
  kick(): void;
  /** Instructions retired since reset; exact even inside a device access. */
  retired(): number;
  /** Reads or sets one register by its manual name (`RAX`, `RIP`, `CR3`, `CS.base`, `XMM0`); for loaders and debuggers. */
  register(name: string): bigint;
  setRegister(name: string, value: bigint): void;
  reset(): void;
  /** All that a processor keeps from one instruction to the next, the same for every engine. Not callable from a device. */
  state(): VcpuState;
  /** RAM may be restored later, but before `run`. @throws RangeError when no processor can be in such a state. */
  restore(state: VcpuState): void;
  statistics(): VcpuStatistics;
  /** Pages of RAM that were used of late, each with a linear address of it where one is known: a processor that goes on needs them first. */
  recentPages?(): ReadonlyMap<number, bigint | undefined>;
}

export interface VcpuState {
  /** By manual name, as `register` takes them, and what manuals have no name for. */
  readonly registers: ReadonlyMap<string, bigint>;
  /** HLT was executed and nothing came since. */
  readonly halted: boolean;
  /** Instructions since reset. */
  readonly retired: number;
}

export interface VcpuStatistics {
  /** Delivered exceptions and interrupts by vector. */
  readonly vectors: ReadonlyMap<number, number>;
  readonly decodedInstructions: number;
  /** What an engine that makes code made and did with it. */
  readonly code?: CodeStatistics | undefined;
}

export interface CodeStatistics {
  /** Regions of guest code that were translated, and of these dropped: because their code changed, or to make room. */
  readonly regionsMade: number;
  /** Of those, the ones that were there from an earlier run. */
  readonly regionsKept: number;
  readonly regionsDropped: number;
  readonly modulesMade: number;
  readonly modulesDropped: number;
  readonly wasmBytes: number;
  /** Host time spent reading and lowering regions, and compiling modules of any kind. */
  readonly translateMs: number;
  readonly compileMs: number;
  /** Instructions that regions retired; all others were interpreted. */
  readonly translatedInstructions: number;
  /** Data accesses that the software TLB did not answer. */
  readonly tlbMisses: number;
  /** How often a region went back to the interpreter, by cause. */
  readonly regionExits: Readonly<Record<string, number>>;
  /** How often the processor went back to the machine, by kind of exit. */
  readonly exits: Readonly<Record<Exit['kind'], number>>;
}

/** Guest RAM as the engine has it. */
export interface EngineRam extends GuestMemory {
  /** Absent where all pages must be there before a processor runs. */
  readonly late?: LatePages;
}

export interface Engine {
  readonly name: 'reference' | 'wasm';
  readonly memory: EngineRam;
  createVcpu(host: EngineHost): Vcpu;
}
