import type { StateTransfer } from './state.ts';

const RING = 0x40;
const TRAILING_RING = 0x04;
/** The other end is always there: carrier, data set ready, clear to send. */
const CONNECTED = 0xb0;

/** The lines that a 16550 hears of the other end, and which of them changed: its modem status register (PC16550D §8.8). */
export class ModemLines {
  #delta = 0;
  #lines = CONNECTED;

  reset(): void {
    this.#delta = 0;
    this.#lines = CONNECTED;
  }

  /** Whether any of them changed since the register was read. */
  get changed(): boolean {
    return this.#delta !== 0;
  }

  /** The register; who reads it has seen the changes. */
  readStatus(): number {
    const status = this.#lines | this.#delta;
    this.#delta = 0;
    return status;
  }

  connect(): void {
    this.#set(CONNECTED);
  }

  /** Loopback joins DTR to DSR, RTS to CTS, OUT1 to RI, OUT2 to DCD. */
  loop(control: number): void {
    this.#set(((control & 0x01) << 5) | ((control & 0x02) << 3) | ((control & 0x04) << 4) | ((control & 0x08) << 4));
  }

  transferState(state: StateTransfer): void {
    this.#delta = state.byte('modemDelta', this.#delta);
    this.#lines = state.byte('modemLines', this.#lines);
  }

  #set(lines: number): void {
    const changed = lines ^ this.#lines;
    // CTS, DSR and DCD report any change; RI only its trailing edge.
    this.#delta |= (changed & CONNECTED) >> 4;
    if (changed & RING && !(lines & RING)) this.#delta |= TRAILING_RING;
    this.#lines = lines;
  }
}
