import type { InterruptSource, MsrSpace } from '../engine/engine.ts';
import type { Clock, Device, IrqLine, MessageSink, PhysicalAddress, Width } from './contract.ts';

export interface LocalApicOptions {
  /** Initial APIC ID. */
  readonly id: number;
  readonly clock: Clock;
  /** Hz of the time-stamp counter: TSC = clock.now() × tscFrequency / 10⁹. */
  readonly tscFrequency: number;
  /** INTR, NMI or their priority changed: the processor should look at its next boundary. */
  readonly changed: () => void;
  /** The PIC's INTA cycle, run when an ExtINT is taken. */
  readonly acknowledgeExternal: () => number;
  /** An EOI of a level-triggered vector, for I/O APICs. */
  readonly endOfInterrupt: (vector: number) => void;
  /** INIT arrived. */
  readonly init?: () => void;
  /** SIPI arrived: start in real mode at `vector` << 12. */
  readonly startup?: (vector: number) => void;
}

/**
 * A processor's local APIC: xAPIC page and x2APIC registers, and what the processor itself sees (SDM vol. 3 ch. 10).
 * As a device it is the 4 KiB at IA32_APIC_BASE (0xFEE00000).
 */
export class LocalApic implements Device, InterruptSource, MessageSink {
  readonly name = 'local-apic';
  /** LINT0: the PIC's INTR. */
  readonly lint0: IrqLine = { set: () => {} };
  /** LINT1: NMI. */
  readonly lint1: IrqLine = { set: () => {} };
  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and 0x800–0x8FF; others read undefined and write false. */
  readonly msrs: MsrSpace = { read: () => undefined, write: () => false };

  constructor(_options: LocalApicOptions) {}

  /** What PC firmware leaves behind (MP spec §3.6.2.1): enabled, LINT0 takes the PIC's interrupts, LINT1 is NMI. */
  programVirtualWire(): void {}

  pending(): boolean {
    return false;
  }

  acknowledge(): number {
    return -1;
  }

  takeNmi(): boolean {
    return false;
  }

  taskPriority(): number {
    return 0;
  }

  setTaskPriority(_value: number): void {}

  message(_address: PhysicalAddress, _data: number): void {}

  read(_offset: number, _width: Width): number {
    return 0;
  }

  write(_offset: number, _width: Width, _value: number): void {}

  reset(): void {}
}
