import type { Bus, Device, IrqLine, MessageSink, Range } from '../contract.ts';
import type { PciFunction } from './function.ts';

/** What a PCI host bridge stands on. */
export interface PciBusHost {
  /** Where memory BARs are decoded. */
  readonly mmio: Bus;
  /** Where I/O BARs are decoded. */
  readonly ports: Bus;
  readonly messages: MessageSink;
  /** The four interrupt wires of the board; `intxWire` says which one a pin is soldered to. */
  readonly intx: readonly [IrqLine, IrqLine, IrqLine, IrqLine];
  /** What firmware writes into Interrupt Line for each of the four wires (0xFF: unknown). */
  readonly interruptLine?: readonly [number, number, number, number];
}

/** The wire 0–3 that pin 0–3 (INTA#–INTD#) of a device drives: the usual rotation. Boards describe it in _PRT. */
export function intxWire(device: number, pin: number): number {
  return (device + pin) & 3;
}

/** Bus 0 and its host bridge's ways to configuration space. */
export class PciBus {
  /** CONFIG_ADDRESS at port 0xCF8: answers only 4-byte accesses at offset 0. */
  readonly configAddress: Device;
  /** CONFIG_DATA at ports 0xCFC–0xCFF. */
  readonly configData: Device;
  /** The memory-mapped configuration window of bus 0 (1 MiB), for an MCFG table. */
  readonly ecam: Device;

  constructor(host: PciBusHost) {
    throw new Error(`not yet ${String(host)}`);
  }

  plug(device: number, pciFunction: PciFunction, functionNumber?: number): void;
  plug(): void {}

  /** Gives every memory BAR an address inside `window` and enables decoding, as firmware does. */
  assignResources(window: Range): void;
  assignResources(): void {}

  /** RST#: every function to its power-on state. The board assigns resources again. */
  reset(): void {}
}
