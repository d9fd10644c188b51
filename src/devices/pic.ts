import { ByteWindow } from './byte-device.ts';
import type { Device, IrqLine } from './contract.ts';
import type { StateTransfer } from './state.ts';

const ICW1_INITIALIZE = 0x10;
const ICW1_LEVEL = 0x08;
const ICW1_SINGLE = 0x02;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW4_AUTO_EOI = 0x02;
const ICW4_SPECIALLY_FULLY_NESTED = 0x10;
const OCW3 = 0x08;
const OCW3_POLL = 0x04;
const OCW3_READ_REGISTER = 0x02;
const OCW3_READ_IN_SERVICE = 0x01;
const OCW3_SET_MASK_MODE = 0x40;
const OCW3_SPECIAL_MASK = 0x20;

/** OCW2's three command bits: rotate, specific, EOI. */
const OCW2_ROTATE_IN_AUTO_EOI_CLEAR = 0;
const OCW2_EOI = 1;
const OCW2_NOTHING = 2;
const OCW2_SPECIFIC_EOI = 3;
const OCW2_ROTATE_IN_AUTO_EOI_SET = 4;
const OCW2_ROTATE_ON_EOI = 5;
const OCW2_SET_PRIORITY = 6;
const OCW2_ROTATE_ON_SPECIFIC_EOI = 7;

const CASCADE = 2;
const SPURIOUS = 7;

/** Inputs that ELCR cannot make levels: timer, keyboard, cascade; real-time clock, coprocessor. */
const EDGE_ONLY_MASTER = 0x07;
const EDGE_ONLY_SLAVE = 0x21;

const AWAITING = ['commands', 'ICW2', 'ICW3', 'ICW4'] as const;
type Awaiting = (typeof AWAITING)[number];

/** One 8259A (Intel 231468-003). */
class Pic8259 {
  #awaiting: Awaiting = 'commands';
  #needsIcw4 = false;
  #single = false;
  #levelTriggered = false;
  #vectorBase = 0;
  #autoEoi = false;
  #rotateInAutoEoi = false;
  #speciallyFullyNested = false;
  #specialMask = false;
  #readInService = false;
  #polling = false;
  #lines = 0;
  #request = 0;
  #inService = 0;
  #mask = 0;
  /** The input of the lowest priority. */
  #lowest = 7;
  /** ELCR: one bit per input that is a level. */
  edgeLevel = 0;
  /** Inputs that are other controllers: those of a slave in service do not block its more urgent ones. */
  readonly #slaves: number;
  readonly #output: (int: boolean) => void;

  constructor(slaves: number, output: (int: boolean) => void) {
    this.#slaves = slaves;
    this.#output = output;
  }

  reset(): void {
    this.#initialize(0);
    this.#awaiting = 'commands';
    this.#vectorBase = 0;
    this.edgeLevel = 0;
    this.#drive();
  }

  transferState(state: StateTransfer): void {
    this.#awaiting = state.choice('awaiting', this.#awaiting, AWAITING);
    this.#needsIcw4 = state.flag('needsIcw4', this.#needsIcw4);
    this.#single = state.flag('single', this.#single);
    this.#levelTriggered = state.flag('levelTriggered', this.#levelTriggered);
    this.#vectorBase = state.byte('vectorBase', this.#vectorBase);
    this.#autoEoi = state.flag('autoEoi', this.#autoEoi);
    this.#rotateInAutoEoi = state.flag('rotateInAutoEoi', this.#rotateInAutoEoi);
    this.#speciallyFullyNested = state.flag('speciallyFullyNested', this.#speciallyFullyNested);
    this.#specialMask = state.flag('specialMask', this.#specialMask);
    this.#readInService = state.flag('readInService', this.#readInService);
    this.#polling = state.flag('polling', this.#polling);
    this.#lines = state.byte('lines', this.#lines);
    this.#request = state.byte('request', this.#request);
    this.#inService = state.byte('inService', this.#inService);
    this.#mask = state.byte('mask', this.#mask);
    this.#lowest = state.integer('lowest', this.#lowest, 0, 7);
    this.edgeLevel = state.byte('edgeLevel', this.edgeLevel);
  }

  setLine(input: number, asserted: boolean): void {
    const bit = 1 << input;
    const rose = asserted && (this.#lines & bit) === 0;
    this.#lines = asserted ? this.#lines | bit : this.#lines & ~bit;
    // An edge stays latched when its wire falls before INTA (a real 8259A would answer with a spurious 7): clocks of a
    // busy host may let both halves of a square wave pass before the processor looks.
    if (rose) this.#request |= bit;
    this.#drive();
  }

  /** INTA: the input now in service, or -1 when none asks any more. */
  take(): number {
    const input = this.#highest();
    if (input < 0) return -1;
    const bit = 1 << input;
    if (!this.#isLevel(bit)) this.#request &= ~bit;
    if (!this.#autoEoi) this.#inService |= bit;
    else if (this.#rotateInAutoEoi) this.#lowest = input;
    // INTA drops INT, so that a next request is a new edge for the chip in front.
    this.#output(false);
    this.#drive();
    return input;
  }

  vector(input: number): number {
    return this.#vectorBase | input;
  }

  read(offset: number): number {
    if (this.#polling) {
      this.#polling = false;
      const input = this.take();
      return input < 0 ? 0 : 0x80 | input;
    }
    if (offset === 1) return this.#mask;
    return this.#readInService ? this.#inService : this.#requests();
  }

  write(offset: number, value: number): void {
    if (offset === 0) this.#writeCommand(value);
    else this.#writeData(value);
    this.#drive();
  }

  /** A change of the edge/level choice counts from the wire's present state. */
  setEdgeLevel(value: number): void {
    this.edgeLevel = value;
    this.#drive();
  }

  #drive(): void {
    this.#output(this.#highest() >= 0);
  }

  #writeCommand(value: number): void {
    if (value & ICW1_INITIALIZE) this.#initialize(value);
    else if (value & OCW3) this.#writeOcw3(value);
    else this.#writeOcw2(value);
  }

  #initialize(icw1: number): void {
    this.#awaiting = 'ICW2';
    this.#needsIcw4 = (icw1 & ICW1_NEEDS_ICW4) !== 0;
    this.#single = (icw1 & ICW1_SINGLE) !== 0;
    this.#levelTriggered = (icw1 & ICW1_LEVEL) !== 0;
    this.#request = 0;
    this.#inService = 0;
    this.#mask = 0;
    this.#lowest = 7;
    this.#specialMask = false;
    this.#readInService = false;
    this.#polling = false;
    this.#autoEoi = false;
    this.#rotateInAutoEoi = false;
    this.#speciallyFullyNested = false;
  }

  #writeData(value: number): void {
    switch (this.#awaiting) {
      case 'commands':
        this.#mask = value;
        break;
      case 'ICW2':
        this.#vectorBase = value & 0xf8;
        this.#awaiting = this.#single ? this.#afterIcw3() : 'ICW3';
        break;
      case 'ICW3':
        // How the chips are joined is soldered on a PC.
        this.#awaiting = this.#afterIcw3();
        break;
      case 'ICW4':
        this.#autoEoi = (value & ICW4_AUTO_EOI) !== 0;
        this.#speciallyFullyNested = (value & ICW4_SPECIALLY_FULLY_NESTED) !== 0;
        this.#awaiting = 'commands';
        break;
      default:
        this.#awaiting satisfies never;
    }
  }

  #afterIcw3(): Awaiting {
    return this.#needsIcw4 ? 'ICW4' : 'commands';
  }

  #writeOcw3(value: number): void {
    if (value & OCW3_POLL) this.#polling = true;
    if (value & OCW3_READ_REGISTER) this.#readInService = (value & OCW3_READ_IN_SERVICE) !== 0;
    if (value & OCW3_SET_MASK_MODE) this.#specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
  }

  #writeOcw2(value: number): void {
    const input = value & 7;
    switch ((value >> 5) as 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7) {
      case OCW2_ROTATE_IN_AUTO_EOI_CLEAR:
        this.#rotateInAutoEoi = false;
        break;
      case OCW2_ROTATE_IN_AUTO_EOI_SET:
        this.#rotateInAutoEoi = true;
        break;
      case OCW2_EOI:
        this.#endOfInterrupt(this.#highestInService(), false);
        break;
      case OCW2_ROTATE_ON_EOI:
        this.#endOfInterrupt(this.#highestInService(), true);
        break;
      case OCW2_SPECIFIC_EOI:
        this.#endOfInterrupt(input, false);
        break;
      case OCW2_ROTATE_ON_SPECIFIC_EOI:
        this.#endOfInterrupt(input, true);
        break;
      case OCW2_SET_PRIORITY:
        this.#lowest = input;
        break;
      case OCW2_NOTHING:
        break;
    }
  }

  #endOfInterrupt(input: number, rotate: boolean): void {
    if (input < 0) return;
    this.#inService &= ~(1 << input);
    if (rotate) this.#lowest = input;
  }

  #highestInService(): number {
    for (let i = 1; i <= 8; i++) {
      const input = (this.#lowest + i) & 7;
      const masked = this.#specialMask && (this.#mask & (1 << input)) !== 0;
      if (this.#inService & (1 << input) && !masked) return input;
    }
    return -1;
  }

  #isLevel(bit: number): boolean {
    return this.#levelTriggered || (this.edgeLevel & bit) !== 0;
  }

  #requests(): number {
    const levels = this.#levelTriggered ? 0xff : this.edgeLevel;
    return (this.#request & ~levels) | (this.#lines & levels);
  }

  /** The most urgent unmasked request that nothing in service blocks. */
  #highest(): number {
    const asking = this.#requests() & ~this.#mask;
    if (asking === 0) return -1;
    for (let i = 1; i <= 8; i++) {
      const input = (this.#lowest + i) & 7;
      const bit = 1 << input;
      const serving = (this.#inService & bit) !== 0;
      if (asking & bit && !(serving && this.#blocksItself(bit))) return input;
      if (serving && !this.#specialMask) return -1;
    }
    return -1;
  }

  #blocksItself(bit: number): boolean {
    return !(this.#speciallyFullyNested && (this.#slaves & bit) !== 0);
  }
}

/** The pair of 8259A interrupt controllers of a PC, the second cascaded through input 2 of the first. */
export class DualPic {
  readonly #first: Pic8259;
  readonly #second: Pic8259;
  /** I/O ports 0x20–0x21. */
  readonly master: Device;
  /** I/O ports 0xA0–0xA1. */
  readonly slave: Device;
  /** I/O ports 0x4D0–0x4D1, ELCR: inputs that are levels (1) instead of edges (0). */
  readonly edgeLevelControl: Device;

  constructor(intr: IrqLine) {
    this.#first = new Pic8259(1 << CASCADE, (int) => intr.set(int));
    this.#second = new Pic8259(0, (int) => this.#first.setLine(CASCADE, int));
    const window = (chip: Pic8259) => ({
      read: (offset: number) => (offset < 2 ? chip.read(offset) : 0xff),
      write: (offset: number, value: number) => (offset < 2 ? chip.write(offset, value) : undefined),
      reset: () => this.reset(),
    });
    this.master = new ByteWindow('pic-master', window(this.#first));
    this.slave = new ByteWindow('pic-slave', window(this.#second));
    this.edgeLevelControl = new ByteWindow('pic-elcr', {
      read: (offset) => [this.#first.edgeLevel, this.#second.edgeLevel][offset] ?? 0xff,
      write: (offset, value) => this.#writeEdgeLevel(offset, value),
      reset: () => this.reset(),
    });
  }

  /** Input `n`, 0–15; 2 is the cascade and does nothing. */
  line(n: number): IrqLine {
    if (n === CASCADE) return { set: () => {} };
    const chip = n < 8 ? this.#first : this.#second;
    return { set: (asserted) => chip.setLine(n & 7, asserted) };
  }

  /** The processor's INTA cycles: the vector, now in service; a spurious 7 or 15 when no input asks. */
  acknowledge(): number {
    const input = this.#first.take();
    if (input < 0) return this.#first.vector(SPURIOUS);
    if (input !== CASCADE) return this.#first.vector(input);
    const behind = this.#second.take();
    return this.#second.vector(behind < 0 ? SPURIOUS : behind);
  }

  reset(): void {
    this.#first.reset();
    this.#second.reset();
  }

  transferState(state: StateTransfer): void {
    state.part('first', (part) => this.#first.transferState(part));
    state.part('second', (part) => this.#second.transferState(part));
  }

  #writeEdgeLevel(offset: number, value: number): void {
    if (offset === 0) this.#first.setEdgeLevel(value & ~EDGE_ONLY_MASTER);
    else if (offset === 1) this.#second.setEdgeLevel(value & ~EDGE_ONLY_SLAVE);
  }
}
