/** Where things are on the board `pc`: one place for the wiring and for the ACPI tables that describe it. */
import { MEMORY_KIND, type MemoryMapEntry } from '../../boot/source.ts';

export const MINIMUM_MEMORY = 2 * 1024 ** 2;
/** RAM ends below the hole where PCI windows, APICs and firmware live. */
export const MAXIMUM_MEMORY = 3 * 1024 ** 3;

export const LOCAL_APIC_BASE = 0xfee0_0000;
export const IO_APIC_BASE = 0xfec0_0000;
export const IO_APIC_ID = 1;
/** Firmware gives memory BARs their addresses here. */
export const PCI_WINDOW = { base: 0xc000_0000, size: 0x2000_0000 } as const;
/** PCI Express configuration space of bus 0. */
export const ECAM = { base: 0xe000_0000, size: 0x10_0000 } as const;
export const ACPI_PM_BASE = 0x600;
export const RESET_CONTROL_PORT = 0xcf9;

export const IRQ = { timer: 0, keyboard: 1, serial2: 3, serial1: 4, rtc: 8, sci: 9, mouse: 12 } as const;
/** The I/O APIC has the PIT at input 2: input 0 is where chipsets put the PIC itself (MP spec §5.2). */
export const TIMER_IO_APIC_INPUT = 2;
/** Interrupts of PCI wires 0–3; inputs of the PIC and of the I/O APIC alike. Levels. */
export const PCI_IRQS = [5, 7, 10, 11] as const;

/** Hz of the time-stamp counter and of the local APIC's timer input: a nanosecond a tick. */
export const TSC_FREQUENCY = 1_000_000_000;

/** Where the extended BIOS data area begins. */
export const BASE_MEMORY_END = 0x9_fc00;
const FIRMWARE_AREA = 0xe_0000;
const EXTENDED_MEMORY = 0x10_0000;
/** ACPI tables lie below this page, which holds the generation identifier and nothing else. */
export const GENERATION_ID = 0xf_f000;
/** The general-purpose event of a new identifier: that of the method `_E00`. */
export const GENERATION_EVENT = 0;

/** What firmware reports (INT 15h AX=E820h). Video memory, 0xA0000–0xDFFFF, is left out, as on every PC. */
export function pcMemoryMap(memorySize: number): readonly MemoryMapEntry[] {
  const { usable, reserved } = MEMORY_KIND;
  return [
    { base: 0, size: BASE_MEMORY_END, kind: usable },
    { base: BASE_MEMORY_END, size: 0xa_0000 - BASE_MEMORY_END, kind: reserved },
    { base: FIRMWARE_AREA, size: EXTENDED_MEMORY - FIRMWARE_AREA, kind: reserved },
    { base: EXTENDED_MEMORY, size: memorySize - EXTENDED_MEMORY, kind: usable },
    { base: ECAM.base, size: ECAM.size, kind: reserved },
    { base: IO_APIC_BASE, size: 0x1000, kind: reserved },
    { base: LOCAL_APIC_BASE, size: 0x1000, kind: reserved },
  ];
}
