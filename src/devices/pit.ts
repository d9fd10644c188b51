import { ByteDevice } from './byte-device.ts';
import type { Clock, IrqLine } from './contract.ts';

/** The 8254 programmable interval timer: I/O ports 0x40–0x43, 1.193182 MHz; channel 0 is IRQ 0. */
export class Pit extends ByteDevice {
  readonly name = 'pit';

  constructor(_clock: Clock, _channel0: IrqLine) {
    super();
  }

  /** The output of channel 2 now. */
  speakerOutput(): boolean {
    return false;
  }

  speakerGate(): boolean {
    return false;
  }

  setSpeakerGate(_high: boolean): void {}

  reset(): void {}

  protected readByte(): number {
    return 0xff;
  }

  protected writeByte(): void {}
}
