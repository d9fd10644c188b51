import type { Alarm, ByteSink, Clock } from './contract.ts';
import type { StateTransfer } from './state.ts';

const BATCH = 4096;
const DELAY_NS = 1_000_000n;

/** What a serial port has transmitted, collected for a while: a sink is not called for each byte. */
export class SerialOutput {
  readonly #clock: Clock;
  readonly #sink: ByteSink;
  readonly #bytes = new Uint8Array(BATCH);
  #length = 0;
  #alarm: Alarm | undefined;

  constructor(clock: Clock, sink: ByteSink) {
    this.#clock = clock;
    this.#sink = sink;
  }

  emit(byte: number): void {
    this.#bytes[this.#length++] = byte;
    if (this.#length === BATCH) this.flush();
    else this.#alarm ??= this.#clock.after(DELAY_NS, () => this.flush());
  }

  /** Hands what is collected to the sink now. */
  flush(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.handOver();
  }

  /** As `flush`, without a trace in time: the alarm for these bytes still rings. */
  handOver(): void {
    if (this.#length === 0) return;
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    this.#sink.write(bytes);
  }

  transferState(state: StateTransfer): void {
    this.#alarm = state.alarm('outputAlarm', this.#clock, this.#alarm, () => this.flush());
  }
}
