/**
 * The run loop: runs a board's processor in slices so that the host's event loop breathes,
 * rings alarms in time, sleeps while the processor is halted, restarts the guest on reset.
 */
import type { Stateful, StateTransfer } from '../devices/state.ts';
import type { CodeStatistics, Vcpu } from '../engine/engine.ts';
import { UserError } from '../user-error.ts';
import type { Board, Result, StateSection, Supervisor } from './board.ts';
import type { AccessCount } from './bus.ts';
import type { ClockTime, MachineClock } from './clock.ts';
import { RealClock, SLICE_NS, VirtualClock } from './clock.ts';
import type { HostTime } from './host-services.ts';

/** Where a machine is in its life. */
export type MachineState = 'off' | 'running' | 'paused' | 'ended';

export interface MachineOptions {
  readonly time: HostTime;
  readonly clock: 'real' | 'virtual';
  /** A reset ends the run instead of restarting the guest. */
  readonly noReboot?: boolean | undefined;
  /** Host time after which the run ends as `timedOut`. */
  readonly timeoutMs?: number | undefined;
}

export interface MachineStatistics {
  /** Instructions retired since power-on, over all restarts. */
  readonly instructions: number;
  /** Of these, those before the snapshot that the machine was made of. */
  readonly instructionsBefore: number;
  /** Host nanoseconds from the start of the run to now or its end. */
  readonly wallNs: number;
  /** Host nanoseconds spent executing the guest, devices included. */
  readonly busyNs: number;
  /** Nanoseconds of guest time. */
  readonly guestNs: number;
  readonly restarts: number;
  /** Delivered exceptions and interrupts by vector, over all restarts. */
  readonly vectors: ReadonlyMap<number, number>;
  readonly decodedInstructions: number;
  /** What each processor's engine made of guest code; undefined for an engine that makes none. */
  readonly code: readonly (CodeStatistics | undefined)[];
  /** Accesses by device name. */
  readonly accesses: ReadonlyMap<string, AccessCount>;
}

/** Wall-clock time at power-on under the virtual clock: 2025-01-01 00:00:00 UTC. */
export const VIRTUAL_EPOCH_MS = 1_735_689_600_000;

export class Machine {
  readonly #options: MachineOptions;
  readonly #board: Board;
  readonly #clock: MachineClock;
  #requested: Result | undefined;
  #failure: Error | undefined;
  #executing = false;
  #retiredBeforeReset = 0;
  #instructionsBefore = 0;
  #restarts = 0;
  #busyNs = 0;
  #startedNs: bigint | undefined;
  #endedNs: bigint | undefined;
  #lastBreathNs = 0n;
  /** Until the board is built there is no processor to kick; devices may ask all the same. */
  #kick = (): void => {};
  #wake = (): void => {};
  /** Somebody wants the guest to stand still; it does when it rests. */
  #held = false;
  #resting = false;
  /** Those who wait for that, or for what makes it pointless: the end, or `resume`. */
  #pauseWaiters: (() => void)[] = [];
  #resetPressed = false;
  /** Those who look at a guest that stands still; a pause of nobody's making. */
  #lookers = 0;
  #isRestored = false;

  constructor(options: MachineOptions, build: (supervisor: Supervisor) => Board) {
    this.#options = options;
    let board: Board | undefined;
    this.#clock =
      options.clock === 'real'
        ? new RealClock(options.time)
        : new VirtualClock(() => this.#retiredBeforeReset + (board?.vcpu.retired() ?? 0), VIRTUAL_EPOCH_MS);
    board = build({
      clock: this.#clock,
      attention: () => this.#attention(),
      request: (result) => this.#request(result),
    });
    this.#board = board;
    this.#kick = () => this.#board.vcpu.kick();
    this.#clock.onEarlierAlarm(() => this.#kick());
  }

  get vcpu(): Vcpu {
    return this.#board.vcpu;
  }

  /**
   * Powers the machine on and runs it to its end. To be called once.
   * @throws UserError when the boot source cannot be loaded, and what `fail` was told.
   */
  async run(): Promise<Result> {
    const { time, timeoutMs } = this.#options;
    if (this.#startedNs !== undefined) throw new Error('a machine runs once');
    this.#startedNs = this.#lastBreathNs = time.nowNs();
    const cancel =
      timeoutMs === undefined ? (): void => {} : time.setTimer(timeoutMs, () => this.#request({ kind: 'timedOut' }));
    try {
      if (!this.#isRestored) this.#board.powerOn();
      else this.#clock.release();
      return await this.#loop();
    } catch (error) {
      // What came of it is of less interest.
      throw this.#failure ?? error;
    } finally {
      cancel();
      await this.#board.quiesce();
      this.#endedNs = time.nowNs();
      this.#announceRest();
    }
  }

  get state(): MachineState {
    if (this.#startedNs === undefined) return 'off';
    if (this.#endedNs !== undefined) return 'ended';
    return this.#resting ? 'paused' : 'running';
  }

  /**
   * Lets the guest stand still at the next boundary between slices, and resolves when it does, or when the run has ended.
   * Guest time stops, typed input waits. Before `run`: that will start with a pause.
   */
  pause(): Promise<void> {
    this.#held = true;
    return this.#untilResting();
  }

  #untilResting(): Promise<void> {
    if (this.state === 'off' || this.state === 'ended') return Promise.resolve();
    const resting = new Promise<void>((resolve) => this.#pauseWaiters.push(resolve));
    if (this.#resting) this.#announceRest();
    // A slice under way is not cut short: under a virtual clock a pause must not change where the guest is heard.
    this.#wake();
    return resting;
  }

  /** Ends a pause. */
  resume(): void {
    this.#held = false;
    this.#announceRest();
    this.#wake();
  }

  /** Presses the reset button: the guest restarts, whatever `noReboot` says of its own resets. A pause goes on. */
  reset(): void {
    this.#resetPressed = true;
    this.#attention();
  }

  /**
   * Does something while the guest stands still with nothing under way, and lets it go on.
   * @throws UserError when the machine does not run.
   */
  async whileResting<T>(act: () => Promise<T>): Promise<T> {
    this.#lookers += 1;
    try {
      while (this.state === 'running') await this.#untilResting();
      if (this.state !== 'paused') throw new UserError('the machine is not running: a snapshot needs one that runs');
      await this.#board.quiesce();
      return await act();
    } finally {
      this.#lookers -= 1;
      this.#wake();
    }
  }

  /** The guest's time, for a snapshot. */
  get time(): ClockTime {
    return { ns: this.#clock.now(), wallMs: this.#clock.wallTime() };
  }

  /** What a snapshot holds beside the processor, time and RAM, in the order in which it is restored. */
  sections(): readonly StateSection[] {
    return [{ name: 'machine', version: 1, state: this.#ownState }, ...this.#board.sections()];
  }

  /**
   * Puts the clock where it was, behind the processor and the section `machine` and before other sections.
   * When the run begins it goes on from there, or `jumps` to the host's.
   */
  restoreTime(time: ClockTime, jumps: boolean): void {
    this.#clock.restore(time, jumps);
  }

  /** Everything was restored: `run` goes on instead of powering on. */
  restored(): void {
    this.#isRestored = true;
    this.#instructionsBefore = this.#retiredBeforeReset + this.#board.vcpu.retired();
    this.#board.restored();
  }

  readonly #ownState: Stateful = {
    transferState: (state: StateTransfer): void => {
      const most = Number.MAX_SAFE_INTEGER;
      this.#retiredBeforeReset = state.integer('retiredBeforeReset', this.#retiredBeforeReset, 0, most);
      this.#restarts = state.integer('restarts', this.#restarts, 0, most);
      const resets = state.flag('resetRequested', this.#requested?.kind === 'reset' || this.#resetPressed);
      if (state.restoring) this.#resetPressed = resets;
    },
  };

  /**
   * The guest has lost something for good: the run ends by this error, before another instruction. Throws it where the processor is at
   * work, else answers false.
   */
  fail(error: Error): false {
    this.#failure ??= error;
    if (this.#executing) throw this.#failure;
    this.#attention();
    return false;
  }

  /**
   * The processor waited in the middle of an instruction, and with it all that the host has to do: if that was long the host has its turn
   * behind this instruction. Under the virtual clock only the guest decides where a slice ends.
   */
  waited(): void {
    const { time, clock } = this.#options;
    if (clock === 'real' && time.nowNs() - this.#lastBreathNs > SLICE_NS) this.#kick();
  }

  /** Ends the run as `stopped`. */
  stop(): void {
    this.#request({ kind: 'stopped' });
  }

  serialInput(bytes: Uint8Array): void {
    this.#board.serialInput(bytes);
    this.#attention();
  }

  consoleInput(bytes: Uint8Array): void {
    this.#board.consoleInput(bytes);
    this.#attention();
  }

  /** Typed bytes that the guest has not taken yet. */
  waitingInput(): number {
    return this.#board.waitingInput();
  }

  /** The terminal's new size, for the virtio console. */
  resize(columns: number, rows: number): void {
    this.#board.resize(columns, rows);
    this.#attention();
  }

  /** Asks the guest through ACPI to shut down. */
  pressPowerButton(): void {
    this.#board.pressPowerButton();
    this.#attention();
  }

  statistics(): MachineStatistics {
    const started = this.#startedNs;
    const until = this.#endedNs ?? this.#options.time.nowNs();
    const { vectors, decodedInstructions, code } = this.#board.vcpu.statistics();
    return {
      instructions: this.#retiredBeforeReset + this.#board.vcpu.retired(),
      instructionsBefore: this.#instructionsBefore,
      wallNs: started === undefined ? 0 : Number(until - started),
      busyNs: this.#busyNs,
      guestNs: Number(this.#clock.now()),
      restarts: this.#restarts,
      vectors,
      decodedInstructions,
      code: [code],
      accesses: this.#board.accesses(),
    };
  }

  async #loop(): Promise<Result> {
    for (;;) {
      if (this.#held || this.#lookers > 0) await this.#rest();
      const settled = this.#board.settle();
      if (settled !== undefined) await settled;
      this.#clock.ringDue();
      if (this.#restartRequested()) await this.#board.prepare();
      const ended = this.#serveRequest();
      if (ended !== undefined) return ended;
      const exit = this.#runSlice();
      switch (exit.kind) {
        case 'halted':
          await this.#sleep();
          break;
        case 'budgetSpent':
          break;
        case 'shutdown':
          this.#requested ??= { kind: 'shutdown' };
          break;
        default:
          exit satisfies never;
      }
      if (this.#options.time.nowNs() - this.#lastBreathNs > SLICE_NS) await this.#breathe();
    }
  }

  #runSlice(): ReturnType<Vcpu['run']> {
    const { time } = this.#options;
    const { vcpu } = this.#board;
    const before = vcpu.retired();
    const start = time.nowNs();
    const exit = this.#execute(this.#clock.budget());
    const spent = Number(time.nowNs() - start);
    this.#busyNs += spent;
    this.#clock.ran(vcpu.retired() - before, spent);
    return exit;
  }

  #execute(budget: number): ReturnType<Vcpu['run']> {
    this.#executing = true;
    try {
      return this.#board.vcpu.run(budget);
    } finally {
      this.#executing = false;
    }
  }

  async #sleep(): Promise<void> {
    // Guest time stands still while host I/O is under way: the loop settles that first.
    const isAsked = this.#resetPressed || this.#requested !== undefined || this.#failure !== undefined;
    const waits = this.#held || this.#lookers > 0 || isAsked;
    if (waits || this.#board.settle() !== undefined) return;
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    await this.#clock.idle(woken);
  }

  /** The guest stands still until somebody resumes or ends it. */
  async #rest(): Promise<void> {
    this.#clock.hold();
    this.#resting = true;
    const settled = this.#board.settle();
    if (settled !== undefined) await settled;
    while ((this.#held || this.#lookers > 0) && !this.#endRequested()) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      this.#announceRest();
      await woken;
    }
    this.#resting = false;
    this.#clock.release();
  }

  #announceRest(): void {
    for (const tell of this.#pauseWaiters.splice(0)) tell();
  }

  #restartRequested(): boolean {
    return this.#resetPressed || (this.#requested?.kind === 'reset' && !this.#endRequested());
  }

  /** What was asked for ends the run, unlike a reset that restarts the guest. */
  #endRequested(): boolean {
    if (this.#failure !== undefined) return true;
    const requested = this.#requested;
    return requested !== undefined && (requested.kind !== 'reset' || this.#options.noReboot === true);
  }

  /** Lets the host's other work run: disks, terminals, timers. */
  async #breathe(): Promise<void> {
    await this.#options.time.breathe();
    this.#lastBreathNs = this.#options.time.nowNs();
  }

  /** Ends the run with what was asked for, or restarts the guest. */
  #serveRequest(): Result | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#endRequested()) return this.#requested;
    if (!this.#restartRequested()) return undefined;
    this.#requested = undefined;
    this.#resetPressed = false;
    this.#restarts += 1;
    // Both at once: virtual time must not go back, and devices look at it while they reset.
    this.#retiredBeforeReset += this.#board.vcpu.retired();
    this.#board.vcpu.reset();
    this.#board.powerOn();
    return undefined;
  }

  #request(result: Result): void {
    // A guest that resets over and over must not keep a time limit or a person from ending the run.
    if (this.#requested === undefined || this.#requested.kind === 'reset') this.#requested = result;
    this.#attention();
  }

  #attention(): void {
    this.#kick();
    this.#wake();
  }
}
