/** What a person gives a machine to boot, and what loading it leaves for the processor. */
import type { GuestMemory } from '../devices/contract.ts';

export interface BootModule {
  /** The file's name, for messages and Multiboot's module strings. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface BootSource {
  readonly kernel: BootModule;
  /** Initial RAM disks: joined for Linux, handed over one by one by PVH and Multiboot. */
  readonly initrds: readonly BootModule[];
  readonly commandLine: string;
}

/** Kinds of memory, with the numbers that e820, PVH and Multiboot share. */
export const MEMORY_KIND = { usable: 1, reserved: 2, acpi: 3 } as const;

export interface MemoryMapEntry {
  readonly base: number;
  readonly size: number;
  readonly kind: (typeof MEMORY_KIND)[keyof typeof MEMORY_KIND];
}

/** What boot loaders are told of the machine. */
export interface BootEnvironment {
  readonly memory: GuestMemory;
  readonly memoryMap: readonly MemoryMapEntry[];
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
  /** Random bytes for the guest's own generator. */
  readonly seed: Uint8Array;
}

/** Registers by their manual names, to be set in order on a processor that was just reset. */
export type RegisterSettings = readonly (readonly [name: string, value: bigint])[];
