import type { A20Gate } from './a20.ts';
import { ByteWindow } from './byte-device.ts';
import type { Device, IrqLine } from './contract.ts';
import type { Ps2Device } from './ps2.ts';
import { Ps2Keyboard } from './ps2-keyboard.ts';
import { Ps2Mouse } from './ps2-mouse.ts';
import { ScanCodeTranslator } from './ps2-translation.ts';
import type { StateTransfer } from './state.ts';

export interface KeyboardControllerWires {
  /** IRQ 1. */
  readonly keyboard: IrqLine;
  /** IRQ 12. */
  readonly auxiliary: IrqLine;
  readonly a20: A20Gate;
  /** The pulse on output-port bit 0. */
  readonly resetMachine: () => void;
}

const STATUS_OUTPUT_FULL = 0x01;
const STATUS_SYSTEM = 0x04;
const STATUS_COMMAND = 0x08;
const STATUS_NOT_LOCKED = 0x10;
const STATUS_AUXILIARY = 0x20;

const MODE_KEYBOARD_INTERRUPT = 0x01;
const MODE_AUXILIARY_INTERRUPT = 0x02;
const MODE_SYSTEM = 0x04;
const MODE_KEYBOARD_DISABLED = 0x10;
const MODE_AUXILIARY_DISABLED = 0x20;
const MODE_TRANSLATE = 0x40;
/** As PC firmware leaves the command byte: translating, the mouse not yet in use. */
const MODE_OF_FIRMWARE = MODE_KEYBOARD_INTERRUPT | MODE_SYSTEM | MODE_AUXILIARY_DISABLED | MODE_TRANSLATE;

const READ_RAM_FIRST = 0x20;
const READ_RAM_LAST = 0x3f;
const WRITE_RAM_FIRST = 0x60;
const WRITE_RAM_LAST = 0x7f;
const TEST_PASSWORD = 0xa4;
const DISABLE_AUXILIARY = 0xa7;
const ENABLE_AUXILIARY = 0xa8;
const TEST_AUXILIARY = 0xa9;
const SELF_TEST = 0xaa;
const TEST_KEYBOARD = 0xab;
const DISABLE_KEYBOARD = 0xad;
const ENABLE_KEYBOARD = 0xae;
const READ_INPUT_PORT = 0xc0;
const READ_OUTPUT_PORT = 0xd0;
const WRITE_OUTPUT_PORT = 0xd1;
const WRITE_KEYBOARD_BUFFER = 0xd2;
const WRITE_AUXILIARY_BUFFER = 0xd3;
const WRITE_AUXILIARY = 0xd4;
const DISABLE_A20 = 0xdd;
const ENABLE_A20 = 0xdf;
const READ_TEST_INPUTS = 0xe0;
const PULSE_FIRST = 0xf0;

const SELF_TEST_PASSED = 0x55;
const NO_PASSWORD = 0xf1;
const INPUT_PORT_NOT_INHIBITED = 0x80;

const PORT_RUN = 0x01;
const PORT_A20 = 0x02;
const PORT_KEYBOARD_FULL = 0x10;
const PORT_AUXILIARY_FULL = 0x20;

/** Answers that wait behind a full output buffer; a guest that never reads loses the rest. */
const WAITING_ANSWERS = 16;

type Source = 'keyboard' | 'auxiliary';
const SOURCES = ['keyboard', 'auxiliary'] as const;

interface Output {
  readonly byte: number;
  readonly source: Source;
}

/** The i8042 keyboard controller of a PS/2 with a keyboard and a mouse attached. */
export class KeyboardController {
  /** I/O port 0x60. */
  readonly data: Device;
  /** I/O port 0x64. */
  readonly command: Device;
  readonly keyboard = new Ps2Keyboard(() => this.#fill());
  readonly #mouse = new Ps2Mouse();
  readonly #wires: KeyboardControllerWires;
  readonly #translator = new ScanCodeTranslator();
  readonly #ram = new Uint8Array(32);
  #output: Output | undefined;
  #lastByte = 0;
  #answers: Output[] = [];
  /** The command whose parameter port 0x60 takes next. */
  #awaiting: number | undefined;
  #lastWasCommand = false;

  constructor(wires: KeyboardControllerWires) {
    this.#wires = wires;
    this.#ram[0] = MODE_OF_FIRMWARE;
    const reset = () => this.reset();
    this.data = new ByteWindow('i8042-data', {
      read: (offset) => (offset === 0 ? this.#readData() : 0xff),
      write: (offset, value) => (offset === 0 ? this.#writeData(value) : undefined),
      reset,
    });
    this.command = new ByteWindow('i8042-command', {
      read: (offset) => (offset === 0 ? this.#status() : 0xff),
      write: (offset, value) => (offset === 0 ? this.#writeCommand(value) : undefined),
      reset,
    });
  }

  reset(): void {
    this.#ram.fill(0);
    this.#ram[0] = MODE_OF_FIRMWARE;
    this.#output = undefined;
    this.#lastByte = 0;
    this.#answers = [];
    this.#awaiting = undefined;
    this.#lastWasCommand = false;
    this.#translator.reset();
    this.keyboard.reset();
    this.#mouse.reset();
    this.#wires.a20.set(true);
    this.#update();
  }

  transferState(state: StateTransfer): void {
    state.file('ram', this.#ram);
    const output = this.#output === undefined ? [] : [this.#output];
    this.#output = transferOutputs(state, 'output', output, 1)[0];
    this.#lastByte = state.byte('lastByte', this.#lastByte);
    this.#answers = transferOutputs(state, 'answers', this.#answers, WAITING_ANSWERS);
    this.#awaiting = state.optional('awaiting', this.#awaiting, WRITE_RAM_FIRST, WRITE_AUXILIARY);
    this.#lastWasCommand = state.flag('lastWasCommand', this.#lastWasCommand);
    state.part('translator', (part) => this.#translator.transferState(part));
    state.part('keyboard', (part) => this.keyboard.transferState(part));
    state.part('mouse', (part) => this.#mouse.transferState(part));
  }

  get #mode(): number {
    return this.#ram[0]!;
  }

  #setMode(set: number, clear = 0): void {
    this.#ram[0] = (this.#mode & ~clear) | set;
  }

  #status(): number {
    const full = this.#output === undefined ? 0 : STATUS_OUTPUT_FULL;
    const auxiliary = this.#output?.source === 'auxiliary' ? STATUS_AUXILIARY : 0;
    const system = this.#mode & MODE_SYSTEM ? STATUS_SYSTEM : 0;
    return full | auxiliary | system | STATUS_NOT_LOCKED | (this.#lastWasCommand ? STATUS_COMMAND : 0);
  }

  #readData(): number {
    if (this.#output !== undefined) this.#lastByte = this.#output.byte;
    this.#output = undefined;
    // The interrupt falls before the next byte can raise it: controllers on PCs see edges.
    this.#update();
    this.#fill();
    return this.#lastByte;
  }

  #writeData(value: number): void {
    this.#lastWasCommand = false;
    const command = this.#awaiting;
    this.#awaiting = undefined;
    if (command !== undefined) this.#parameter(command, value);
    else {
      // Speaking to the keyboard connects it (PS/2 reference, "Sending data to the keyboard").
      this.#setMode(0, MODE_KEYBOARD_DISABLED);
      this.#translator.reset();
      this.keyboard.write(value);
    }
    this.#fill();
  }

  #parameter(command: number, value: number): void {
    switch (command) {
      case WRITE_OUTPUT_PORT:
        this.#wires.a20.set((value & PORT_A20) !== 0);
        if ((value & PORT_RUN) === 0) this.#wires.resetMachine();
        break;
      case WRITE_KEYBOARD_BUFFER:
        this.#answer(value);
        break;
      case WRITE_AUXILIARY_BUFFER:
        this.#answer(value, 'auxiliary');
        break;
      case WRITE_AUXILIARY:
        this.#setMode(0, MODE_AUXILIARY_DISABLED);
        this.#mouse.write(value);
        break;
      default:
        this.#ram[command - WRITE_RAM_FIRST] = value;
        this.#update();
    }
  }

  #writeCommand(command: number): void {
    this.#lastWasCommand = true;
    this.#awaiting = undefined;
    if (command >= READ_RAM_FIRST && command <= READ_RAM_LAST) this.#answer(this.#ram[command - READ_RAM_FIRST]!);
    else if (command >= WRITE_RAM_FIRST && command <= WRITE_RAM_LAST) this.#awaiting = command;
    else if (command >= PULSE_FIRST) {
      // Bits 3:0 that are clear pulse low; bit 0 is the processor's reset.
      if ((command & 1) === 0) this.#wires.resetMachine();
    } else if (!this.#configure(command)) this.#query(command);
    this.#fill();
  }

  /** Commands without an answer. */
  #configure(command: number): boolean {
    switch (command) {
      case DISABLE_AUXILIARY:
        this.#setMode(MODE_AUXILIARY_DISABLED);
        return true;
      case ENABLE_AUXILIARY:
        this.#setMode(0, MODE_AUXILIARY_DISABLED);
        return true;
      case DISABLE_KEYBOARD:
        this.#setMode(MODE_KEYBOARD_DISABLED);
        return true;
      case ENABLE_KEYBOARD:
        this.#setMode(0, MODE_KEYBOARD_DISABLED);
        return true;
      case DISABLE_A20:
      case ENABLE_A20:
        this.#wires.a20.set(command === ENABLE_A20);
        return true;
      case WRITE_OUTPUT_PORT:
      case WRITE_KEYBOARD_BUFFER:
      case WRITE_AUXILIARY_BUFFER:
      case WRITE_AUXILIARY:
        this.#awaiting = command;
        return true;
      default:
        return false;
    }
  }

  #query(command: number): void {
    switch (command) {
      case SELF_TEST:
        this.#setMode(MODE_SYSTEM);
        this.#answer(SELF_TEST_PASSED);
        break;
      case TEST_AUXILIARY:
      case TEST_KEYBOARD:
      case READ_TEST_INPUTS:
        this.#answer(0);
        break;
      case TEST_PASSWORD:
        this.#answer(NO_PASSWORD);
        break;
      case READ_INPUT_PORT:
        this.#answer(INPUT_PORT_NOT_INHIBITED);
        break;
      case READ_OUTPUT_PORT:
        this.#answer(this.#outputPort());
        break;
    }
  }

  #outputPort(): number {
    const a20 = this.#wires.a20.enabled ? PORT_A20 : 0;
    if (this.#output === undefined) return PORT_RUN | a20;
    return PORT_RUN | a20 | (this.#output.source === 'keyboard' ? PORT_KEYBOARD_FULL : PORT_AUXILIARY_FULL);
  }

  #answer(byte: number, source: Source = 'keyboard'): void {
    if (this.#answers.length < WAITING_ANSWERS) this.#answers.push({ byte, source });
  }

  /** Puts the next byte into the empty output buffer: the controller's own answers first. */
  #fill(): void {
    if (this.#output !== undefined) return;
    this.#output = this.#answers.shift() ?? this.#fromKeyboard() ?? this.#fromMouse();
    this.#update();
  }

  #fromKeyboard(): Output | undefined {
    if (this.#mode & MODE_KEYBOARD_DISABLED) return undefined;
    while (this.keyboard.output.length > 0) {
      const sent = this.keyboard.output.shift();
      const byte = this.#mode & MODE_TRANSLATE ? this.#translator.translate(sent) : sent;
      if (byte !== undefined) return { byte, source: 'keyboard' };
    }
    return undefined;
  }

  #fromMouse(): Output | undefined {
    const device: Ps2Device = this.#mouse;
    if (this.#mode & MODE_AUXILIARY_DISABLED || device.output.length === 0) return undefined;
    return { byte: device.output.shift(), source: 'auxiliary' };
  }

  #update(): void {
    const source = this.#output?.source;
    this.#wires.keyboard.set(source === 'keyboard' && (this.#mode & MODE_KEYBOARD_INTERRUPT) !== 0);
    this.#wires.auxiliary.set(source === 'auxiliary' && (this.#mode & MODE_AUXILIARY_INTERRUPT) !== 0);
  }
}

function transferOutputs(state: StateTransfer, name: string, outputs: readonly Output[], most: number): Output[] {
  const result: Output[] = [];
  state.list(name, outputs.length, most, (part, i) => {
    const { byte = 0, source = 'keyboard' } = outputs[i] ?? {};
    result.push({ byte: part.byte('byte', byte), source: part.choice('source', source, SOURCES) });
  });
  return result;
}
