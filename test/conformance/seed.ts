/** The seed of the short runs in `npm test`: always the same, so that a change breaks them and not a date; the long runs take new ones. */
import process from 'node:process';

const SEED = 20779;

/** `CONFORMANCE_SEED`, or the one of every day. */
export function shortRunSeed(): number {
  const given = process.env.CONFORMANCE_SEED;
  return given === undefined ? SEED : Number(given);
}
