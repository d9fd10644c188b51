import { ByteDevice } from './byte-device.ts';
import type { Alarm, Clock, IrqLine } from './contract.ts';
import { encode, encodeHours, fromFields, type TimeFields, type TimeFormat, toFields } from './rtc-time.ts';
import type { StateTransfer } from './state.ts';

export interface RealTimeClockOptions {
  /** Bytes of RAM from guest-physical 0 up, told to firmware and kernels in CMOS bytes as QEMU and SeaBIOS place them. */
  readonly memorySize: number;
}

const INDEX_PORT = 0;
const DATA_PORT = 1;
const NMI_MASK = 0x80;

const SECONDS_ALARM = 0x01;
const MINUTES_ALARM = 0x03;
const HOURS_ALARM = 0x05;
const REGISTER_A = 0x0a;
const REGISTER_B = 0x0b;
const REGISTER_C = 0x0c;
const REGISTER_D = 0x0d;

const TIME_REGISTERS: ReadonlyMap<number, keyof TimeFields> = new Map([
  [0x00, 'seconds'],
  [0x02, 'minutes'],
  [0x04, 'hours'],
  [0x06, 'dayOfWeek'],
  [0x07, 'day'],
  [0x08, 'month'],
  [0x09, 'year'],
  [0x32, 'century'],
]);

const A_UPDATE_IN_PROGRESS = 0x80;
const A_DIVIDER = 0x70;
const A_DIVIDER_32768_HZ = 0x20;
const A_RATE = 0x0f;
const A_RATE_1024_HZ = 0x06;

const B_SET = 0x80;
const B_BINARY = 0x04;
const B_HOURS_24 = 0x02;

/** In register B as enables, in register C as flags. */
const PERIODIC = 0x40;
const ALARM = 0x20;
const UPDATE_ENDED = 0x10;
const C_INTERRUPT = 0x80;
const D_VALID = 0x80;

/** Alarm bytes from here up match any value. */
const ALARM_ANY = 0xc0;
/** The update cycle makes time unreadable this long before each second begins. */
const UPDATE_MS = 2;
const OSCILLATOR_HZ = 32_768n;
const NS_PER_SECOND = 1_000_000_000n;
const SECONDS_PER_DAY = 86_400;

/** Half of what a date can be away from 1970. */
const MOST_MILLISECONDS = 4_000_000_000_000_000;
const KIB = 1024;
const MIB = 1024 * KIB;

/** The MC146818 real-time clock and CMOS memory: I/O ports 0x70–0x71, IRQ 8. The century is CMOS byte 0x32. */
export class RealTimeClock extends ByteDevice {
  readonly name = 'rtc';
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  readonly #cmos = new Uint8Array(128);
  #index = 0;
  #registerA = A_DIVIDER_32768_HZ | A_RATE_1024_HZ;
  #registerB = B_HOURS_24;
  #flags = 0;
  /** Milliseconds that the guest set this clock ahead of the host's. */
  #ahead = 0;
  /** The time registers while register B's SET holds them. */
  #held: TimeFields | undefined;
  #lastSecond: number;
  #lastPeriod = 0n;
  #secondAlarm: Alarm | undefined;
  #periodAlarm: Alarm | undefined;

  constructor(clock: Clock, irq: IrqLine, options: RealTimeClockOptions) {
    super();
    this.#clock = clock;
    this.#irq = irq;
    this.#lastSecond = this.#second();
    describeMachine(this.#cmos, options.memorySize);
  }

  /** Port 0x70's bit 7 keeps NMI from the processor. */
  get nmiMasked(): boolean {
    return (this.#index & NMI_MASK) !== 0;
  }

  /** The battery keeps time and CMOS memory (MC146818 "RESET"). */
  reset(): void {
    this.#index = 0;
    this.#registerB &= B_SET | B_BINARY | B_HOURS_24;
    this.#flags = 0;
    this.#schedule();
    this.#update();
  }

  transferState(state: StateTransfer): void {
    state.file('cmos', this.#cmos);
    this.#index = state.byte('index', this.#index);
    this.#registerA = state.byte('registerA', this.#registerA);
    this.#registerB = state.byte('registerB', this.#registerB);
    this.#flags = state.byte('flags', this.#flags);
    this.#ahead = state.integer('ahead', this.#ahead, -MOST_MILLISECONDS, MOST_MILLISECONDS);
    const held = Uint8Array.from(Object.values(this.#held ?? {}));
    const bytes = state.bytes('held', held, TIME_REGISTERS.size);
    if (state.restoring) this.#restoreHeld(state, bytes);
    this.#lastSecond = state.integer('lastSecond', this.#lastSecond, -MOST_MILLISECONDS, MOST_MILLISECONDS);
    this.#lastPeriod = state.big('lastPeriod', this.#lastPeriod);
    this.#secondAlarm = state.alarm('secondAlarm', this.#clock, this.#secondAlarm, () => this.#ring());
    this.#periodAlarm = state.alarm('periodAlarm', this.#clock, this.#periodAlarm, () => this.#ring());
  }

  /** The time registers in the order of `TimeFields`, or none. */
  #restoreHeld(state: StateTransfer, bytes: Uint8Array): void {
    this.#held = undefined;
    if (bytes.length === 0) return;
    state.require(bytes.length === TIME_REGISTERS.size, 'some of the time registers are missing');
    const fields = toFields(0, this.#format());
    for (const [i, field] of [...TIME_REGISTERS.values()].entries()) fields[field] = bytes[i]!;
    this.#held = fields;
  }

  protected readByte(offset: number): number {
    return offset === DATA_PORT ? this.#readRegister(this.#index & 0x7f) : 0xff;
  }

  protected writeByte(offset: number, value: number): void {
    if (offset === INDEX_PORT) this.#index = value;
    else if (offset === DATA_PORT) this.#writeRegister(this.#index & 0x7f, value);
  }

  #readRegister(index: number): number {
    const field = TIME_REGISTERS.get(index);
    if (field !== undefined) return this.#fields()[field];
    switch (index) {
      case REGISTER_A:
        return this.#registerA | (this.#updateInProgress() ? A_UPDATE_IN_PROGRESS : 0);
      case REGISTER_B:
        return this.#registerB;
      case REGISTER_C:
        return this.#takeFlags();
      case REGISTER_D:
        return D_VALID;
      default:
        return this.#cmos[index]!;
    }
  }

  #writeRegister(index: number, value: number): void {
    const field = TIME_REGISTERS.get(index);
    if (field !== undefined) {
      this.#writeTime(field, value);
      return;
    }
    switch (index) {
      case REGISTER_A:
        this.#catchUp();
        this.#registerA = value & ~A_UPDATE_IN_PROGRESS;
        this.#lastPeriod = this.#period();
        break;
      case REGISTER_B:
        this.#writeRegisterB(value);
        break;
      case REGISTER_C:
      case REGISTER_D:
        return;
      case SECONDS_ALARM:
      case MINUTES_ALARM:
      case HOURS_ALARM:
        this.#catchUp();
        this.#cmos[index] = value;
        break;
      default:
        this.#cmos[index] = value;
        return;
    }
    this.#schedule();
    this.#update();
  }

  #writeTime(field: keyof TimeFields, value: number): void {
    const fields = this.#fields();
    fields[field] = value;
    if (this.#held === undefined) this.#setTime(fields);
  }

  #writeRegisterB(value: number): void {
    this.#catchUp();
    if (value & B_SET) {
      this.#held ??= this.#fields();
      // SET ends the update that UIE would report (MC146818 "Register B").
      this.#registerB = value & ~UPDATE_ENDED;
      return;
    }
    // The format in force when time runs again is the one that the registers were written in.
    this.#registerB = value;
    if (this.#held !== undefined) this.#setTime(this.#held);
    this.#held = undefined;
  }

  #setTime(fields: TimeFields): void {
    this.#ahead = fromFields(fields, this.#format()) - this.#clock.wallTime();
    this.#lastSecond = this.#second();
  }

  #format(): TimeFormat {
    return { binary: (this.#registerB & B_BINARY) !== 0, hours24: (this.#registerB & B_HOURS_24) !== 0 };
  }

  #milliseconds(): number {
    return this.#clock.wallTime() + this.#ahead;
  }

  #second(): number {
    return Math.floor(this.#milliseconds() / 1000);
  }

  #fields(): TimeFields {
    return this.#held ?? toFields(this.#milliseconds(), this.#format());
  }

  #updateInProgress(): boolean {
    if (this.#held !== undefined) return false;
    const milliseconds = this.#milliseconds();
    return milliseconds - Math.floor(milliseconds / 1000) * 1000 >= 1000 - UPDATE_MS;
  }

  /** Oscillator ticks of one periodic interrupt; 0 when there is none. */
  #periodTicks(): bigint {
    const rate = this.#registerA & A_RATE;
    if (rate === 0 || (this.#registerA & A_DIVIDER) !== A_DIVIDER_32768_HZ) return 0n;
    // Rates 1 and 2 stand for 256 and 128 Hz (MC146818 table 5).
    return 1n << BigInt(rate < 3 ? rate + 6 : rate - 1);
  }

  /** Periods since power-on. */
  #period(): bigint {
    const ticks = this.#periodTicks();
    return ticks === 0n ? 0n : (this.#clock.now() * OSCILLATOR_HZ) / NS_PER_SECOND / ticks;
  }

  /** Sets the flags of all that happened since the last look. */
  #catchUp(): void {
    const period = this.#period();
    if (period !== this.#lastPeriod) this.#flags |= PERIODIC;
    this.#lastPeriod = period;
    const second = this.#second();
    if (this.#held === undefined && second > this.#lastSecond) {
      this.#flags |= UPDATE_ENDED;
      const first = Math.max(this.#lastSecond + 1, second - SECONDS_PER_DAY + 1);
      for (let at = first; at <= second && !(this.#flags & ALARM); at++) {
        if (this.#alarmMatches(at)) this.#flags |= ALARM;
      }
    }
    this.#lastSecond = second;
  }

  #alarmMatches(second: number): boolean {
    const format = this.#format();
    const inDay = ((second % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY;
    const matches = (register: number, value: number) =>
      this.#cmos[register]! >= ALARM_ANY || this.#cmos[register] === value;
    return (
      matches(SECONDS_ALARM, encode(inDay % 60, format)) &&
      matches(MINUTES_ALARM, encode(Math.floor(inDay / 60) % 60, format)) &&
      matches(HOURS_ALARM, encodeHours(Math.floor(inDay / 3600), format))
    );
  }

  #takeFlags(): number {
    this.#catchUp();
    const interrupt = this.#flags & this.#registerB ? C_INTERRUPT : 0;
    const flags = this.#flags | interrupt;
    this.#flags = 0;
    this.#update();
    return flags;
  }

  #update(): void {
    this.#irq.set((this.#flags & this.#registerB & (PERIODIC | ALARM | UPDATE_ENDED)) !== 0);
  }

  /** Wakes up for enabled interrupts only; flags that are merely polled are worked out when read. */
  #schedule(): void {
    this.#secondAlarm?.cancel();
    this.#periodAlarm?.cancel();
    this.#secondAlarm = undefined;
    this.#periodAlarm = undefined;
    if (this.#registerB & (ALARM | UPDATE_ENDED) && this.#held === undefined) {
      const milliseconds = this.#milliseconds();
      const left = (Math.floor(milliseconds / 1000) + 1) * 1000 - milliseconds;
      this.#secondAlarm = this.#clock.after(BigInt(Math.ceil(left * 1e6)), () => this.#ring());
    }
    const ticks = this.#periodTicks();
    if (this.#registerB & PERIODIC && ticks !== 0n) {
      const next = ((this.#period() + 1n) * ticks * NS_PER_SECOND + OSCILLATOR_HZ - 1n) / OSCILLATOR_HZ;
      this.#periodAlarm = this.#clock.after(next - this.#clock.now(), () => this.#ring());
    }
  }

  #ring(): void {
    this.#catchUp();
    this.#schedule();
    this.#update();
  }
}

/** CMOS bytes that firmware reads to learn what the machine has. */
function describeMachine(cmos: Uint8Array, memorySize: number): void {
  const put16 = (index: number, value: number) => {
    cmos[index] = value & 0xff;
    cmos[index + 1] = value >> 8;
  };
  const beyond = (base: number, unit: number) => Math.min(Math.max(Math.floor((memorySize - base) / unit), 0), 0xffff);
  cmos[0x14] = 0x06; // equipment: a mathematics coprocessor and a PS/2 mouse
  put16(0x15, 640);
  put16(0x17, beyond(MIB, KIB));
  put16(0x30, beyond(MIB, KIB));
  put16(0x34, beyond(16 * MIB, 64 * KIB));
}
