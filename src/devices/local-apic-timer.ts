import type { Alarm, Clock } from './contract.ts';
import type { StateTransfer } from './state.ts';

const MODES = ['one-shot', 'periodic', 'TSC-deadline'] as const;
export type ApicTimerMode = (typeof MODES)[number];

const NS_PER_SECOND = 1_000_000_000n;
const DIVIDERS = [1n, 2n, 4n, 8n, 16n, 32n, 64n, 128n];
/** A periodic timer rings no faster than this: a guest must not fill the host with alarms. */
const SHORTEST_PERIOD_NS = 20_000n;
/** Far deadlines are looked at again after this long, so that no host timer overflows. */
const LONGEST_WAIT_NS = 1n << 40n;

/** The time-stamp counter at the clock's present time. */
function timestamp(clock: Clock, frequency: number): bigint {
  return (clock.now() * BigInt(frequency)) / NS_PER_SECOND;
}

/**
 * The local APIC's timer (SDM vol. 3 §11.5.4), worked out from time.
 * It counts nanoseconds before division, so CPUID leaf 0x15 may only name a core crystal clock of 1 GHz.
 */
export class ApicTimer {
  readonly #clock: Clock;
  readonly #tscFrequency: number;
  readonly #expire: () => void;
  #mode: ApicTimerMode = 'one-shot';
  #initial = 0;
  #divider = 2n;
  /** When the counter held the initial count. */
  #start = 0n;
  /** The counter has not come down to 0 yet. */
  #counting = false;
  #deadline = 0n;
  #alarm: Alarm | undefined;

  constructor(clock: Clock, tscFrequency: number, expire: () => void) {
    this.#clock = clock;
    this.#tscFrequency = tscFrequency;
    this.#expire = expire;
  }

  reset(): void {
    this.#disarm();
    this.#mode = 'one-shot';
    this.#initial = 0;
    this.#counting = false;
    this.#divider = 2n;
    this.#deadline = 0n;
  }

  transferState(state: StateTransfer): void {
    this.#mode = state.choice('mode', this.#mode, MODES);
    this.#initial = state.doubleword('initial', this.#initial);
    this.#divider = state.big('divider', this.#divider);
    this.#start = state.big('start', this.#start);
    this.#counting = state.flag('counting', this.#counting);
    this.#deadline = state.big('deadline', this.#deadline);
    this.#alarm = state.alarm('alarm', this.#clock, this.#alarm, () => this.#rang());
    state.require(DIVIDERS.includes(this.#divider), 'the divider is none');
    state.require(!this.#counting || this.#initial !== 0, 'it counts from nothing');
    state.require(this.#deadline >= 0n && this.#deadline < 1n << 64n, 'the deadline is none');
  }

  setMode(mode: ApicTimerMode): void {
    if (mode === this.#mode) return;
    // Over by now, though its alarm has not rung yet.
    if (this.#mode === 'one-shot' && this.#counting && this.currentCount() === 0) {
      this.#counting = false;
      this.#expire();
    }
    const deadlineInvolved = mode === 'TSC-deadline' || this.#mode === 'TSC-deadline';
    // A counter that went round keeps its place in the present round.
    if (this.#counting) this.#start = this.#clock.now() - this.#counted() * this.#divider;
    this.#mode = mode;
    if (deadlineInvolved) {
      this.#initial = 0;
      this.#counting = false;
      this.#deadline = 0n;
    }
    this.#arm();
  }

  /** `shift`: the counter steps every 2^shift nanoseconds. The count so far stays. */
  setDivider(shift: number): void {
    const counted = this.#counted();
    this.#divider = 1n << BigInt(shift);
    this.#start = this.#clock.now() - counted * this.#divider;
    this.#arm();
  }

  get initialCount(): number {
    return this.#initial;
  }

  setInitialCount(count: number): void {
    if (this.#mode === 'TSC-deadline') return;
    this.#initial = count;
    this.#counting = count !== 0;
    this.#start = this.#clock.now();
    this.#arm();
  }

  currentCount(): number {
    // Expired in one-shot mode, it stays at 0 in any mode until it is written again.
    if (!this.#counting) return 0;
    const initial = BigInt(this.#initial);
    const elapsed = (this.#clock.now() - this.#start) / this.#divider;
    if (this.#mode === 'periodic') return Number(initial - (elapsed % initial));
    return elapsed >= initial ? 0 : Number(initial - elapsed);
  }

  #counted(): bigint {
    return BigInt(this.#initial - this.currentCount());
  }

  /** IA32_TSC_DEADLINE: 0 when not armed. */
  get deadline(): bigint {
    return this.#deadline;
  }

  setDeadline(timestampValue: bigint): void {
    if (this.#mode !== 'TSC-deadline') return;
    this.#deadline = timestampValue;
    this.#arm();
  }

  #disarm(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  #arm(): void {
    this.#disarm();
    switch (this.#mode) {
      case 'one-shot':
        this.#armOneShot();
        break;
      case 'periodic':
        this.#armPeriodic();
        break;
      case 'TSC-deadline':
        this.#armDeadline();
        break;
      default:
        this.#mode satisfies never;
    }
  }

  #wait(ns: bigint): void {
    this.#alarm = this.#clock.after(ns, () => this.#rang());
  }

  /** What was waited for in this mode. */
  #rang(): void {
    this.#alarm = undefined;
    switch (this.#mode) {
      case 'one-shot':
        this.#counting = false;
        this.#expire();
        break;
      case 'periodic':
        this.#armPeriodic();
        this.#expire();
        break;
      case 'TSC-deadline':
        this.#armDeadline();
        break;
      default:
        this.#mode satisfies never;
    }
  }

  #armOneShot(): void {
    if (!this.#counting) return;
    // A short count may be over by now: real time passes between two looks at the clock.
    const left = this.#start + BigInt(this.#initial) * this.#divider - this.#clock.now();
    this.#wait(left > 0n ? left : 0n);
  }

  #armPeriodic(): void {
    if (!this.#counting) return;
    const period = BigInt(this.#initial) * this.#divider;
    const from = this.#clock.now() + (period < SHORTEST_PERIOD_NS ? SHORTEST_PERIOD_NS : 0n);
    const next = this.#start + ((from - this.#start) / period + 1n) * period;
    this.#wait(next - this.#clock.now());
  }

  #armDeadline(): void {
    if (this.#deadline === 0n) return;
    const left = this.#deadline - timestamp(this.#clock, this.#tscFrequency);
    if (left <= 0n) {
      this.#deadline = 0n;
      this.#expire();
      return;
    }
    const frequency = BigInt(this.#tscFrequency);
    const ns = (left * NS_PER_SECOND + frequency - 1n) / frequency;
    this.#wait(ns < LONGEST_WAIT_NS ? ns : LONGEST_WAIT_NS);
  }
}
