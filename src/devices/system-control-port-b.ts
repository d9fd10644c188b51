import { ByteDevice } from './byte-device.ts';
import type { Clock } from './contract.ts';
import type { Pit } from './pit.ts';
import type { StateTransfer } from './state.ts';

const TIMER_2_GATE = 0x01;
const WRITABLE = 0x0f;
const REFRESH_TOGGLE = 0x10;
const TIMER_2_OUTPUT = 0x20;
/** The RAM refresh request of the PC/AT comes every 15.085 µs and toggles bit 4. */
const REFRESH_NS = 15_085n;

/** System control port B, I/O port 0x61: the speaker's timer gate and output, and the refresh toggle that delay loops count. */
export class SystemControlPortB extends ByteDevice {
  readonly name = 'system-control-port-b';
  readonly #clock: Clock;
  readonly #pit: Pit;
  #value = 0;

  constructor(clock: Clock, pit: Pit) {
    super();
    this.#clock = clock;
    this.#pit = pit;
  }

  reset(): void {
    this.#value = 0;
    this.#pit.setSpeakerGate(false);
  }

  transferState(state: StateTransfer): void {
    this.#value = state.byte('value', this.#value);
  }

  protected readByte(): number {
    const refresh = (this.#clock.now() / REFRESH_NS) & 1n ? REFRESH_TOGGLE : 0;
    return this.#value | refresh | (this.#pit.speakerOutput() ? TIMER_2_OUTPUT : 0);
  }

  protected writeByte(offset: number, value: number): void {
    if (offset !== 0) return;
    this.#value = value & WRITABLE;
    this.#pit.setSpeakerGate((value & TIMER_2_GATE) !== 0);
  }
}
