/** What is typed at a virtio console on its way to the guest. */
import type { Alarm, Clock } from '../devices/contract.ts';
import type { Stateful, StateTransfer } from '../devices/state.ts';

/** The device is full: when to offer the rest. */
const OFFER_AGAIN_NS = 10_000_000n;
/** From a guest's first output to when its console surely listens. */
const SETTLE_NS = 50_000_000n;
/** Bytes that a snapshot may hold. */
const MOST_WAITING = 2 ** 21;
const STATES = ['silent', 'settling', 'listening'] as const;

/**
 * Holds typed bytes until the guest listens and has room.
 * Linux throws away what comes between making its receive queue and setting its console up, and tells nobody when that is;
 * but a console that prints is nearly there.
 */
export class ConsoleInput implements Stateful {
  readonly #clock: Clock;
  readonly #take: (bytes: Uint8Array) => number;
  readonly #listening: () => void;
  readonly #waiting: Uint8Array[] = [];
  #state: (typeof STATES)[number] = 'silent';
  #settling: Alarm | undefined;
  /** Set while the device is full. */
  #offering: Alarm | undefined;

  /** `take` gives bytes to the device and returns how many it took; `listening` hears when the guest is ready. */
  constructor(clock: Clock, take: (bytes: Uint8Array) => number, listening: () => void) {
    this.#clock = clock;
    this.#take = take;
    this.#listening = listening;
  }

  type(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    if (this.#offering === undefined) this.#offer();
  }

  /** Bytes that the device has not taken yet. */
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  /** The guest printed on this console. */
  printed(): void {
    if (this.#state !== 'silent') return;
    this.#state = 'settling';
    this.#settling = this.#clock.after(SETTLE_NS, () => this.#settled());
  }

  #settled(): void {
    this.#settling = undefined;
    if (this.#state !== 'settling') return;
    this.#state = 'listening';
    this.#listening();
    this.#offer();
  }

  transferState(state: StateTransfer): void {
    this.#state = state.choice('state', this.#state, STATES);
    const waiting = new Uint8Array(this.waitingBytes);
    let at = 0;
    for (const bytes of this.#waiting) {
      waiting.set(bytes, at);
      at += bytes.length;
    }
    const restored = state.bytes('waiting', waiting, MOST_WAITING);
    if (state.restoring) this.#waiting.splice(0, this.#waiting.length, ...(restored.length > 0 ? [restored] : []));
    this.#settling = state.alarm('settling', this.#clock, this.#settling, () => this.#settled());
    this.#offering = state.alarm('offering', this.#clock, this.#offering, () => this.#offer());
  }

  /** The guest starts anew; what it has not taken waits for its successor. */
  reset(): void {
    this.#state = 'silent';
  }

  #offer(): void {
    this.#offering = undefined;
    if (this.#state !== 'listening') return;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const taken = this.#take(head);
      if (taken < head.length) {
        this.#waiting[0] = head.subarray(taken);
        this.#offering = this.#clock.after(OFFER_AGAIN_NS, () => this.#offer());
        return;
      }
      this.#waiting.shift();
    }
  }
}
