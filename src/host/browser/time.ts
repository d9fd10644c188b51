/** Time of a browser's worker. */
import type { HostTime } from '../../machine/host-services.ts';

const NS_PER_MS = 1e6;
/** Timers that are set when timers ring take at least so long (HTML standard §8.6). */
const NESTED_LEAST_MS = 4;

/** Turns of the event loop. A message to oneself does not wait as nested timers do. */
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
      let timer: ReturnType<typeof setTimeout> | undefined;
      let cancelled = false;
      const start = (): void => {
        if (!cancelled) timer = setTimeout(ring, ms);
      };
      // A timer that is set behind a message is not nested in the one that rang before.
      if (ms < NESTED_LEAST_MS) void turns.next().then(start);
      else start();
      return () => {
        cancelled = true;
        clearTimeout(timer);
      };
    },
    async breathe() {
      await turns.next();
      await hold();
    },
  };
}
