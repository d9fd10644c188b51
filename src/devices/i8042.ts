import type { A20Gate } from './a20.ts';
import { ByteWindow } from './byte-device.ts';
import type { Device, IrqLine } from './contract.ts';

export interface KeyboardControllerWires {
  /** IRQ 1. */
  readonly keyboard: IrqLine;
  /** IRQ 12. */
  readonly auxiliary: IrqLine;
  readonly a20: A20Gate;
  /** The pulse on output-port bit 0. */
  readonly resetMachine: () => void;
}

/** The i8042 keyboard controller with a keyboard and a mouse attached. */
export class KeyboardController {
  /** I/O port 0x60. */
  readonly data: Device = new ByteWindow('i8042', { read: () => 0xff, write: () => {}, reset: () => {} });
  /** I/O port 0x64. */
  readonly command: Device = new ByteWindow('i8042', { read: () => 0xff, write: () => {}, reset: () => {} });

  constructor(_wires: KeyboardControllerWires) {}

  reset(): void {}
}
