import type { ByteQueue } from './byte-queue.ts';

/** A keyboard or mouse at the end of a PS/2 cable. */
export interface Ps2Device {
  /** Bytes on their way to the controller. */
  readonly output: ByteQueue;
  /** A byte from the controller. */
  write(byte: number): void;
  reset(): void;
}

/** Answers of every PS/2 device. */
export const PS2_ACKNOWLEDGE = 0xfa;
export const PS2_RESEND = 0xfe;
export const PS2_SELF_TEST_PASSED = 0xaa;
