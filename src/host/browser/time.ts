/** Time of a browser's worker. */
import type { HostTime } from '../../machine/host-services.ts';

const NS_PER_MS = 1e6;

/** Turns of the event loop. A message to oneself does not wait the 4 ms that nested timers do (HTML standard §8.6). */
class Turns {
  readonly #channel = new MessageChannel();
  readonly #waiting: (() => void)[] = [];

  constructor() {
    this.#channel.port1.onmessage = () => this.#waiting.shift()?.();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#channel.port2.postMessage(null);
    });
  }
}

/** `hold`: what a breath waits for besides, if anything. */
export function browserTime(hold: () => Promise<void> | undefined): HostTime {
  const turns = new Turns();
  return {
    nowNs: () => BigInt(Math.round(performance.now() * NS_PER_MS)),
    wallTimeMs: () => Date.now(),
    setTimer(ms, ring) {
      const timer = setTimeout(ring, ms);
      return () => clearTimeout(timer);
    },
    async breathe() {
      await turns.next();
      await hold();
    },
  };
}
