import type { Alarm, AlarmTime, Clock } from '../../src/devices/contract.ts';

interface Pending {
  readonly at: bigint;
  readonly ring: () => void;
}

/** A clock that a test moves by hand; alarms ring in the order of their times, each at its own time. */
export class SteppedClock implements Clock {
  #now = 0n;
  #pending: Pending[] = [];
  readonly #poweredOnAt: number;

  /** `poweredOnAt`: wall-clock milliseconds at power-on. */
  constructor(poweredOnAt = Date.UTC(2026, 0, 1)) {
    this.#poweredOnAt = poweredOnAt;
  }

  now(): bigint {
    return this.#now;
  }

  after(ns: bigint, ring: () => void): Alarm {
    return this.#set({ at: this.#now + (ns > 0n ? ns : 0n), ring });
  }

  at({ ns }: AlarmTime, ring: () => void): Alarm {
    return this.#set({ at: ns, ring });
  }

  #set(entry: Pending): Alarm {
    this.#pending.push(entry);
    const place = (): number => this.#pending.indexOf(entry);
    return {
      cancel: () => this.#remove(entry),
      get due() {
        return place() < 0 ? undefined : { ns: entry.at, order: place() };
      },
    };
  }

  wallTime(): number {
    return this.#poweredOnAt + Number(this.#now / 1_000_000n);
  }

  /** Alarms that have not rung. */
  get alarms(): number {
    return this.#pending.length;
  }

  /** Moves time on, ringing on the way. */
  step(ns: bigint | number): void {
    const end = this.#now + BigInt(ns);
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#remove(next);
      this.#now = next.at;
      next.ring();
    }
    this.#now = end;
  }

  /** Moves time without ringing, as a host that was suspended: what is due rings late, at the next step. */
  stall(ns: bigint | number): void {
    const end = this.#now + BigInt(ns);
    this.#pending = this.#pending.map((entry) => (entry.at < end ? { ...entry, at: end } : entry));
    this.#now = end;
  }

  #next(end: bigint): Pending | undefined {
    let best: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.at <= end && (best === undefined || entry.at < best.at)) best = entry;
    }
    return best;
  }

  #remove(entry: Pending): void {
    const index = this.#pending.indexOf(entry);
    if (index >= 0) this.#pending.splice(index, 1);
  }
}
