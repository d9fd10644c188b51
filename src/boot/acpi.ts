/** ACPI tables (ACPI 6.5 ch. 5) and their placement in the firmware area. */
import type { GuestMemory } from '../devices/contract.ts';
import { place } from './placement.ts';

const HEADER_BYTES = 36;
const OEM_ID = 'TRAPEZ';
const OEM_TABLE_ID = 'TRAPEZPC';
const CREATOR_ID = 'TRPZ';
const RSDP_BYTES = 36;
/** The part of the root pointer that ACPI 1.0 has and its first checksum covers. */
const RSDP_V1_BYTES = 20;

const putText = (bytes: Uint8Array, at: number, text: string): void => {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Makes the bytes sum up to 0. */
function seal(bytes: Uint8Array, checksumAt: number): void {
  bytes[checksumAt] = 0;
  bytes[checksumAt] = -bytes.reduce((sum, byte) => sum + byte, 0);
}

/** A table with the common header (§5.2.6); `body` follows it. */
export function table(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = viewOf(bytes);
  putText(bytes, 0, signature);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  putText(bytes, 10, OEM_ID);
  putText(bytes, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  putText(bytes, 28, CREATOR_ID);
  view.setUint32(32, 1, true);
  bytes.set(body, HEADER_BYTES);
  seal(bytes, 9);
  return bytes;
}

/** A register block among the I/O ports. */
export interface PortBlock {
  readonly base: number;
  readonly size: number;
}

export interface FixedDescription {
  readonly sciInterrupt: number;
  readonly pm1Event: PortBlock;
  readonly pm1Control: PortBlock;
  readonly pmTimer: PortBlock;
  readonly gpe0: PortBlock;
  readonly resetPort: number;
  readonly resetValue: number;
  /** The CMOS byte that holds the century; 0 for none. */
  readonly centuryRegister: number;
}

const FADT_BYTES = 244;
// FADT flags (§5.2.9).
const WBINVD = 1 << 0;
const PROC_C1 = 1 << 2;
const SLP_BUTTON = 1 << 5;
const TMR_VAL_EXT = 1 << 8;
const RESET_REG_SUP = 1 << 10;
// IAPC_BOOT_ARCH: ISA devices and a keyboard controller, no VGA.
const BOOT_ARCH = 0x0007;
const LATENCY_UNSUPPORTED = 0x0fff;
const SYSTEM_IO = 1;

/** The FADT of ACPI 2.0. SMI_CMD is 0: the machine is always in ACPI mode. */
export function fadt(fixed: FixedDescription, facs: number, dsdt: number): Uint8Array {
  const whole = new Uint8Array(FADT_BYTES);
  const view = viewOf(whole);
  view.setUint32(36, facs, true);
  view.setUint32(40, dsdt, true);
  view.setUint16(46, fixed.sciInterrupt, true);
  const blocks: readonly [block: PortBlock, at: number, lengthAt: number, extendedAt: number][] = [
    [fixed.pm1Event, 56, 88, 148],
    [fixed.pm1Control, 64, 89, 172],
    [fixed.pmTimer, 76, 91, 208],
    [fixed.gpe0, 80, 92, 220],
  ];
  for (const [{ base, size }, at, lengthAt, extendedAt] of blocks) {
    view.setUint32(at, base, true);
    view.setUint8(lengthAt, size);
    putGenericAddress(view, extendedAt, base, size);
  }
  view.setUint16(96, LATENCY_UNSUPPORTED, true);
  view.setUint16(98, LATENCY_UNSUPPORTED, true);
  view.setUint8(108, fixed.centuryRegister);
  view.setUint16(109, BOOT_ARCH, true);
  view.setUint32(112, WBINVD | PROC_C1 | SLP_BUTTON | TMR_VAL_EXT | RESET_REG_SUP, true);
  putGenericAddress(view, 116, fixed.resetPort, 1);
  view.setUint8(128, fixed.resetValue);
  view.setBigUint64(140, BigInt(dsdt), true);
  return table('FACP', 3, whole.subarray(HEADER_BYTES));
}

/** A register block among the I/O ports as a generic address structure (§5.2.3.2). */
function putGenericAddress(view: DataView, at: number, base: number, bytes: number): void {
  view.setUint8(at, SYSTEM_IO);
  view.setUint8(at + 1, bytes * 8);
  view.setBigUint64(at + 4, BigInt(base), true);
}

/** The firmware control structure (§5.2.10); it has no checksum. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  putText(bytes, 0, 'FACS');
  viewOf(bytes).setUint32(4, bytes.length, true);
  bytes[32] = 1;
  return bytes;
}

/** An ISA interrupt that differs from "input n, edge, active high" at the I/O APIC. */
export interface InterruptOverride {
  readonly irq: number;
  readonly input: number;
  readonly trigger: 'edge' | 'level';
}

export interface InterruptDescription {
  readonly localApicBase: number;
  readonly ioApic: { readonly id: number; readonly base: number };
  readonly overrides: readonly InterruptOverride[];
}

const PCAT_COMPAT = 1;
const LOCAL_APIC_ENABLED = 1;
const ALL_PROCESSORS = 0xff;
const NMI_PIN = 1;
/** Conforms to the bus; level-triggered and active high. */
const MPS_INTI_FLAGS = { edge: 0x0, level: 0xd } as const;

/** The MADT (§5.2.12) of a machine with one processor and one I/O APIC. */
export function madt({ localApicBase, ioApic, overrides }: InterruptDescription): Uint8Array {
  const u16 = (value: number): number[] => [value & 0xff, value >>> 8];
  const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
  return table('APIC', 3, [
    ...u32(localApicBase),
    ...u32(PCAT_COMPAT),
    ...[0, 8, 0, 0, ...u32(LOCAL_APIC_ENABLED)],
    ...[1, 12, ioApic.id, 0, ...u32(ioApic.base), ...u32(0)],
    ...overrides.flatMap(({ irq, input, trigger }) => [2, 10, 0, irq, ...u32(input), ...u16(MPS_INTI_FLAGS[trigger])]),
    ...[4, 6, ALL_PROCESSORS, ...u16(0), NMI_PIN],
  ]);
}

/** The MCFG of one segment group (PCI Firmware 3.3 §4.1.2). */
export function mcfg(base: number, lastBus: number): Uint8Array {
  const body = new Uint8Array(24);
  viewOf(body).setBigUint64(8, BigInt(base), true);
  body[19] = lastBus;
  return table('MCFG', 1, body);
}

/** Places tables one behind another, each at a multiple of 64 bytes, which the FACS needs. */
export class TablePlacer {
  readonly #memory: GuestMemory;
  readonly #end: number;
  #next: number;

  constructor(memory: GuestMemory, base: number, end: number) {
    this.#memory = memory;
    this.#next = base;
    this.#end = end;
  }

  /** The table's guest-physical address. */
  add(bytes: Uint8Array): number {
    const at = this.#next;
    if (at + bytes.length > this.#end) throw new RangeError('the ACPI tables overflow the firmware area');
    place(this.#memory, at, bytes);
    this.#next = Math.ceil((at + bytes.length) / 64) * 64;
    return at;
  }

  /** RSDT, XSDT and the root pointer to them (§5.2.5.3); the root pointer's address. */
  addRoot(tables: readonly number[]): number {
    const rsdtBody = new Uint8Array(Uint32Array.from(tables).buffer);
    const xsdtBody = new Uint8Array(BigUint64Array.from(tables, BigInt).buffer);
    const rsdt = this.add(table('RSDT', 1, rsdtBody));
    const xsdt = this.add(table('XSDT', 1, xsdtBody));
    const rsdp = new Uint8Array(RSDP_BYTES);
    const view = viewOf(rsdp);
    putText(rsdp, 0, 'RSD PTR ');
    putText(rsdp, 9, OEM_ID);
    rsdp[15] = 2;
    view.setUint32(16, rsdt, true);
    view.setUint32(20, RSDP_BYTES, true);
    view.setBigUint64(24, BigInt(xsdt), true);
    seal(rsdp.subarray(0, RSDP_V1_BYTES), 8);
    seal(rsdp, 32);
    return this.add(rsdp);
  }
}
