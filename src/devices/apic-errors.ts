import type { StateTransfer } from './state.ts';

/** The error status register of a local APIC: errors show there once it was written (SDM vol. 3 §11.5.3). */
export class ApicErrors {
  #collected = 0;
  /** The register as it is read. */
  shown = 0;

  clear(): void {
    this.#collected = 0;
    this.shown = 0;
  }

  /** Notes an error; true when it is new since the register was written. */
  add(error: number): boolean {
    const known = (this.#collected & error) !== 0;
    this.#collected |= error;
    return !known;
  }

  /** The register is written, whatever the value. */
  show(): void {
    this.shown = this.#collected;
    this.#collected = 0;
  }

  transferState(state: StateTransfer): void {
    this.#collected = state.byte('errors', this.#collected);
    this.shown = state.byte('errorStatus', this.shown);
  }
}
