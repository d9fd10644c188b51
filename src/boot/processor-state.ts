/** The states in which boot protocols hand over the processor, and the tables those need in RAM. */
import type { GuestMemory } from '../devices/contract.ts';
import { place, zeroed } from './placement.ts';
import type { RegisterSettings } from './source.ts';

/** Where boot loaders keep their tables, below 640 KiB and clear of what firmware owns. */
export const LOW_MEMORY = {
  gdt: 0x1_0000,
  pageTables: 0x1_1000,
  /** boot_params, hvm_start_info or Multiboot information. */
  information: 0x1_8000,
  /** Lists that the information points to. */
  lists: 0x1_9000,
  commandLine: 0x2_0000,
  commandLineEnd: 0x3_0000,
} as const;

const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const TASK_SELECTOR = 0x20;

const CODE64_DESCRIPTOR = 0x00af_9b00_0000_ffffn;
const CODE32_DESCRIPTOR = 0x00cf_9b00_0000_ffffn;
const DATA_DESCRIPTOR = 0x00cf_9300_0000_ffffn;
/** A busy 32-bit TSS at 0 with limit 0x67. */
const TASK_DESCRIPTOR = 0x0000_8b00_0000_0067n;

// Access rights as in a VMCS (SDM vol. 3 §24.4.1): the descriptor's bits 55:40 without the limit.
const CODE64_ACCESS = 0xa09bn;
const CODE32_ACCESS = 0xc09bn;
const DATA_ACCESS = 0xc093n;
const TASK_ACCESS = 0x8bn;
const UNUSABLE = 0x1_0000n;

const CR0_PE = 1n << 0n;
const CR0_ET = 1n << 4n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
/** Bit 1 is always set. */
const RFLAGS_RESET = 2n;

/** 32-bit protected mode without paging: flat segments, interrupts off. */
export function protectedMode(memory: GuestMemory, entry: number): RegisterSettings {
  placeGdt(memory, CODE32_DESCRIPTOR);
  return [
    ['IA32_EFER', 0n],
    ['CR4', 0n],
    ['CR3', 0n],
    ['CR0', CR0_PE | CR0_ET],
    ...flatSegments(CODE32_ACCESS),
    ['RFLAGS', RFLAGS_RESET],
    ['RIP', BigInt(entry)],
  ];
}

/** 64-bit mode with the first 4 GiB mapped to themselves: flat segments, interrupts off. */
export function longMode(memory: GuestMemory, entry: number): RegisterSettings {
  placeGdt(memory, CODE64_DESCRIPTOR);
  placeIdentityMap(memory);
  return [
    ['CR4', CR4_PAE],
    ['CR3', BigInt(LOW_MEMORY.pageTables)],
    ['IA32_EFER', EFER_LME | EFER_LMA],
    ['CR0', CR0_PE | CR0_ET | CR0_PG],
    ...flatSegments(CODE64_ACCESS),
    ['RFLAGS', RFLAGS_RESET],
    ['RIP', BigInt(entry)],
  ];
}

function placeGdt(memory: GuestMemory, code: bigint): void {
  const gdt = BigUint64Array.of(0n, 0n, code, DATA_DESCRIPTOR, TASK_DESCRIPTOR, 0n);
  place(memory, LOW_MEMORY.gdt, new Uint8Array(gdt.buffer));
}

const PRESENT_WRITABLE = 0x3n;
const PRESENT_WRITABLE_LARGE = 0x83n;
const TABLE_BYTES = 0x1000;
const GIGABYTES = 4;
const ENTRIES = 512;

/** A PML4, a page-directory-pointer table, and a page directory of 2 MiB pages for each gigabyte. */
function placeIdentityMap(memory: GuestMemory): void {
  const base = LOW_MEMORY.pageTables;
  const tables = zeroed(memory, base, (2 + GIGABYTES) * TABLE_BYTES);
  const put = (table: number, entry: number, value: bigint): void =>
    tables.setBigUint64(table * TABLE_BYTES + entry * 8, value, true);
  put(0, 0, BigInt(base + TABLE_BYTES) | PRESENT_WRITABLE);
  for (let gigabyte = 0; gigabyte < GIGABYTES; gigabyte++) {
    put(1, gigabyte, BigInt(base + (2 + gigabyte) * TABLE_BYTES) | PRESENT_WRITABLE);
    for (let i = 0; i < ENTRIES; i++)
      put(2 + gigabyte, i, (BigInt(gigabyte * ENTRIES + i) << 21n) | PRESENT_WRITABLE_LARGE);
  }
}

function flatSegments(codeAccess: bigint): RegisterSettings {
  return [
    ['GDTR.base', BigInt(LOW_MEMORY.gdt)],
    ['GDTR.limit', 6n * 8n - 1n],
    ['IDTR.base', 0n],
    ['IDTR.limit', 0n],
    ...segment('CS', CODE_SELECTOR, 0xffff_ffffn, codeAccess),
    ...['DS', 'ES', 'SS', 'FS', 'GS'].flatMap((name) => segment(name, DATA_SELECTOR, 0xffff_ffffn, DATA_ACCESS)),
    ...segment('TR', TASK_SELECTOR, 0x67n, TASK_ACCESS),
    ...segment('LDTR', 0, 0n, UNUSABLE),
  ];
}

function segment(name: string, selector: number, limit: bigint, access: bigint): RegisterSettings {
  return [
    [`${name}.selector`, BigInt(selector)],
    [`${name}.base`, 0n],
    [`${name}.limit`, limit],
    [`${name}.access`, access],
  ];
}
