import type { Alarm, Clock, Device, IrqLine, Width } from './contract.ts';
import type { StateTransfer } from './state.ts';

/** Where the register blocks stand inside the device's 64 ports, for the FADT. */
export const ACPI_PM_LAYOUT = {
  pm1EventBlock: { offset: 0x00, size: 4 },
  pm1ControlBlock: { offset: 0x04, size: 2 },
  timerBlock: { offset: 0x08, size: 4 },
  gpe0Block: { offset: 0x20, size: 4 },
} as const;

/** Bytes of I/O ports the device fills. */
export const ACPI_PM_SIZE = 0x40;

/** SLP_TYP of soft-off: what the DSDT's \_S5 package must hold. */
export const SLEEP_TYPE_S5 = 5;

/** Offsets of the bytes of 16-bit registers: the low one; the high one follows. */
const PM1_STATUS = 0x00;
const PM1_ENABLE = 0x02;
const PM1_CONTROL = 0x04;
const PM_TIMER = 0x08;
const GPE0_STATUS = 0x20;
const GPE0_ENABLE = 0x22;

const TIMER_STATUS = 0x0001;
const POWER_BUTTON_STATUS = 0x0100;
/** TMR_EN, GBL_EN, PWRBTN_EN, SLPBTN_EN, RTC_EN. */
const PM1_ENABLES = 0x0721;
const SCI_ENABLE = 0x01;
const BUS_MASTER_RELOAD = 0x02;
/** In the high byte of PM1_CNT. */
const SLEEP_TYPE_SHIFT = 2;
const SLEEP_TYPE_MASK = 0x1c;
const SLEEP_ENABLE = 0x20;

/** Hz of the power-management timer (ACPI 6.5 §4.8.3.3). */
const PM_TIMER_FREQUENCY = 3_579_545n;
const NS_PER_SECOND = 1_000_000_000n;
/** TMR_STS tells that the timer's highest bit changed. */
const TIMER_HALF = 31n;

/**
 * ACPI fixed hardware (ACPI 6.5 §4.8): 64 I/O ports, at 0x600 on the board `pc`; the SCI is IRQ 9, a level.
 * ACPI is always on: SCI_EN reads 1, and the FADT names no SMI command port.
 */
export class AcpiPowerManagement implements Device {
  readonly name = 'acpi-pm';
  readonly #clock: Clock;
  readonly #sci: IrqLine;
  readonly #powerOff: () => void;
  #status = 0;
  #enable = 0;
  #control = SCI_ENABLE;
  #sleepType = 0;
  #gpe0Status = 0;
  #gpe0Enable = 0;
  #lastHalf = 0n;
  #alarm: Alarm | undefined;

  /** `powerOff` runs when the guest enters S5. */
  constructor(clock: Clock, sci: IrqLine, powerOff: () => void) {
    this.#clock = clock;
    this.#sci = sci;
    this.#powerOff = powerOff;
  }

  /** Someone presses the power button: the guest is asked to shut down. */
  pressPowerButton(): void {
    this.#status |= POWER_BUTTON_STATUS;
    this.#update();
  }

  /** General-purpose event 0–15 happened; the guest hears of it if it enabled that. */
  raiseEvent(event: number): void {
    this.#gpe0Status |= 1 << event;
    this.#update();
  }

  transferState(state: StateTransfer): void {
    this.#status = state.word('status', this.#status);
    this.#enable = state.word('enable', this.#enable);
    this.#control = state.byte('control', this.#control);
    this.#sleepType = state.byte('sleepType', this.#sleepType);
    this.#gpe0Status = state.word('gpe0Status', this.#gpe0Status);
    this.#gpe0Enable = state.word('gpe0Enable', this.#gpe0Enable);
    this.#lastHalf = state.big('lastHalf', this.#lastHalf);
    this.#alarm = state.alarm('alarm', this.#clock, this.#alarm, () => this.#ring());
  }

  read(offset: number, width: Width): number {
    this.#catchUp();
    const timer = Number(this.#timer() & 0xffffffffn);
    let value = 0;
    for (let i = 0; i < width; i++) value += this.#readByte(offset + i, timer) * 2 ** (8 * i);
    return value;
  }

  write(offset: number, width: Width, value: number): void {
    this.#catchUp();
    for (let i = 0; i < width; i++) this.#writeByte(offset + i, (value >>> (8 * i)) & 0xff);
    this.#schedule();
    this.#update();
  }

  reset(): void {
    this.#status = 0;
    this.#enable = 0;
    this.#control = SCI_ENABLE;
    this.#sleepType = 0;
    this.#gpe0Status = 0;
    this.#gpe0Enable = 0;
    this.#lastHalf = this.#timer() >> TIMER_HALF;
    this.#schedule();
    this.#update();
  }

  #readByte(offset: number, timer: number): number {
    switch (offset) {
      case PM1_STATUS:
        return this.#status & 0xff;
      case PM1_STATUS + 1:
        return this.#status >> 8;
      case PM1_ENABLE:
        return this.#enable & 0xff;
      case PM1_ENABLE + 1:
        return this.#enable >> 8;
      case PM1_CONTROL:
        return this.#control;
      case PM1_CONTROL + 1:
        return this.#sleepType << SLEEP_TYPE_SHIFT;
      case PM_TIMER:
      case PM_TIMER + 1:
      case PM_TIMER + 2:
      case PM_TIMER + 3:
        return (timer >>> (8 * (offset - PM_TIMER))) & 0xff;
      case GPE0_ENABLE:
        return this.#gpe0Enable & 0xff;
      case GPE0_ENABLE + 1:
        return this.#gpe0Enable >> 8;
      case GPE0_STATUS:
        return this.#gpe0Status & 0xff;
      case GPE0_STATUS + 1:
        return this.#gpe0Status >> 8;
      default:
        return 0xff;
    }
  }

  #writeByte(offset: number, value: number): void {
    switch (offset) {
      case PM1_STATUS:
        this.#status &= ~value;
        break;
      case PM1_STATUS + 1:
        this.#status &= ~(value << 8);
        break;
      case PM1_ENABLE:
        this.#enable = ((this.#enable & 0xff00) | value) & PM1_ENABLES;
        break;
      case PM1_ENABLE + 1:
        this.#enable = ((this.#enable & 0xff) | (value << 8)) & PM1_ENABLES;
        break;
      case PM1_CONTROL:
        this.#control = SCI_ENABLE | (value & BUS_MASTER_RELOAD);
        break;
      case PM1_CONTROL + 1:
        this.#writeSleep(value);
        break;
      case GPE0_STATUS:
        this.#gpe0Status &= ~value;
        break;
      case GPE0_STATUS + 1:
        this.#gpe0Status &= ~(value << 8);
        break;
      case GPE0_ENABLE:
        this.#gpe0Enable = (this.#gpe0Enable & 0xff00) | value;
        break;
      case GPE0_ENABLE + 1:
        this.#gpe0Enable = (this.#gpe0Enable & 0xff) | (value << 8);
        break;
    }
  }

  #writeSleep(value: number): void {
    this.#sleepType = (value & SLEEP_TYPE_MASK) >> SLEEP_TYPE_SHIFT;
    // Other sleeping states are not offered by the DSDT: entering them does nothing.
    if (value & SLEEP_ENABLE && this.#sleepType === SLEEP_TYPE_S5) this.#powerOff();
  }

  #timer(): bigint {
    return (this.#clock.now() * PM_TIMER_FREQUENCY) / NS_PER_SECOND;
  }

  #catchUp(): void {
    const half = this.#timer() >> TIMER_HALF;
    if (half !== this.#lastHalf) this.#status |= TIMER_STATUS;
    this.#lastHalf = half;
  }

  /** Wakes up for TMR_STS only when its interrupt is enabled. */
  #schedule(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    if ((this.#enable & TIMER_STATUS) === 0) return;
    const next = ((this.#timer() >> TIMER_HALF) + 1n) << TIMER_HALF;
    const at = (next * NS_PER_SECOND + PM_TIMER_FREQUENCY - 1n) / PM_TIMER_FREQUENCY;
    this.#alarm = this.#clock.after(at - this.#clock.now(), () => this.#ring());
  }

  #ring(): void {
    this.#catchUp();
    this.#schedule();
    this.#update();
  }

  #update(): void {
    this.#sci.set(((this.#status & this.#enable) | (this.#gpe0Status & this.#gpe0Enable)) !== 0);
  }
}
