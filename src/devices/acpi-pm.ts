import type { Clock, Device, IrqLine, Width } from './contract.ts';

/** Where the register blocks stand inside the device's 64 ports, for the FADT. */
export const ACPI_PM_LAYOUT = {
  pm1EventBlock: { offset: 0x00, size: 4 },
  pm1ControlBlock: { offset: 0x04, size: 2 },
  timerBlock: { offset: 0x08, size: 4 },
  gpe0Block: { offset: 0x20, size: 4 },
} as const;

/** Bytes of I/O ports the device fills. */
export const ACPI_PM_SIZE = 0x40;

/** SLP_TYP of soft-off: what the DSDT's \_S5 package must hold. */
export const SLEEP_TYPE_S5 = 5;

/** ACPI fixed hardware (ACPI 6.5 §4.8): 64 I/O ports, at 0x600 on the board `pc`; SCI is IRQ 9. */
export class AcpiPowerManagement implements Device {
  readonly name = 'acpi-pm';

  constructor(_clock: Clock, _sci: IrqLine, _powerOff: () => void) {}

  /** Someone presses the power button: the guest is asked to shut down. */
  pressPowerButton(): void {}

  read(_offset: number, _width: Width): number {
    return 0;
  }

  write(_offset: number, _width: Width, _value: number): void {}

  reset(): void {}
}
