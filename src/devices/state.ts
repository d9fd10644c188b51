/** How a device's state gets into a snapshot and out of one. */
import type { Alarm, Clock } from './contract.ts';

/**
 * Carries state in one direction: into a snapshot, or, while `restoring`, out of one. A device names each of its fields once,
 * `this.#mask = state.byte('mask', this.#mask)`: saving notes the value and gives it back, restoring ignores it and gives what was noted.
 * What comes out of a snapshot was checked: it has the type and lies in the range that the call names, or the call throws a `UserError`.
 */
export interface StateTransfer {
  readonly restoring: boolean;
  /** A whole number from `least` to `most`, which are exact as numbers. */
  integer(name: string, value: number, least: number, most: number): number;
  byte(name: string, value: number): number;
  word(name: string, value: number): number;
  doubleword(name: string, value: number): number;
  /** A whole number of any sign, of at most 128 bits. */
  big(name: string, value: bigint): bigint;
  flag(name: string, value: boolean): boolean;
  choice<T extends string>(name: string, value: T, choices: readonly T[]): T;
  /** A number that may be missing. */
  optional(name: string, value: number | undefined, least: number, most: number): number | undefined;
  /** At most `most` bytes. */
  bytes(name: string, value: Uint8Array, most: number): Uint8Array;
  /** A register file of fixed size, restored in place. */
  file(name: string, file: Uint8Array): void;
  /** Fields of their own under a name. */
  part(name: string, carry: (state: StateTransfer) => void): void;
  /** `length` parts, at most `most`; the result is how many there are. */
  list(name: string, length: number, most: number, carry: (state: StateTransfer, index: number) => void): number;
  /** An alarm, restored to ring when it would have. */
  alarm(name: string, clock: Clock, alarm: Alarm | undefined, ring: () => void): Alarm | undefined;
  /** While restoring: refuses a snapshot in which fields contradict each other. */
  require(fits: boolean, problem: string): void;
}

/** What has state that outlives a snapshot. */
export interface Stateful {
  transferState(state: StateTransfer): void;
}
