import type { Device, IrqLine, MessageSink, Width } from './contract.ts';

/** An I/O APIC of 24 inputs: 4 KiB at 0xFEC00000. It sends messages to local APICs. */
export class IoApic implements Device {
  readonly name = 'io-apic';

  constructor(_id: number, _messages: MessageSink) {}

  /** Input `n`, 0–23. ISA IRQ 0 goes to 2. */
  line(_n: number): IrqLine {
    return { set: () => {} };
  }

  /** A local APIC ended the level-triggered `vector`. */
  endOfInterrupt(_vector: number): void {}

  read(_offset: number, _width: Width): number {
    return 0;
  }

  write(_offset: number, _width: Width, _value: number): void {}

  reset(): void {}
}
