import { ByteDevice } from './byte-device.ts';
import type { Alarm, Clock, IrqLine } from './contract.ts';
import { type ByteAccess, type CounterMode, PitCounter } from './pit-counter.ts';
import type { StateTransfer } from './state.ts';

/** Hz of the counters' clock. */
const PIT_FREQUENCY = 1_193_182n;
const NS_PER_SECOND = 1_000_000_000n;

const CONTROL = 3;
const READ_BACK = 3;
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;

/** Indexed by the read/write field of a control word; 0 is the counter latch command. */
const ACCESSES: readonly (ByteAccess | undefined)[] = [undefined, 'low', 'high', 'both'];
/** Indexed by the mode field, whose highest bit does not count for modes 2 and 3. */
const MODES: readonly CounterMode[] = [0, 1, 2, 3, 4, 5, 2, 3];

/** The 8254 programmable interval timer: I/O ports 0x40–0x43, 1.193182 MHz; channel 0 is IRQ 0. */
export class Pit extends ByteDevice {
  readonly name = 'pit';
  readonly #clock: Clock;
  readonly #channel0: IrqLine;
  readonly #counters = [new PitCounter(true), new PitCounter(true), new PitCounter(false)] as const;
  #alarm: Alarm | undefined;
  /** The tick at which channel 0 rises next. */
  #rise: number | undefined;

  constructor(clock: Clock, channel0: IrqLine) {
    super();
    this.#clock = clock;
    this.#channel0 = channel0;
  }

  /** The output of channel 2 now. */
  speakerOutput(): boolean {
    return this.#counters[2].output(this.#tick());
  }

  setSpeakerGate(high: boolean): void {
    this.#counters[2].setGate(this.#tick(), high);
  }

  reset(): void {
    this.#counters[0].reset(true);
    this.#counters[1].reset(true);
    this.#counters[2].reset(false);
    this.#rise = undefined;
    this.#follow(this.#tick());
  }

  transferState(state: StateTransfer): void {
    for (const [i, counter] of this.#counters.entries())
      state.part(`counter${i}`, (part) => counter.transferState(part));
    this.#rise = state.optional('rise', this.#rise, 0, Number.MAX_SAFE_INTEGER);
    this.#alarm = state.alarm('alarm', this.#clock, this.#alarm, () => this.#follow(this.#tick()));
  }

  protected readByte(offset: number): number {
    return this.#counters[offset]?.read(this.#tick()) ?? 0xff;
  }

  protected writeByte(offset: number, value: number): void {
    const tick = this.#tick();
    if (offset === CONTROL) this.#writeControl(tick, value);
    else this.#counters[offset]?.write(tick, value);
    if (offset === 0 || offset === CONTROL) this.#follow(tick);
  }

  #writeControl(tick: number, value: number): void {
    const select = value >> 6;
    if (select === READ_BACK) {
      this.#readBack(tick, value);
      return;
    }
    const counter = this.#counters[select as 0 | 1 | 2];
    const access = ACCESSES[(value >> 4) & 3];
    if (access === undefined) counter.latchCount(tick);
    else counter.setControl(MODES[(value >> 1) & 7]!, access, (value & 1) !== 0);
  }

  #readBack(tick: number, value: number): void {
    for (const [index, counter] of this.#counters.entries()) {
      if ((value & (2 << index)) === 0) continue;
      if (!(value & READ_BACK_NO_COUNT)) counter.latchCount(tick);
      if (!(value & READ_BACK_NO_STATUS)) counter.latchStatus(tick);
    }
  }

  /** Brings the wire to the output's level and waits for its next rise. */
  #follow(tick: number): void {
    // The alarm of a rise may be late, and the access that leads here come first.
    if (this.#rise !== undefined && this.#rise <= tick) this.#pulse();
    this.#channel0.set(this.#counters[0].output(tick));
    this.#alarm?.cancel();
    this.#alarm = undefined;
    const rise = (this.#rise = this.#counters[0].nextRise(tick));
    if (rise === undefined) return;
    this.#alarm = this.#clock.after(nanoseconds(rise) - this.#clock.now(), () =>
      this.#follow(Math.max(this.#tick(), rise)),
    );
  }

  /** Nobody but the interrupt controllers sees the wire, and they only its edges: its fall need not be on time. */
  #pulse(): void {
    this.#channel0.set(false);
    this.#channel0.set(true);
  }

  #tick(): number {
    return Number((this.#clock.now() * PIT_FREQUENCY) / NS_PER_SECOND);
  }
}

/** The first nanosecond of a tick. */
function nanoseconds(tick: number): bigint {
  return (BigInt(tick) * NS_PER_SECOND + PIT_FREQUENCY - 1n) / PIT_FREQUENCY;
}
