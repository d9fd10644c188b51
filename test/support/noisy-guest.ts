/** Large snapshots, for tests. */
import { Machine } from '../../src/host/node/index.ts';
import { PROMPT } from './boot.ts';
import { saved } from './snapshots.ts';

export const NOISY_MEMORY = 160 * 2 ** 20;
const NOISE_MB = 48;
const SUM = /([0-9a-f]{32}) {2}\/tmp\/noise/;

interface NoisyGuest {
  /** At its prompt; most of its memory is noise, in `/tmp/noise`. */
  readonly snapshot: Uint8Array;
  /** What is other a little later: the shell has a variable `later`, which is 42. */
  readonly changes: Uint8Array;
  /** Of the noise, as `md5sum` prints it. */
  readonly sum: string;
}

interface NoisyMachine {
  readonly machine: Machine;
  readonly ended: Promise<unknown>;
  readonly sum: string;
}

/** A running guest at its prompt with so many megabytes of noise in its memory. */
export async function noisyMachine(memory: number, megabytes: number): Promise<NoisyMachine> {
  const machine = await Machine.create({ memory });
  const ended = machine.run();
  await machine.waitForText(PROMPT);
  machine.write(`dd if=/dev/urandom of=/tmp/noise bs=1M count=${megabytes} 2>/dev/null; md5sum /tmp/noise\n`);
  const [sum] = (await machine.waitForText(SUM)).groups;
  await machine.waitForText(PROMPT);
  return { machine, ended, sum: sum! };
}

export async function guestWithNoise(): Promise<NoisyGuest> {
  const { machine, ended, sum } = await noisyMachine(NOISY_MEMORY, NOISE_MB);
  const snapshot = await saved(machine);
  machine.write('later=$((6*7))\n');
  await machine.waitForText(PROMPT);
  const changes = await saved(machine, snapshot);
  machine.stop();
  await ended;
  return { snapshot, changes, sum };
}
