/** What the run loop and the board that it runs have to do with each other. */
import type { Stateful } from '../devices/state.ts';
import type { Vcpu } from '../engine/engine.ts';
import type { AccessCount } from './bus.ts';
import type { MachineClock } from './clock.ts';

/** How a run ended. */
export type Result =
  /** The guest switched the machine off. */
  | { readonly kind: 'poweredOff' }
  /** The guest asked for a reset and `noReboot` forbids one. */
  | { readonly kind: 'reset' }
  /** The guest wrote to the debug-exit port; `code` is (value << 1) | 1. */
  | { readonly kind: 'debugExit'; readonly code: number }
  /** A triple fault; the processor's registers are those of the moment. */
  | { readonly kind: 'shutdown' }
  | { readonly kind: 'timedOut' }
  /** `stop` was called. */
  | { readonly kind: 'stopped' };

/** What a board may ask of the run loop. Callable from devices at any time. */
export interface Supervisor {
  readonly clock: MachineClock;
  /** An interrupt line changed: the processor looks at its next boundary, and wakes when halted. */
  attention(): void;
  /** Ends the run (or, for a reset, restarts the guest) before the processor's next slice. */
  request(result: Result): void;
}

/** A part of a board's state. The version goes up when the fields change. */
export interface StateSection {
  readonly name: string;
  readonly version: number;
  readonly state: Stateful;
}

/** A processor wired to devices. */
export interface Board {
  readonly vcpu: Vcpu;
  /** What `powerOn` will need and is not there yet. */
  prepare(): Promise<void> | undefined;
  /** Power-on of a board whose processor was just reset: devices in their reset state, the boot source loaded anew. */
  powerOn(): void;
  /** State beyond the processor's and RAM, in the order in which it is restored. */
  sections(): readonly StateSection[];
  /** All state was restored: the guest hears that it is another machine now. */
  restored(): void;
  /** Bytes typed at the first serial port. */
  serialInput(bytes: Uint8Array): void;
  /** Bytes typed at the virtio console. */
  consoleInput(bytes: Uint8Array): void;
  /** Typed bytes that the guest has not taken yet. */
  waitingInput(): number;
  resize(columns: number, rows: number): void;
  pressPowerButton(): void;
  /** With a virtual clock: host I/O under way, which must end before time goes on. Undefined when there is none. */
  settle(): Promise<void> | undefined;
  /** Hands output still collected in devices to its sinks and waits for host I/O under way, without a trace in guest time. */
  quiesce(): Promise<void>;
  accesses(): ReadonlyMap<string, AccessCount>;
}
