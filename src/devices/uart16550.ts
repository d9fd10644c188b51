import { ByteDevice } from './byte-device.ts';
import { ByteQueue } from './byte-queue.ts';
import type { Alarm, ByteSink, Clock, IrqLine } from './contract.ts';
import { ModemLines } from './modem-lines.ts';
import { SerialOutput } from './serial-output.ts';
import type { StateTransfer } from './state.ts';

const RBR_THR_DLL = 0;
const IER_DLM = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

const IER_RECEIVED_DATA = 0x01;
const IER_TRANSMITTER_EMPTY = 0x02;
const IER_LINE_STATUS = 0x04;
const IER_MODEM_STATUS = 0x08;

const IIR_MODEM_STATUS = 0x00;
const IIR_NONE = 0x01;
const IIR_TRANSMITTER_EMPTY = 0x02;
const IIR_RECEIVED_DATA = 0x04;
const IIR_LINE_STATUS = 0x06;
const IIR_CHARACTER_TIMEOUT = 0x0c;
const IIR_FIFOS_ENABLED = 0xc0;

const FCR_ENABLE = 0x01;
const FCR_CLEAR_RECEIVER = 0x02;
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;

const LCR_LONG_STOP = 0x04;
const LCR_PARITY = 0x08;
const LCR_DIVISOR_LATCH = 0x80;

const MCR_LOOPBACK = 0x10;

const LSR_DATA_READY = 0x01;
const LSR_OVERRUN = 0x02;
const LSR_TRANSMITTER_IDLE = 0x60;

const FIFO_SIZE = 16;
const OSCILLATOR_HZ = 1_843_200n;
const DIVISOR_9600 = 12;
/** Bytes on the wire that a snapshot may hold. */
const MOST_ARRIVING = 2 ** 21;
/** So many looks at LSR with no other access between them are a guest that waits for input without interrupts. */
const POLLS_OF_A_LISTENER = 8;

/**
 * A 16550A serial port: eight I/O ports (COM1: 0x3F8, IRQ 4; COM2: 0x2F8, IRQ 3).
 *
 * A transmitted byte leaves at once, so the transmitter is always empty. Received bytes come at the programmed line rate,
 * and never sooner than the guest has room for them and listens: drivers clear the FIFO when they open the port, and
 * what a person typed before that should not be lost.
 */
export class Uart16550 extends ByteDevice {
  readonly name = 'uart16550';
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  readonly #output: SerialOutput;

  #interruptEnable = 0;
  #fifoControl = 0;
  #lineControl = 0;
  #modemControl = 0;
  readonly #modemLines = new ModemLines();
  #scratch = 0;
  #divisor = DIVISOR_9600;
  #overrun = false;
  #transmitterEmptied = false;
  #timedOut = false;
  #polls = 0;

  readonly #fifo = new ByteQueue();
  readonly #arriving = new ByteQueue();
  #lineFreeAt = 0n;
  #arrival: Alarm | undefined;
  #timeout: Alarm | undefined;

  constructor(clock: Clock, irq: IrqLine, output: ByteSink) {
    super();
    this.#clock = clock;
    this.#irq = irq;
    this.#output = new SerialOutput(clock, output);
  }

  /** Bytes from the host; they wait in a queue without limit and reach the guest at its line rate. */
  receive(bytes: Uint8Array): void {
    this.#arriving.push(bytes);
    this.#deliver();
    this.#update();
  }

  /** Received bytes that have not reached the FIFO yet. */
  get waiting(): number {
    return this.#arriving.length;
  }

  /** Hands transmitted bytes that are still collected to the sink now; call before the machine ends. */
  flush(): void {
    this.#output.flush();
  }

  /** As `flush`, without a trace in time: the alarm for these bytes still rings. */
  handOver(): void {
    this.#output.handOver();
  }

  /** Bytes that have not reached the FIFO stay on the wire. */
  reset(): void {
    this.#interruptEnable = 0;
    this.#fifoControl = 0;
    this.#lineControl = 0;
    this.#modemControl = 0;
    this.#modemLines.reset();
    this.#scratch = 0;
    this.#divisor = DIVISOR_9600;
    this.#overrun = false;
    this.#transmitterEmptied = false;
    this.#polls = 0;
    this.#clearReceiver();
    this.flush();
    this.#update();
  }

  transferState(state: StateTransfer): void {
    this.#interruptEnable = state.byte('interruptEnable', this.#interruptEnable);
    this.#fifoControl = state.byte('fifoControl', this.#fifoControl);
    this.#lineControl = state.byte('lineControl', this.#lineControl);
    this.#modemControl = state.byte('modemControl', this.#modemControl);
    this.#modemLines.transferState(state);
    this.#scratch = state.byte('scratch', this.#scratch);
    this.#divisor = state.word('divisor', this.#divisor);
    this.#overrun = state.flag('overrun', this.#overrun);
    this.#transmitterEmptied = state.flag('transmitterEmptied', this.#transmitterEmptied);
    this.#timedOut = state.flag('timedOut', this.#timedOut);
    this.#polls = state.integer('polls', this.#polls, 0, Number.MAX_SAFE_INTEGER);
    this.#fifo.transferState(state, 'fifo', FIFO_SIZE);
    this.#arriving.transferState(state, 'arriving', MOST_ARRIVING);
    this.#lineFreeAt = state.big('lineFreeAt', this.#lineFreeAt);
    this.#arrival = state.alarm('arrival', this.#clock, this.#arrival, () => this.#arrived());
    this.#timeout = state.alarm('timeout', this.#clock, this.#timeout, () => this.#characterTimedOut());
    this.#output.transferState(state);
  }

  protected readByte(offset: number): number {
    if (offset !== LSR) this.#polls = 0;
    switch (offset) {
      case RBR_THR_DLL:
        return this.#divisorLatched() ? this.#divisor & 0xff : this.#readReceiver();
      case IER_DLM:
        return this.#divisorLatched() ? this.#divisor >> 8 : this.#interruptEnable;
      case IIR_FCR:
        return this.#readIdentification();
      case LCR:
        return this.#lineControl;
      case MCR:
        return this.#modemControl;
      case LSR:
        return this.#readLineStatus();
      case MSR:
        return this.#readModemStatus();
      case SCR:
        return this.#scratch;
      default:
        return 0xff;
    }
  }

  protected writeByte(offset: number, value: number): void {
    this.#polls = 0;
    switch (offset) {
      case RBR_THR_DLL:
        if (this.#divisorLatched()) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case IER_DLM:
        if (this.#divisorLatched()) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else this.#writeInterruptEnable(value);
        break;
      case IIR_FCR:
        this.#writeFifoControl(value);
        break;
      case LCR:
        this.#lineControl = value;
        break;
      case MCR:
        this.#writeModemControl(value);
        break;
      case SCR:
        this.#scratch = value;
        break;
    }
  }

  #divisorLatched(): boolean {
    return (this.#lineControl & LCR_DIVISOR_LATCH) !== 0;
  }

  #loopback(): boolean {
    return (this.#modemControl & MCR_LOOPBACK) !== 0;
  }

  #fifosEnabled(): boolean {
    return (this.#fifoControl & FCR_ENABLE) !== 0;
  }

  #capacity(): number {
    return this.#fifosEnabled() ? FIFO_SIZE : 1;
  }

  /** Bytes in the FIFO that raise the received-data interrupt. */
  #trigger(): number {
    return this.#fifosEnabled() ? TRIGGER_LEVELS[(this.#fifoControl >> 6) as 0 | 1 | 2 | 3] : 1;
  }

  #characterTime(): bigint {
    const dataBits = 5 + (this.#lineControl & 3);
    const parity = this.#lineControl & LCR_PARITY ? 1 : 0;
    const stopBits = this.#lineControl & LCR_LONG_STOP ? 2 : 1;
    const bits = BigInt(1 + dataBits + parity + stopBits);
    return (bits * 16n * BigInt(this.#divisor || 1) * 1_000_000_000n) / OSCILLATOR_HZ;
  }

  #readReceiver(): number {
    if (this.#fifo.length === 0) return 0;
    const byte = this.#fifo.shift();
    this.#timedOut = false;
    this.#deliver();
    this.#restartTimeout();
    this.#update();
    return byte;
  }

  #readIdentification(): number {
    const source = this.#identification();
    // Only reading it as the source acknowledges this one (PC16550D §8.6.4).
    if (source === IIR_TRANSMITTER_EMPTY) {
      this.#transmitterEmptied = false;
      this.#update();
    }
    return source | (this.#fifosEnabled() ? IIR_FIFOS_ENABLED : 0);
  }

  #readLineStatus(): number {
    this.#polls++;
    if (this.#polls === POLLS_OF_A_LISTENER) this.#deliver();
    const status =
      LSR_TRANSMITTER_IDLE | (this.#fifo.length > 0 ? LSR_DATA_READY : 0) | (this.#overrun ? LSR_OVERRUN : 0);
    if (this.#overrun) {
      this.#overrun = false;
      this.#update();
    }
    return status;
  }

  #readModemStatus(): number {
    const status = this.#modemLines.readStatus();
    this.#update();
    return status;
  }

  #writeInterruptEnable(value: number): void {
    const enabled = value & ~this.#interruptEnable;
    const silenced = this.#interruptEnable & ~value;
    this.#interruptEnable = value & 0x0f;
    if (silenced & IER_RECEIVED_DATA) this.#takeBack();
    // Drivers count on an interrupt as soon as they enable it over an empty transmitter (PC16550D §8.6.4).
    if (enabled & IER_TRANSMITTER_EMPTY) this.#transmitterEmptied = true;
    this.#deliver();
    this.#update();
  }

  #writeFifoControl(value: number): void {
    const toggled = ((value ^ this.#fifoControl) & FCR_ENABLE) !== 0;
    // The other bits are only programmed while the enable bit is written as 1.
    this.#fifoControl = value & FCR_ENABLE ? value & 0xc9 : 0;
    if (toggled || (value & FCR_ENABLE && value & FCR_CLEAR_RECEIVER)) this.#takeBack();
    this.#deliver();
    this.#update();
  }

  #writeModemControl(value: number): void {
    this.#modemControl = value & 0x1f;
    if (this.#loopback()) this.#modemLines.loop(value);
    else this.#modemLines.connect();
    this.#deliver();
    this.#update();
  }

  #transmit(byte: number): void {
    if (this.#loopback()) this.#accept(byte);
    else this.#output.emit(byte);
    this.#transmitterEmptied = true;
    this.#update();
  }

  #accept(byte: number): void {
    if (this.#fifo.length >= this.#capacity()) {
      this.#overrun = true;
      // Without FIFOs the new character replaces the old; with them it is the one that is lost.
      if (this.#fifosEnabled()) return;
      this.#fifo.clear();
    }
    this.#fifo.push(Uint8Array.of(byte));
    this.#restartTimeout();
  }

  /**
   * Empties the FIFO without losing what was typed: it goes back on the wire. So do drivers lose bytes on real lines,
   * which try registers out or set the FIFO up while they already listen; but no person typed into those.
   */
  #takeBack(): void {
    if (!this.#loopback()) {
      const later = this.#arriving.take(this.#arriving.length);
      this.#arriving.push(this.#fifo.take(this.#fifo.length));
      this.#arriving.push(later);
    }
    this.#clearReceiver();
  }

  #clearReceiver(): void {
    this.#fifo.clear();
    this.#timedOut = false;
    this.#restartTimeout();
  }

  #listening(): boolean {
    return (this.#interruptEnable & IER_RECEIVED_DATA) !== 0 || this.#polls >= POLLS_OF_A_LISTENER;
  }

  /** Moves what has arrived into the FIFO: a burst as large as its room, then nothing for as long as the burst took. */
  #deliver(): void {
    if (this.#arriving.length === 0 || this.#loopback() || !this.#listening()) return;
    const room = this.#capacity() - this.#fifo.length;
    if (room <= 0) return;
    const now = this.#clock.now();
    if (now < this.#lineFreeAt) {
      this.#arrival ??= this.#clock.after(this.#lineFreeAt - now, () => this.#arrived());
      return;
    }
    const burst = this.#arriving.take(room);
    this.#fifo.push(burst);
    this.#lineFreeAt = now + BigInt(burst.length) * this.#characterTime();
    this.#restartTimeout();
  }

  #arrived(): void {
    this.#arrival = undefined;
    this.#deliver();
    this.#update();
  }

  /** PC16550D §8.4.1: four character times without a byte coming or read while some wait below the trigger level. */
  #restartTimeout(): void {
    this.#timeout?.cancel();
    this.#timeout = undefined;
    if (!this.#fifosEnabled() || this.#fifo.length === 0 || this.#fifo.length >= this.#trigger()) return;
    this.#timeout = this.#clock.after(4n * this.#characterTime(), () => this.#characterTimedOut());
  }

  #characterTimedOut(): void {
    this.#timeout = undefined;
    this.#timedOut = true;
    this.#update();
  }

  /** The interrupt of the highest priority. */
  #identification(): number {
    const enable = this.#interruptEnable;
    if (enable & IER_LINE_STATUS && this.#overrun) return IIR_LINE_STATUS;
    if (enable & IER_RECEIVED_DATA) {
      if (this.#fifo.length >= this.#trigger()) return IIR_RECEIVED_DATA;
      if (this.#timedOut) return IIR_CHARACTER_TIMEOUT;
    }
    if (enable & IER_TRANSMITTER_EMPTY && this.#transmitterEmptied) return IIR_TRANSMITTER_EMPTY;
    if (enable & IER_MODEM_STATUS && this.#modemLines.changed) return IIR_MODEM_STATUS;
    return IIR_NONE;
  }

  #update(): void {
    this.#irq.set(this.#identification() !== IIR_NONE);
  }
}
