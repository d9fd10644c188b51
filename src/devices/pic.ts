import { ByteWindow } from './byte-device.ts';
import type { Device, IrqLine } from './contract.ts';

const nothing = { read: () => 0xff, write: () => {}, reset: () => {} };

/** The pair of 8259A interrupt controllers of a PC, the second cascaded through input 2 of the first. */
export class DualPic {
  /** I/O ports 0x20–0x21. */
  readonly master: Device = new ByteWindow('pic', nothing);
  /** I/O ports 0xA0–0xA1. */
  readonly slave: Device = new ByteWindow('pic', nothing);
  /** I/O ports 0x4D0–0x4D1, ELCR: inputs that are levels (1) instead of edges (0). */
  readonly edgeLevelControl: Device = new ByteWindow('pic', nothing);

  constructor(_intr: IrqLine) {}

  /** Input `n`, 0–15; 2 is the cascade and does nothing. */
  line(_n: number): IrqLine {
    return { set: () => {} };
  }

  /** The processor's INTA cycles: the vector, now in service; a spurious 7 or 15 when no input asks. */
  acknowledge(): number {
    return 0;
  }

  reset(): void {}
}
