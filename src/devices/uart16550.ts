import { ByteDevice } from './byte-device.ts';
import type { ByteSink, Clock, IrqLine } from './contract.ts';

/** A 16550A serial port: eight I/O ports (COM1: 0x3F8, IRQ 4; COM2: 0x2F8, IRQ 3). */
export class Uart16550 extends ByteDevice {
  readonly name = 'uart16550';

  constructor(_clock: Clock, _irq: IrqLine, _output: ByteSink) {
    super();
  }

  /** Bytes from the host; they wait in a queue without limit and reach the guest at its line rate. */
  receive(_bytes: Uint8Array): void {}

  /** Hands transmitted bytes that are still collected to the sink now; call before the machine ends. */
  flush(): void {}

  reset(): void {}

  protected readByte(): number {
    return 0xff;
  }

  protected writeByte(): void {}
}
