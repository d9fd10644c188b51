import { ByteQueue } from './byte-queue.ts';
import { PS2_ACKNOWLEDGE, PS2_RESEND, PS2_SELF_TEST_PASSED, type Ps2Device } from './ps2.ts';
import type { StateTransfer } from './state.ts';

const SET_LEDS = 0xed;
const ECHO = 0xee;
const SCAN_CODE_SET = 0xf0;
const IDENTIFY = 0xf2;
const SET_TYPEMATIC = 0xf3;
const ENABLE = 0xf4;
const DISABLE = 0xf5;
const SET_DEFAULTS = 0xf6;
const ALL_KEYS_FIRST = 0xf7;
const ALL_KEYS_LAST = 0xfa;
const KEY_TYPE_FIRST = 0xfb;
const KEY_TYPE_LAST = 0xfd;
const RESEND = 0xfe;
const RESET = 0xff;

/** An MF2 keyboard. */
const IDENTITY = [0xab, 0x83];
/** Keyboards hold 16 bytes that the host has not fetched. */
const BUFFER_SIZE = 16;

/** A 101-key PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference, "Keyboard"). */
export class Ps2Keyboard implements Ps2Device {
  readonly output = new ByteQueue();
  readonly #ready: () => void;
  #scanning = true;
  #scanCodeSet = 2;
  /** The command whose parameter comes next. */
  #awaiting: number | undefined;
  #lastSent = 0;

  /** `ready` hears of bytes that are no answer to a command. */
  constructor(ready: () => void) {
    this.#ready = ready;
  }

  /** One key's make or break code, in scan code set 2; false when the keyboard does not scan or is full. */
  type(code: readonly number[]): boolean {
    if (!this.#scanning || this.output.length + code.length > BUFFER_SIZE) return false;
    this.#send(...code);
    this.#ready();
    return true;
  }

  reset(): void {
    this.output.clear();
    this.#setDefaults();
    this.#scanning = true;
    this.#awaiting = undefined;
  }

  transferState(state: StateTransfer): void {
    this.output.transferState(state, 'output', BUFFER_SIZE);
    this.#scanning = state.flag('scanning', this.#scanning);
    this.#scanCodeSet = state.integer('scanCodeSet', this.#scanCodeSet, 1, 3);
    this.#awaiting = state.optional('awaiting', this.#awaiting, SET_LEDS, KEY_TYPE_LAST);
    this.#lastSent = state.byte('lastSent', this.#lastSent);
  }

  write(byte: number): void {
    const command = this.#awaiting;
    this.#awaiting = undefined;
    if (command !== undefined && byte < SET_LEDS) this.#parameter(command, byte);
    else this.#command(byte);
  }

  #command(command: number): void {
    this.output.clear();
    if (command === RESEND) {
      this.#send(this.#lastSent);
      return;
    }
    if (command >= ALL_KEYS_FIRST && command <= ALL_KEYS_LAST) {
      this.#send(PS2_ACKNOWLEDGE);
      return;
    }
    if (command >= KEY_TYPE_FIRST && command <= KEY_TYPE_LAST) {
      this.#expectParameter(command);
      return;
    }
    switch (command) {
      case SET_LEDS:
      case SCAN_CODE_SET:
      case SET_TYPEMATIC:
        this.#expectParameter(command);
        break;
      case ECHO:
        this.#send(ECHO);
        break;
      case IDENTIFY:
        this.#send(PS2_ACKNOWLEDGE, ...IDENTITY);
        break;
      case ENABLE:
        this.#scanning = true;
        this.#send(PS2_ACKNOWLEDGE);
        break;
      case DISABLE:
        this.#setDefaults();
        this.#scanning = false;
        this.#send(PS2_ACKNOWLEDGE);
        break;
      case SET_DEFAULTS:
        this.#setDefaults();
        this.#send(PS2_ACKNOWLEDGE);
        break;
      case RESET:
        this.reset();
        this.#send(PS2_ACKNOWLEDGE, PS2_SELF_TEST_PASSED);
        break;
      default:
        this.#send(PS2_RESEND);
    }
  }

  #expectParameter(command: number): void {
    this.#awaiting = command;
    this.#send(PS2_ACKNOWLEDGE);
  }

  #parameter(command: number, value: number): void {
    this.output.clear();
    if (command !== SCAN_CODE_SET) {
      this.#send(PS2_ACKNOWLEDGE);
      return;
    }
    if (value > 3) {
      this.#send(PS2_RESEND);
      return;
    }
    if (value === 0) this.#send(PS2_ACKNOWLEDGE, this.#scanCodeSet);
    else {
      this.#scanCodeSet = value;
      this.#send(PS2_ACKNOWLEDGE);
    }
  }

  #setDefaults(): void {
    this.#scanCodeSet = 2;
  }

  #send(...bytes: number[]): void {
    this.#lastSent = bytes.at(-1)!;
    this.output.push(Uint8Array.from(bytes));
  }
}
