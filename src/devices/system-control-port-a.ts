import type { A20Gate } from './a20.ts';
import { ByteDevice } from './byte-device.ts';
import type { StateTransfer } from './state.ts';

const FAST_RESET = 0x01;
const FAST_A20 = 0x02;

/** PS/2 system control port A, I/O port 0x92: fast A20 (bit 1) and fast reset (bit 0). */
export class SystemControlPortA extends ByteDevice {
  readonly name = 'system-control-port-a';
  readonly #a20: A20Gate;
  readonly #resetMachine: () => void;
  #value = 0;

  constructor(a20: A20Gate, resetMachine: () => void) {
    super();
    this.#a20 = a20;
    this.#resetMachine = resetMachine;
  }

  reset(): void {
    this.#value = 0;
    this.#a20.set(true);
  }

  transferState(state: StateTransfer): void {
    this.#value = state.byte('value', this.#value);
  }

  protected readByte(): number {
    return this.#value | (this.#a20.enabled ? FAST_A20 : 0);
  }

  protected writeByte(offset: number, value: number): void {
    if (offset !== 0) return;
    const pulsed = (value & ~this.#value & FAST_RESET) !== 0;
    this.#value = value & ~FAST_A20;
    this.#a20.set((value & FAST_A20) !== 0);
    if (pulsed) this.#resetMachine();
  }
}
