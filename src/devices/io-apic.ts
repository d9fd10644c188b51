import type { Device, IrqLine, MessageSink, Width } from './contract.ts';
import type { StateTransfer } from './state.ts';

const IOREGSEL = 0x00;
const IOWIN = 0x10;
const EOIR = 0x40;

const IOAPICID = 0x00;
const IOAPICVER = 0x01;
const IOAPICARB = 0x02;
const IOREDTBL = 0x10;

const PINS = 24;
/** Version 0x20, which has the EOI register; the last redirection entry is 23. */
const VERSION = ((PINS - 1) << 16) | 0x20;

const LOGICAL = 0x800;
const REMOTE_IRR = 0x4000;
const LEVEL = 0x8000;
const MASKED = 0x10000;
const WRITABLE_LOW = 0x1afff;
const DELIVERY_LOWEST_PRIORITY = 1;

const MESSAGE_BASE = 0xfee00000;

/** One input and its redirection entry. */
interface Pin {
  asserted: boolean;
  low: number;
  destination: number;
}

/**
 * An I/O APIC of 24 inputs (Intel 82093AA, and the EOI register of its successors): 4 KiB at 0xFEC00000.
 * It sends messages to local APICs. Wires say "asserted", so the polarity bit of an entry changes nothing.
 */
export class IoApic implements Device {
  readonly name = 'io-apic';
  readonly #initialId: number;
  readonly #messages: MessageSink;
  readonly #pins: readonly Pin[] = Array.from({ length: PINS }, () => ({
    asserted: false,
    low: MASKED,
    destination: 0,
  }));
  #id: number;
  #select = 0;

  constructor(id: number, messages: MessageSink) {
    this.#initialId = id;
    this.#id = id;
    this.#messages = messages;
  }

  /** Input `n`, 0–23. ISA IRQ 0 goes to 2. */
  line(n: number): IrqLine {
    const pin = this.#pins[n];
    if (pin === undefined) throw new RangeError(`an I/O APIC has inputs 0 to ${PINS - 1}, not ${n}`);
    return { set: (asserted) => this.#setPin(pin, asserted) };
  }

  /** A local APIC ended the level-triggered `vector`. */
  endOfInterrupt(vector: number): void {
    for (const pin of this.#pins) {
      if ((pin.low & (LEVEL | REMOTE_IRR | 0xff)) !== (LEVEL | REMOTE_IRR | vector)) continue;
      pin.low &= ~REMOTE_IRR;
      this.#deliverLevel(pin);
    }
  }

  read(offset: number, width: Width): number {
    const ones = 2 ** (8 * width) - 1;
    const register = offset & ~3;
    if (register !== IOREGSEL && register !== IOWIN) return ones;
    const value = register === IOREGSEL ? this.#select : this.#readRegister();
    return ((value >>> (8 * (offset & 3))) & ones) >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    if (offset === IOREGSEL) this.#select = value & 0xff;
    else if (offset === IOWIN && width === 4) this.#writeRegister(value);
    else if (offset === EOIR) this.endOfInterrupt(value & 0xff);
  }

  transferState(state: StateTransfer): void {
    this.#id = state.integer('id', this.#id, 0, 15);
    this.#select = state.byte('select', this.#select);
    const pins = state.list('pins', PINS, PINS, (part, i) => {
      const pin = this.#pins[i]!;
      pin.asserted = part.flag('asserted', pin.asserted);
      pin.low = part.integer('low', pin.low, 0, WRITABLE_LOW | REMOTE_IRR);
      pin.destination = part.byte('destination', pin.destination);
    });
    state.require(pins === PINS, `it has ${PINS} inputs, not ${pins}`);
  }

  reset(): void {
    this.#id = this.#initialId;
    this.#select = 0;
    for (const pin of this.#pins) {
      pin.low = MASKED;
      pin.destination = 0;
    }
  }

  #readRegister(): number {
    switch (this.#select) {
      case IOAPICID:
      case IOAPICARB:
        return this.#id << 24;
      case IOAPICVER:
        return VERSION;
      default: {
        const pin = this.#pins[(this.#select - IOREDTBL) >> 1];
        if (pin === undefined) return 0xffffffff;
        return this.#select & 1 ? pin.destination << 24 : pin.low;
      }
    }
  }

  #writeRegister(value: number): void {
    if (this.#select === IOAPICID) this.#id = (value >>> 24) & 0xf;
    const pin = this.#pins[(this.#select - IOREDTBL) >> 1];
    if (pin === undefined) return;
    if (this.#select & 1) pin.destination = value >>> 24;
    else this.#writeEntry(pin, value);
  }

  #writeEntry(pin: Pin, value: number): void {
    // Drivers clear a stuck remote IRR by making the entry an edge for a moment.
    const remoteIrr = value & LEVEL ? pin.low & REMOTE_IRR : 0;
    pin.low = (value & WRITABLE_LOW) | remoteIrr;
    this.#deliverLevel(pin);
  }

  #setPin(pin: Pin, asserted: boolean): void {
    const rose = asserted && !pin.asserted;
    pin.asserted = asserted;
    if (pin.low & LEVEL) this.#deliverLevel(pin);
    // An edge on a masked input is lost (82093AA §3.2.4).
    else if (rose && !(pin.low & MASKED)) this.#send(pin);
  }

  #deliverLevel(pin: Pin): void {
    if (!pin.asserted || (pin.low & (LEVEL | MASKED | REMOTE_IRR)) !== LEVEL) return;
    // Only what a local APIC ends by EOI waits for one.
    if (((pin.low >> 8) & 7) <= DELIVERY_LOWEST_PRIORITY) pin.low |= REMOTE_IRR;
    this.#send(pin);
  }

  #send(pin: Pin): void {
    const address = MESSAGE_BASE + pin.destination * 0x1000 + (pin.low & LOGICAL ? 4 : 0);
    // Vector, delivery mode and trigger mode stand where a message has them; its level bit says "assert".
    this.#messages.message(address, (pin.low & (LEVEL | 0x7ff)) | 0x4000);
  }
}
