/** What is typed at a virtio console on its way to the guest. */
import type { Clock } from '../devices/contract.ts';

/** The device is full: when to offer the rest. */
const OFFER_AGAIN_NS = 10_000_000n;
/** From a guest's first output to when its console surely listens. */
const SETTLE_NS = 50_000_000n;

/**
 * Holds typed bytes until the guest listens and has room.
 * Linux throws away what comes between making its receive queue and setting its console up, and tells nobody when that is;
 * but a console that prints is nearly there.
 */
export class ConsoleInput {
  readonly #clock: Clock;
  readonly #take: (bytes: Uint8Array) => number;
  readonly #listening: () => void;
  readonly #waiting: Uint8Array[] = [];
  #state: 'silent' | 'settling' | 'listening' = 'silent';
  #offering = false;

  /** `take` gives bytes to the device and returns how many it took; `listening` hears when the guest is ready. */
  constructor(clock: Clock, take: (bytes: Uint8Array) => number, listening: () => void) {
    this.#clock = clock;
    this.#take = take;
    this.#listening = listening;
  }

  type(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    if (!this.#offering) this.#offer();
  }

  /** Bytes that the device has not taken yet. */
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  /** The guest printed on this console. */
  printed(): void {
    if (this.#state !== 'silent') return;
    this.#state = 'settling';
    this.#clock.after(SETTLE_NS, () => {
      if (this.#state !== 'settling') return;
      this.#state = 'listening';
      this.#listening();
      this.#offer();
    });
  }

  /** The guest starts anew; what it has not taken waits for its successor. */
  reset(): void {
    this.#state = 'silent';
  }

  #offer(): void {
    this.#offering = false;
    if (this.#state !== 'listening') return;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const taken = this.#take(head);
      if (taken < head.length) {
        this.#waiting[0] = head.subarray(taken);
        this.#offering = true;
        this.#clock.after(OFFER_AGAIN_NS, () => this.#offer());
        return;
      }
      this.#waiting.shift();
    }
  }
}
