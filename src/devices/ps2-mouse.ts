import { ByteQueue } from './byte-queue.ts';
import { PS2_ACKNOWLEDGE, PS2_RESEND, PS2_SELF_TEST_PASSED, type Ps2Device } from './ps2.ts';
import type { StateTransfer } from './state.ts';

const SCALING_1_TO_1 = 0xe6;
const SCALING_2_TO_1 = 0xe7;
const SET_RESOLUTION = 0xe8;
const STATUS_REQUEST = 0xe9;
const SET_STREAM_MODE = 0xea;
const READ_DATA = 0xeb;
const RESET_WRAP_MODE = 0xec;
const SET_WRAP_MODE = 0xee;
const SET_REMOTE_MODE = 0xf0;
const IDENTIFY = 0xf2;
const SET_SAMPLE_RATE = 0xf3;
const ENABLE = 0xf4;
const DISABLE = 0xf5;
const SET_DEFAULTS = 0xf6;
const RESEND = 0xfe;
const RESET = 0xff;

/** Bytes of the longest answer. */
const LONGEST_ANSWER = 4;
const STANDARD_MOUSE = 0x00;
const STATUS_SCALING = 0x10;
const STATUS_ENABLED = 0x20;
const STATUS_REMOTE = 0x40;
/** Bit 3 of a movement packet's first byte is always set. */
const NO_MOVEMENT = [0x08, 0, 0];

/** A standard PS/2 mouse that nobody moves (IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device"). */
export class Ps2Mouse implements Ps2Device {
  readonly output = new ByteQueue();
  #resolution = 2;
  #sampleRate = 100;
  #scaling = false;
  #remote = false;
  #enabled = false;
  #wrap = false;
  #awaiting: number | undefined;
  #lastSent: readonly number[] = [0];

  reset(): void {
    this.output.clear();
    this.#setDefaults();
    this.#wrap = false;
    this.#awaiting = undefined;
  }

  transferState(state: StateTransfer): void {
    this.output.transferState(state, 'output', LONGEST_ANSWER);
    this.#resolution = state.integer('resolution', this.#resolution, 0, 3);
    this.#sampleRate = state.byte('sampleRate', this.#sampleRate);
    this.#scaling = state.flag('scaling', this.#scaling);
    this.#remote = state.flag('remote', this.#remote);
    this.#enabled = state.flag('enabled', this.#enabled);
    this.#wrap = state.flag('wrap', this.#wrap);
    this.#awaiting = state.optional('awaiting', this.#awaiting, SET_RESOLUTION, SET_SAMPLE_RATE);
    this.#lastSent = [...state.bytes('lastSent', Uint8Array.from(this.#lastSent), LONGEST_ANSWER)];
  }

  write(byte: number): void {
    this.output.clear();
    if (this.#wrap && byte !== RESET && byte !== RESET_WRAP_MODE) {
      this.#send(byte);
      return;
    }
    if (byte === RESEND) {
      this.#send(...this.#lastSent);
      return;
    }
    const command = this.#awaiting;
    this.#awaiting = undefined;
    if (command !== undefined) this.#parameter(command, byte);
    else if (!this.#setting(byte)) this.#query(byte);
  }

  #parameter(command: number, value: number): void {
    if (command === SET_RESOLUTION) this.#resolution = value & 3;
    else this.#sampleRate = value;
    this.#send(PS2_ACKNOWLEDGE);
  }

  /** Commands that change the mouse and are only acknowledged. */
  #setting(command: number): boolean {
    switch (command) {
      case SCALING_1_TO_1:
      case SCALING_2_TO_1:
        this.#scaling = command === SCALING_2_TO_1;
        break;
      case SET_RESOLUTION:
      case SET_SAMPLE_RATE:
        this.#awaiting = command;
        break;
      case SET_STREAM_MODE:
      case SET_REMOTE_MODE:
        this.#remote = command === SET_REMOTE_MODE;
        break;
      case SET_WRAP_MODE:
      case RESET_WRAP_MODE:
        this.#wrap = command === SET_WRAP_MODE;
        break;
      case ENABLE:
      case DISABLE:
        this.#enabled = command === ENABLE;
        break;
      case SET_DEFAULTS:
        this.#setDefaults();
        break;
      default:
        return false;
    }
    this.#send(PS2_ACKNOWLEDGE);
    return true;
  }

  #query(command: number): void {
    switch (command) {
      case STATUS_REQUEST:
        this.#send(PS2_ACKNOWLEDGE, this.#status(), this.#resolution, this.#sampleRate);
        break;
      case READ_DATA:
        this.#send(PS2_ACKNOWLEDGE, ...NO_MOVEMENT);
        break;
      case IDENTIFY:
        this.#send(PS2_ACKNOWLEDGE, STANDARD_MOUSE);
        break;
      case RESET:
        this.reset();
        this.#send(PS2_ACKNOWLEDGE, PS2_SELF_TEST_PASSED, STANDARD_MOUSE);
        break;
      default:
        this.#send(PS2_RESEND);
    }
  }

  #status(): number {
    return (
      (this.#scaling ? STATUS_SCALING : 0) | (this.#enabled ? STATUS_ENABLED : 0) | (this.#remote ? STATUS_REMOTE : 0)
    );
  }

  #setDefaults(): void {
    this.#resolution = 2;
    this.#sampleRate = 100;
    this.#scaling = false;
    this.#remote = false;
    this.#enabled = false;
  }

  #send(...bytes: number[]): void {
    this.#lastSent = bytes;
    this.output.push(Uint8Array.from(bytes));
  }
}
