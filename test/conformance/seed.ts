/** Seeds of the short runs in `npm test`: another each day, so that they find something in time, and always printed. */
import process from 'node:process';

const DAY_MS = 24 * 60 * 60 * 1000;

/** `CONFORMANCE_SEED`, or the number of today. */
export function seedOfTheDay(): number {
  const given = process.env.CONFORMANCE_SEED;
  return given === undefined ? Math.floor(Date.now() / DAY_MS) : Number(given);
}
