import { ByteDevice } from './byte-device.ts';
import type { Clock, IrqLine } from './contract.ts';

export interface RealTimeClockOptions {
  /** Bytes of RAM from guest-physical 0 up, told to firmware and kernels in CMOS bytes as QEMU and SeaBIOS place them. */
  readonly memorySize: number;
}

/** The MC146818 real-time clock and CMOS memory: I/O ports 0x70–0x71, IRQ 8. */
export class RealTimeClock extends ByteDevice {
  readonly name = 'rtc';

  constructor(_clock: Clock, _irq: IrqLine, _options: RealTimeClockOptions) {
    super();
  }

  reset(): void {}

  protected readByte(): number {
    return 0xff;
  }

  protected writeByte(): void {}
}
