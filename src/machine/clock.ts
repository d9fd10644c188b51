/** The machine's two sources of time: the host's, and one derived from retired instructions. */
import type { Alarm, AlarmTime, Clock } from '../devices/contract.ts';
import type { HostTime } from './host-services.ts';

/** A clock as the run loop sees it: it also says how long the processor may run and how to wait. */
export interface MachineClock extends Clock {
  /** Rings every alarm that is due. */
  ringDue(): void;
  /** Instructions to execute before the next call of `ringDue`: up to the next alarm, at most a slice. At least 1. */
  budget(): number;
  /** `noticed` hears of each alarm that is due before all others: a budget given out before it was set may be too large. */
  onEarlierAlarm(noticed: () => void): void;
  /** The processor executed `instructions` in `hostNs` nanoseconds of the host. */
  ran(instructions: number, hostNs: number): void;
  /** The processor is halted: resolves when an alarm is due, or earlier when `woken` does. */
  idle(woken: Promise<void>): Promise<void>;
  /** Time stands still until `release`; wall-clock time need not. */
  hold(): void;
  release(): void;
  /** The time of the machine that a snapshot was taken of; held. When it is released it goes on from there, or `jumps`. */
  restore(time: ClockTime, jumps: boolean): void;
}

/** What a snapshot knows of time. */
export interface ClockTime {
  /** Nanoseconds since power-on. */
  readonly ns: bigint;
  /** Wall-clock time as the guest had it: milliseconds since 1970-01-01 UTC. */
  readonly wallMs: number;
}

interface PendingAlarm extends Alarm {
  readonly deadline: bigint;
  readonly order: number;
  readonly ring: () => void;
}

/** Alarms by deadline; equal deadlines ring in the order in which they were set. Devices keep a handful, so a list serves. */
class AlarmQueue {
  readonly #pending: PendingAlarm[] = [];
  #noticed = (): void => {};
  #nextOrder = 0;

  onEarlier(noticed: () => void): void {
    this.#noticed = noticed;
  }

  add(deadline: bigint, ring: () => void, order = this.#nextOrder): Alarm {
    this.#nextOrder = Math.max(this.#nextOrder, order + 1);
    const pending = this.#pending;
    const alarm: PendingAlarm = {
      deadline,
      order,
      ring,
      cancel: () => this.#remove(alarm),
      get due() {
        const at = pending.indexOf(alarm);
        return at < 0 ? undefined : { ns: deadline, order: at };
      },
    };
    let at = pending.length;
    while (at > 0 && isLater(pending[at - 1]!, alarm)) at -= 1;
    pending.splice(at, 0, alarm);
    if (at === 0) this.#noticed();
    return alarm;
  }

  next(): bigint | undefined {
    return this.#pending[0]?.deadline;
  }

  /** Rings what is due at `now`; an alarm set meanwhile waits for the next call, so a period of 0 cannot hang the host. */
  ringDue(now: bigint): void {
    let due = 0;
    while (due < this.#pending.length && this.#pending[due]!.deadline <= now) due += 1;
    if (due === 0) return;
    for (const alarm of this.#pending.slice(0, due)) if (this.#remove(alarm)) alarm.ring();
  }

  #remove(alarm: PendingAlarm): boolean {
    const at = this.#pending.indexOf(alarm);
    if (at >= 0) this.#pending.splice(at, 1);
    return at >= 0;
  }
}

function isLater(a: PendingAlarm, b: PendingAlarm): boolean {
  return a.deadline > b.deadline || (a.deadline === b.deadline && a.order > b.order);
}

/** Host nanoseconds that the processor runs before the event loop gets a turn. */
export const SLICE_NS = 4_000_000;

/** A budget below this costs more in entering the engine than it gains in precision. */
const LEAST_BUDGET = 500;
/** Instructions per nanosecond before anything was measured. */
const FIRST_RATE = 0.02;
const AIM_SHORT = 0.9;
const MOST_BUDGET = 50_000_000;
const NS_PER_MS = 1_000_000n;
/** Sleeping longer in one piece overflows the timers of common hosts. */
const LONGEST_SLEEP_MS = 3_600_000;

/** Time passes as on the host. */
export class RealClock implements MachineClock {
  readonly #host: HostTime;
  #start: bigint;
  /** The time at which this clock stands still. */
  #heldAt: bigint | undefined;
  /** Milliseconds that the guest's wall clock is ahead of the host's. */
  #wallAhead = 0;
  #restored: { readonly wallMs: number; readonly jumps: boolean } | undefined;
  readonly #alarms = new AlarmQueue();
  /** Instructions per nanosecond, averaged over recent runs. */
  #rate = FIRST_RATE;

  constructor(host: HostTime) {
    this.#host = host;
    this.#start = host.nowNs();
  }

  now(): bigint {
    return this.#heldAt ?? this.#host.nowNs() - this.#start;
  }

  hold(): void {
    this.#heldAt = this.now();
  }

  release(): void {
    if (this.#heldAt === undefined) return;
    if (this.#restored !== undefined) this.#catchUp(this.#restored);
    this.#restored = undefined;
    this.#start = this.#host.nowNs() - this.#heldAt;
    this.#heldAt = undefined;
  }

  restore({ ns, wallMs }: ClockTime, jumps: boolean): void {
    this.#heldAt = ns;
    this.#restored = { wallMs, jumps };
  }

  /** A host whose clock stands before the snapshot's time lets no time pass. */
  #catchUp({ wallMs, jumps }: { readonly wallMs: number; readonly jumps: boolean }): void {
    const passed = this.#host.wallTimeMs() - wallMs;
    if (jumps) this.#heldAt! += BigInt(Math.round(Math.max(0, passed) * 1e6));
    this.#wallAhead = jumps ? 0 : -passed;
  }

  after(ns: bigint, ring: () => void): Alarm {
    return this.#alarms.add(this.now() + (ns > 0n ? ns : 0n), ring);
  }

  at({ ns, order }: AlarmTime, ring: () => void): Alarm {
    return this.#alarms.add(ns, ring, order);
  }

  onEarlierAlarm(noticed: () => void): void {
    this.#alarms.onEarlier(noticed);
  }

  wallTime(): number {
    return this.#restored?.wallMs ?? this.#host.wallTimeMs() + this.#wallAhead;
  }

  ringDue(): void {
    if (this.#alarms.next() !== undefined) this.#alarms.ringDue(this.now());
  }

  budget(): number {
    const next = this.#alarms.next();
    // Short of the alarm: an estimate that was too high would be late by its whole error, a low one costs one more turn.
    const ns = next === undefined ? SLICE_NS : Math.min(SLICE_NS, Number(next - this.now()) * AIM_SHORT);
    return Math.min(MOST_BUDGET, Math.max(LEAST_BUDGET, Math.floor(ns * this.#rate)));
  }

  ran(instructions: number, hostNs: number): void {
    if (instructions < LEAST_BUDGET || hostNs <= 0) return;
    const weight = Math.min(0.5, hostNs / SLICE_NS);
    this.#rate += (instructions / hostNs - this.#rate) * weight;
  }

  async idle(woken: Promise<void>): Promise<void> {
    const next = this.#alarms.next();
    if (next === undefined) return woken;
    const left = next - this.now();
    if (left <= 0n) return;
    // Host timers count whole milliseconds: the last fraction of one is waited out by turns of the event loop.
    if (left < NS_PER_MS) return this.#host.breathe();
    let cancel = (): void => {};
    const slept = new Promise<void>((resolve) => {
      cancel = this.#host.setTimer(Math.min(Number(left / NS_PER_MS), LONGEST_SLEEP_MS), resolve);
    });
    await Promise.race([slept, woken]);
    cancel();
  }
}

/** Virtual nanoseconds per retired instruction: a nominal 100 million instructions a second. */
export const NS_PER_INSTRUCTION = 10;
/** Instructions of one slice when no alarm is near. */
const VIRTUAL_SLICE = 500_000;

/**
 * Time is a function of retired instructions, so a run repeats bit for bit.
 * A halted machine jumps to its next alarm: waiting costs nothing.
 */
export class VirtualClock implements MachineClock {
  readonly #retired: () => number;
  readonly #epochMs: number;
  readonly #alarms = new AlarmQueue();
  /** Time that passed while the processor was halted. */
  #skipped = 0n;

  /**
   * `retired` counts instructions since power-on and never goes back.
   * `epochMs` is the wall-clock time of power-on, milliseconds since 1970-01-01 UTC.
   */
  constructor(retired: () => number, epochMs: number) {
    this.#retired = retired;
    this.#epochMs = epochMs;
  }

  now(): bigint {
    return this.#skipped + BigInt(this.#retired() * NS_PER_INSTRUCTION);
  }

  after(ns: bigint, ring: () => void): Alarm {
    return this.#alarms.add(this.now() + (ns > 0n ? ns : 0n), ring);
  }

  onEarlierAlarm(noticed: () => void): void {
    this.#alarms.onEarlier(noticed);
  }

  at({ ns, order }: AlarmTime, ring: () => void): Alarm {
    return this.#alarms.add(ns, ring, order);
  }

  wallTime(): number {
    return this.#epochMs + Number(this.now() / NS_PER_MS);
  }

  ringDue(): void {
    if (this.#alarms.next() !== undefined) this.#alarms.ringDue(this.now());
  }

  budget(): number {
    const next = this.#alarms.next();
    if (next === undefined) return VIRTUAL_SLICE;
    const instructions = Math.ceil(Number(next - this.now()) / NS_PER_INSTRUCTION);
    return Math.max(1, Math.min(VIRTUAL_SLICE, instructions));
  }

  ran(): void {}

  /** While no instruction retires time stands still anyway. */
  hold(): void {}
  release(): void {}

  /** Wall-clock time follows the guest's: there is no other to jump to. */
  restore({ ns }: ClockTime): void {
    this.#skipped = ns - BigInt(this.#retired() * NS_PER_INSTRUCTION);
  }

  async idle(woken: Promise<void>): Promise<void> {
    const next = this.#alarms.next();
    if (next === undefined) return woken;
    const left = next - this.now();
    if (left > 0n) this.#skipped += left;
  }
}
