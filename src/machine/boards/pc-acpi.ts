/** What the firmware of the board `pc` leaves in RAM: ACPI tables and the BIOS data area. */
import { facs, fadt, madt, mcfg, TablePlacer, table } from '../../boot/acpi.ts';
import {
  type Aml,
  busNumbers,
  device,
  eisaId,
  integer,
  ioPorts,
  ioWindow,
  irq,
  list,
  memory32,
  memoryWindow,
  method,
  name,
  notify,
  resources,
  scope,
  string,
} from '../../boot/aml.ts';
import { place } from '../../boot/placement.ts';
import { ACPI_PM_LAYOUT, ACPI_PM_SIZE, SLEEP_TYPE_S5 } from '../../devices/acpi-pm.ts';
import type { GuestMemory } from '../../devices/contract.ts';
import { intxWire } from '../../devices/pci/bus.ts';
import { RESET_VALUE } from '../../devices/reset-control.ts';
import {
  ACPI_PM_BASE,
  BASE_MEMORY_END,
  ECAM,
  GENERATION_ID,
  IO_APIC_BASE,
  IO_APIC_ID,
  IRQ,
  LOCAL_APIC_BASE,
  PCI_IRQS,
  PCI_WINDOW,
  RESET_CONTROL_PORT,
  TIMER_IO_APIC_INPUT,
} from './pc-layout.ts';

const TABLES_BASE = 0xe_0000;
const TABLES_END = GENERATION_ID;
const CMOS_CENTURY = 0x32;

/** Writes all tables; the root pointer's guest-physical address. */
export function placeAcpiTables(memory: GuestMemory): number {
  const placer = new TablePlacer(memory, TABLES_BASE, TABLES_END);
  const facsAt = placer.add(facs());
  const dsdtAt = placer.add(dsdt());
  const { pm1EventBlock, pm1ControlBlock, timerBlock, gpe0Block } = ACPI_PM_LAYOUT;
  const block = ({ offset, size }: { offset: number; size: number }) => ({ base: ACPI_PM_BASE + offset, size });
  const fixed = {
    sciInterrupt: IRQ.sci,
    pm1Event: block(pm1EventBlock),
    pm1Control: block(pm1ControlBlock),
    pmTimer: block(timerBlock),
    gpe0: block(gpe0Block),
    resetPort: RESET_CONTROL_PORT,
    resetValue: RESET_VALUE,
    centuryRegister: CMOS_CENTURY,
  };
  const interrupts = madt({
    localApicBase: LOCAL_APIC_BASE,
    ioApic: { id: IO_APIC_ID, base: IO_APIC_BASE },
    overrides: [
      { irq: IRQ.timer, input: TIMER_IO_APIC_INPUT, trigger: 'edge' },
      { irq: IRQ.sci, input: IRQ.sci, trigger: 'level' },
      ...PCI_IRQS.map((number) => ({ irq: number, input: number, trigger: 'level' as const })),
    ],
  });
  const tables = [fadt(fixed, facsAt, dsdtAt), interrupts, mcfg(ECAM.base, 0)];
  return placer.addRoot(tables.map((bytes) => placer.add(bytes)));
}

const COM1_PORT = 0x3f8;
const BIOS_DATA_AREA = 0x400;

/** The few words of the BIOS data area that kernels look at: COM1, the extended BIOS data area, the size of base memory. */
export function placeBiosDataArea(memory: GuestMemory): void {
  const area = new Uint8Array(0x100);
  const view = new DataView(area.buffer);
  view.setUint16(0x00, COM1_PORT, true);
  view.setUint16(0x0e, BASE_MEMORY_END / 16, true);
  view.setUint16(0x13, BASE_MEMORY_END / 1024, true);
  place(memory, BIOS_DATA_AREA, area);
}

/** The DSDT: what cannot be found by probing. */
export function dsdt(): Uint8Array {
  const terms = [
    name('\\_S5', list(integer(SLEEP_TYPE_S5), integer(0), integer(0), integer(0))),
    scope('\\_SB', processor(), hostBridge(), reserved(), ...legacyDevices(), generationId()),
    scope('\\_GPE', method('_E00', notify(`\\_SB.${GENERATION_DEVICE}`, 0x80))),
  ];
  return table('DSDT', 2, terms.flat());
}

const hid = (id: string): Aml => name('_HID', eisaId(id));
const crs = (...descriptors: readonly Aml[]): Aml => name('_CRS', resources(...descriptors));

function processor(): Aml {
  return device('CPU0', name('_HID', string('ACPI0007')), name('_UID', integer(0)));
}

function hostBridge(): Aml {
  const routes = Array.from({ length: 32 }, (_, slot) => slot).flatMap((slot) =>
    [0, 1, 2, 3].map((pin) =>
      list(integer(slot * 0x1_0000 + 0xffff), integer(pin), integer(0), integer(PCI_IRQS[intxWire(slot, pin)]!)),
    ),
  );
  return device(
    'PCI0',
    hid('PNP0A03'),
    name('_UID', integer(0)),
    name('_BBN', integer(0)),
    crs(
      busNumbers(0, 1),
      ioPorts(0xcf8, 8),
      ioWindow(0, 0xcf8),
      ioWindow(0xd00, 0xf300),
      memoryWindow(PCI_WINDOW.base, PCI_WINDOW.size),
    ),
    name('_PRT', list(...routes)),
  );
}

/** Resources of the board itself, which no driver may give away. */
function reserved(): Aml {
  return device(
    'MBRD',
    hid('PNP0C02'),
    name('_UID', integer(0)),
    crs(
      ioPorts(0x4d0, 2),
      ioPorts(0x61, 1),
      ioPorts(0x80, 1),
      ioPorts(0x92, 1),
      ioPorts(ACPI_PM_BASE, ACPI_PM_SIZE),
      memory32(ECAM.base, ECAM.size),
      memory32(LOCAL_APIC_BASE, 0x1000),
    ),
  );
}

const GENERATION_DEVICE = 'VGEN';

/** Tells the guest that it was restored from a snapshot (Microsoft, "Virtual Machine Generation ID", 2012). */
function generationId(): Aml {
  return device(
    GENERATION_DEVICE,
    name('_HID', string('VMGENCTR')),
    name('_CID', string('VM_Gen_Counter')),
    name('_DDN', string('VM_Gen_Counter')),
    name('ADDR', list(integer(GENERATION_ID), integer(0))),
  );
}

function legacyDevices(): readonly Aml[] {
  return [
    device('PIC', hid('PNP0000'), crs(ioPorts(0x20, 2), ioPorts(0xa0, 2), irq(2))),
    device('TMR', hid('PNP0100'), crs(ioPorts(0x40, 4), irq(IRQ.timer))),
    device('RTC', hid('PNP0B00'), crs(ioPorts(0x70, 2), irq(IRQ.rtc))),
    device('KBD', hid('PNP0303'), crs(ioPorts(0x60, 1), ioPorts(0x64, 1), irq(IRQ.keyboard))),
    device('MOU', hid('PNP0F13'), crs(irq(IRQ.mouse))),
    device('COM1', hid('PNP0501'), name('_UID', integer(1)), crs(ioPorts(COM1_PORT, 8), irq(IRQ.serial1))),
  ];
}
