import { UserError } from '../user-error.ts';

/** Why a snapshot is refused, as one line. */
export function snapshotProblem(problem: string): UserError {
  return new UserError(`the snapshot cannot be opened: ${problem}`);
}

/** For bytes that are not as they were written. */
export function damaged(what: string): UserError {
  return snapshotProblem(`it is damaged (${what}); copy or save it again`);
}
