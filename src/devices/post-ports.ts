import { ByteDevice } from './byte-device.ts';
import type { ByteSink } from './contract.ts';
import type { StateTransfer } from './state.ts';

/** I/O port 0x80: firmware and kernels write progress codes here, and use it as a delay. */
export class PostPort extends ByteDevice {
  readonly name = 'post-code';
  #code = 0;

  reset(): void {
    this.#code = 0;
  }

  transferState(state: StateTransfer): void {
    this.#code = state.byte('code', this.#code);
  }

  protected readByte(): number {
    return this.#code;
  }

  protected writeByte(_offset: number, value: number): void {
    this.#code = value;
  }
}

/** I/O port 0xE9 as in Bochs and QEMU: bytes written come out on the host; reading 0xE9 tells that it is there. */
export class DebugConsole extends ByteDevice {
  readonly name = 'debug-console';
  readonly #output: ByteSink;

  constructor(output: ByteSink) {
    super();
    this.#output = output;
  }

  reset(): void {}

  protected readByte(): number {
    return 0xe9;
  }

  protected writeByte(_offset: number, value: number): void {
    this.#output.write(Uint8Array.of(value));
  }
}
