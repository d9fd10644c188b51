/** How the command ends. */
import type { Result } from '../host/node/index.ts';

export const EXIT = {
  success: 0,
  /** A defect of Trapeze itself. */
  internal: 1,
  usage: 2,
  guestFailed: 3,
  timedOut: 4,
  /** `trapeze disk check`. */
  imageErrors: 1,
  imageLeaks: 3,
  /** `trapeze disk compare`. */
  imagesDiffer: 1,
  /** As a shell reports a death by SIGPIPE. */
  outputClosed: 141,
} as const;

/** The code of a run that ended by itself; `stopped` says what stopped it. */
export function exitCode(result: Result, stopped: number): number {
  switch (result.kind) {
    case 'poweredOff':
    case 'reset':
      return EXIT.success;
    case 'debugExit':
      return result.code & 0xff;
    case 'shutdown':
      return EXIT.guestFailed;
    case 'timedOut':
      return EXIT.timedOut;
    case 'stopped':
      return stopped;
    default:
      return result satisfies never;
  }
}
