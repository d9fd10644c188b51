import type { Device, Width } from './contract.ts';
import type { StateTransfer } from './state.ts';

const RESET_CPU = 0x04;

/** The byte that resets the machine when written to port 0xCF9: what the ACPI FADT's RESET_VALUE must hold. */
export const RESET_VALUE = 0x06;

/**
 * The reset control register, I/O port 0xCF9, one byte (Intel ICH9 datasheet §13.7.5).
 * A rising RST_CPU resets; SYS_RST and FULL_RST only say how hard, which a machine without power rails cannot tell apart.
 */
export class ResetControl implements Device {
  readonly name = 'reset-control';
  readonly #resetMachine: () => void;
  #value = 0;

  constructor(resetMachine: () => void) {
    this.#resetMachine = resetMachine;
  }

  read(): number {
    return this.#value;
  }

  write(_offset: number, _width: Width, value: number): void {
    const rising = (value & ~this.#value & RESET_CPU) !== 0;
    this.#value = value & 0x0e;
    if (rising) this.#resetMachine();
  }

  transferState(state: StateTransfer): void {
    this.#value = state.byte('value', this.#value);
  }

  reset(): void {
    this.#value = 0;
  }
}
