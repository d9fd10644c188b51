import type { StateTransfer } from './state.ts';

/** The six modes of the 8254 (Intel 231164), by their numbers in the control word. */
export type CounterMode = 0 | 1 | 2 | 3 | 4 | 5;
const LAST_MODE = 5;

/** Which bytes of the count are read and written. */
const ACCESSES = ['low', 'high', 'both'] as const;
export type ByteAccess = (typeof ACCESSES)[number];

type Progress =
  /** Waits for a count, or for the gate to trigger. */
  | { readonly kind: 'idle' }
  /** Counts since the tick `start`, when the count was loaded. */
  | { readonly kind: 'running'; readonly start: number }
  /** The gate holds it after `elapsed` ticks. */
  | { readonly kind: 'held'; readonly elapsed: number };

const IDLE: Progress = { kind: 'idle' };
const PROGRESS = ['idle', 'running', 'held'] as const;
/** Ticks in the 292 years that a clock can count. */
const MOST_TICKS = 2 ** 53 - 1;
/** Stands for a count that takes effect at a trigger. */
const AT_TRIGGER = -1;

/** Edges of a rate generator are reported no closer than this: a guest must not fill the host with alarms. */
const SHORTEST_PERIOD = 24;

/**
 * One counter of an 8254. Nothing ticks: its value and output are worked out from the tick at which it is asked.
 * All methods take the present tick of the 1.193182 MHz clock, which never goes back.
 */
export class PitCounter {
  #mode: CounterMode = 0;
  #access: ByteAccess = 'both';
  #decimal = false;
  #count = 0;
  #progress: Progress = IDLE;
  #gate: boolean;
  /** A count for the next cycle or trigger: in effect from the tick `at`. */
  #next: { readonly count: number; readonly at: number } | undefined;
  #writtenLow: number | undefined;
  #readsHigh = false;
  #latchedCount: number | undefined;
  #latchedStatus: number | undefined;

  constructor(gate: boolean) {
    this.#gate = gate;
  }

  /** Undefined on silicon; here the output is low, so that a timer that nobody programs interrupts nobody. */
  reset(gate: boolean): void {
    this.setControl(0, 'both', false);
    this.#count = 0;
    this.#gate = gate;
  }

  setControl(mode: CounterMode, access: ByteAccess, decimal: boolean): void {
    this.#mode = mode;
    this.#access = access;
    this.#decimal = decimal;
    this.#progress = IDLE;
    this.#next = undefined;
    this.#writtenLow = undefined;
    this.#readsHigh = false;
    this.#latchedCount = undefined;
    this.#latchedStatus = undefined;
  }

  transferState(state: StateTransfer): void {
    this.#mode = state.integer('mode', this.#mode, 0, LAST_MODE) as CounterMode;
    this.#access = state.choice('access', this.#access, ACCESSES);
    this.#decimal = state.flag('decimal', this.#decimal);
    this.#count = state.integer('count', this.#count, 0, 0x10000);
    state.part('progress', (part) => (this.#progress = transferProgress(part, this.#progress)));
    this.#gate = state.flag('gate', this.#gate);
    this.#transferNext(state);
    this.#writtenLow = state.optional('writtenLow', this.#writtenLow, 0, 0xff);
    this.#readsHigh = state.flag('readsHigh', this.#readsHigh);
    this.#latchedCount = state.optional('latchedCount', this.#latchedCount, 0, 0xffff);
    this.#latchedStatus = state.optional('latchedStatus', this.#latchedStatus, 0, 0xff);
  }

  #transferNext(state: StateTransfer): void {
    const count = state.optional('nextCount', this.#next?.count, 1, 0x10000);
    const at = this.#next?.at === Number.POSITIVE_INFINITY ? AT_TRIGGER : this.#next?.at;
    const from = state.optional('nextFrom', at, AT_TRIGGER, MOST_TICKS);
    state.require((count === undefined) === (from === undefined), 'half of the next count is missing');
    if (count === undefined || from === undefined) this.#next = undefined;
    else this.#next = { count, at: from === AT_TRIGGER ? Number.POSITIVE_INFINITY : from };
  }

  setGate(tick: number, high: boolean): void {
    if (high === this.#gate) return;
    this.#settle(tick);
    this.#gate = high;
    switch (this.#mode) {
      case 0:
      case 4:
        this.#hold(tick, high);
        break;
      case 1:
      case 5:
        if (high) this.#trigger(tick);
        break;
      case 2:
      case 3:
        if (high) this.#trigger(tick);
        else this.#stop();
        break;
      default:
        this.#mode satisfies never;
    }
  }

  write(tick: number, value: number): void {
    this.#settle(tick);
    switch (this.#access) {
      case 'low':
        this.#load(tick, value);
        break;
      case 'high':
        this.#load(tick, value << 8);
        break;
      case 'both':
        if (this.#writtenLow === undefined) {
          this.#writtenLow = value;
          // The first of two bytes stops a count in mode 0.
          if (this.#mode === 0) this.#progress = IDLE;
        } else {
          this.#load(tick, this.#writtenLow | (value << 8));
          this.#writtenLow = undefined;
        }
        break;
      default:
        this.#access satisfies never;
    }
  }

  read(tick: number): number {
    if (this.#latchedStatus !== undefined) {
      const status = this.#latchedStatus;
      this.#latchedStatus = undefined;
      return status;
    }
    const count = this.#latchedCount ?? this.value(tick);
    const high = this.#access === 'high' || (this.#access === 'both' && this.#readsHigh);
    if (this.#access === 'both') this.#readsHigh = !this.#readsHigh;
    if (!(this.#access === 'both' && this.#readsHigh)) this.#latchedCount = undefined;
    return high ? count >> 8 : count & 0xff;
  }

  latchCount(tick: number): void {
    this.#latchedCount ??= this.value(tick);
  }

  latchStatus(tick: number): void {
    if (this.#latchedStatus !== undefined) return;
    const access = { low: 1, high: 2, both: 3 }[this.#access];
    const output = this.output(tick) ? 0x80 : 0;
    const nullCount = this.#isNull(tick) ? 0x40 : 0;
    this.#latchedStatus = output | nullCount | (access << 4) | (this.#mode << 1) | (this.#decimal ? 1 : 0);
  }

  /** The count as read, in BCD when so programmed. */
  value(tick: number): number {
    this.#settle(tick);
    const value = this.#remaining(this.#elapsed(tick));
    return this.#decimal ? toDecimal(value) : value & 0xffff;
  }

  output(tick: number): boolean {
    this.#settle(tick);
    const elapsed = this.#elapsed(tick);
    const running = this.#progress.kind !== 'idle';
    switch (this.#mode) {
      case 0:
        return running && elapsed >= this.#period();
      case 1:
        return !running || elapsed >= this.#period();
      case 2:
        return !running || elapsed % this.#period() !== this.#period() - 1;
      case 3:
        return !running || elapsed % this.#period() < this.#highHalf();
      case 4:
      case 5:
        return elapsed !== this.#period();
      default:
        return this.#mode satisfies never;
    }
  }

  /** The next tick after `tick` at which the output rises; undefined when it never will by itself. */
  nextRise(tick: number): number | undefined {
    this.#settle(tick);
    if (this.#progress.kind !== 'running') return undefined;
    const start = this.#progress.start;
    const period = this.#period();
    switch (this.#mode) {
      case 0:
      case 1:
        return start + period > tick ? start + period : undefined;
      case 4:
      case 5:
        return start + period + 1 > tick ? start + period + 1 : undefined;
      case 2:
      case 3: {
        const from = Math.max(period < SHORTEST_PERIOD ? tick + SHORTEST_PERIOD : tick, start);
        return start + (Math.floor((from - start) / period) + 1) * period;
      }
      default:
        return this.#mode satisfies never;
    }
  }

  #hold(tick: number, gate: boolean): void {
    if (this.#progress.kind === 'held' && gate) {
      this.#progress = { kind: 'running', start: tick - this.#progress.elapsed };
    } else if (this.#progress.kind === 'running' && !gate) {
      this.#progress = { kind: 'held', elapsed: this.#elapsed(tick) };
    }
  }

  #trigger(tick: number): void {
    this.#stop();
    if (this.#count !== 0) this.#progress = { kind: 'running', start: tick + 1 };
  }

  #stop(): void {
    this.#progress = IDLE;
    if (this.#next !== undefined) this.#count = this.#next.count;
    this.#next = undefined;
  }

  #load(tick: number, written: number): void {
    const largest = this.#decimal ? 10_000 : 0x10000;
    const count = (this.#decimal ? fromDecimal(written) : written) || largest;
    const progress = this.#progress;
    switch (this.#mode) {
      case 0:
      case 4:
        this.#count = count;
        this.#progress = this.#gate ? { kind: 'running', start: tick + 1 } : { kind: 'held', elapsed: 0 };
        break;
      case 1:
      case 5:
        this.#next = { count, at: Number.POSITIVE_INFINITY };
        break;
      case 2:
      case 3:
        if (progress.kind === 'running') this.#next = { count, at: this.#cycleEnd(tick, progress.start) };
        else {
          this.#count = count;
          if (this.#gate) this.#progress = { kind: 'running', start: tick + 1 };
        }
        break;
      default:
        this.#mode satisfies never;
    }
  }

  /** A square wave on silicon may take a new count in the middle of its cycle; no program can count on that. */
  #cycleEnd(tick: number, start: number): number {
    const period = this.#period();
    return start + (Math.floor(Math.max(tick - start, 0) / period) + 1) * period;
  }

  /** Takes a count that was written for a cycle that has begun since. */
  #settle(tick: number): void {
    if (this.#next === undefined || tick < this.#next.at) return;
    this.#count = this.#next.count;
    this.#progress = { kind: 'running', start: this.#next.at };
    this.#next = undefined;
  }

  #period(): number {
    return this.#count || 0x10000;
  }

  /** Ticks of the high half of a square wave; the longer one of an odd count. */
  #highHalf(): number {
    return Math.ceil(this.#period() / 2);
  }

  #elapsed(tick: number): number {
    switch (this.#progress.kind) {
      case 'idle':
        return 0;
      case 'running':
        return Math.max(tick - this.#progress.start, 0);
      case 'held':
        return this.#progress.elapsed;
      default:
        return this.#progress satisfies never;
    }
  }

  #remaining(elapsed: number): number {
    const period = this.#period();
    if (this.#mode === 2) return period - (elapsed % period);
    if (this.#mode === 3) {
      const inCycle = elapsed % period;
      const half = this.#highHalf();
      return (period & ~1) - 2 * (inCycle < half ? inCycle : inCycle - half);
    }
    const modulus = this.#decimal ? 10_000 : 0x10000;
    return (((period - elapsed) % modulus) + modulus) % modulus;
  }

  #isNull(tick: number): boolean {
    if (this.#next !== undefined) return true;
    return this.#progress.kind === 'idle' || (this.#progress.kind === 'running' && tick < this.#progress.start);
  }
}

function transferProgress(state: StateTransfer, progress: Progress): Progress {
  const kind = state.choice('kind', progress.kind, PROGRESS);
  const present = progress.kind === 'running' ? progress.start : progress.kind === 'held' ? progress.elapsed : 0;
  const ticks = state.integer('ticks', present, 0, MOST_TICKS);
  switch (kind) {
    case 'idle':
      return IDLE;
    case 'running':
      return { kind, start: ticks };
    case 'held':
      return { kind, elapsed: ticks };
    default:
      return kind satisfies never;
  }
}

function fromDecimal(value: number): number {
  let result = 0;
  for (let shift = 12; shift >= 0; shift -= 4) result = result * 10 + ((value >> shift) & 0xf);
  return result;
}

function toDecimal(value: number): number {
  let result = 0;
  for (let shift = 0, rest = value % 10_000; shift < 16; shift += 4, rest = Math.floor(rest / 10)) {
    result |= (rest % 10) << shift;
  }
  return result;
}
