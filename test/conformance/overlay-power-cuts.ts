/** The long run of the persistent overlay: lives ended by losses of power. */
import fc from 'fast-check';
import { fillAndDieEverywhere, LIVES, live, liveAndDieEverywhere, STEPS } from '../support/overlay-lives.ts';
import type { RunOptions } from './long-runs.ts';
import { Progress } from './progress.ts';

const FILES = 20_000;
/** Workloads that are cut at each of their writes cost as much as many that are cut once. */
const FILES_PER_WORKLOAD = 20;

/** Prints as it goes; whether all that was flushed was there. */
export async function runOverlay({ count = FILES, seed }: RunOptions): Promise<boolean> {
  const workloads = Math.ceil(count / FILES_PER_WORKLOAD);
  console.log(`overlay: ${count} files, ${workloads} workloads, seed ${seed}`);
  const progress = new Progress('overlay', count + workloads);
  let done = 0;
  const files = fc.asyncProperty(LIVES, async (lives) => {
    await live(lives);
    progress.at(++done);
  });
  const everywhere = fc.asyncProperty(STEPS, fc.nat(), async (steps, start) => {
    await liveAndDieEverywhere(steps, start);
    await fillAndDieEverywhere(steps, start);
    progress.at(++done);
  });
  try {
    await fc.assert(files, { numRuns: count, seed });
    await fc.assert(everywhere, { numRuns: workloads, seed });
  } catch (error) {
    console.log((error as Error).message);
    return false;
  }
  console.log(
    `overlay: ${count} files and ${workloads} workloads, cut at each write, also while a snapshot's changes come; nothing that was flushed is missing`,
  );
  return true;
}
