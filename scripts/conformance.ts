/** `npm run conformance`: the long runs of `test/conformance/`. Ends with 1 where something differs, 2 for a wrong command line. */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { runLockstep } from '../test/conformance/lockstep-long.ts';
import { runCpu, runDecoder, runSensitivity, runStreams } from '../test/conformance/long-runs.ts';
import { runOverlay } from '../test/conformance/overlay-power-cuts.ts';
import { runTiers } from '../test/conformance/tier-boots.ts';
import { runQcow2 } from '../test/qcow2/long-run.ts';
import { runSnapshots } from '../test/snapshot/cycles.ts';
import { runHostile } from '../test/snapshot/hostile.ts';

const RUNS = {
  decoder: runDecoder,
  cpu: runCpu,
  streams: runStreams,
  sensitivity: runSensitivity,
  lockstep: runLockstep,
  tiers: runTiers,
  snapshots: runSnapshots,
  hostile: runHostile,
  overlay: runOverlay,
  qcow2: runQcow2,
} as const;
type Name = keyof typeof RUNS;

const HELP = `npm run conformance [-- NAME…] [--count N] [--seed S]

Holds Trapeze against what others made, at length. Without a name all of these, one after another:
  ${Object.keys(RUNS).join(', ')}

  --count N   cases of each run (its own default where this is left out)
  --seed S    the first of the random numbers; printed where it is left out, so that a run can be repeated
  --help      this text

Examples:
  npm run conformance -- cpu --count 30000 --seed 5   # random sequences against the host's processor
  npm run conformance -- streams --count 100000       # random bytes as code, on every tier
  npm run conformance -- lockstep                     # boots, register by register
  npm run conformance -- snapshots --count 1000       # a guest under load, saved and restored so often
  npm run conformance -- hostile --count 2000         # snapshots whose state was changed
  npm run conformance -- qcow2                        # disk images against qemu-img, damaged images, power cuts

Exit codes: 0 all agree, 1 something differs, 2 the command line is wrong.`;

function number(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${option} ${text}: give a whole number`);
  return value;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { count: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    console.log(HELP);
    return;
  }
  const wrong = positionals.find((name) => !(name in RUNS));
  if (wrong !== undefined) throw new Error(`no run ${wrong}: choose from ${Object.keys(RUNS).join(', ')}`);
  const names = positionals.length === 0 ? Object.keys(RUNS) : positionals;
  const count = number(values.count, '--count');
  const seed = number(values.seed, '--seed') ?? Date.now() % 2 ** 32;
  for (const name of names) if (!(await RUNS[name as Name]({ count, seed }))) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(`npm run conformance: ${(error as Error).message}`);
  process.exitCode = 2;
}
