/** `npm run soak`: Debian's Node and stress-ng in a guest (`test/soak/`). Ends with 1 where something is wrong, 2 for a wrong command line. */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { TIERS } from '../src/api/choices.ts';
import { parseSize } from '../src/api/size.ts';
import { type Failures, type SoakOptions, soakNode, soakStress } from '../test/soak/soak.ts';

const RUNS = { node: soakNode, stress: soakStress } as const;
const NAMES = Object.keys(RUNS) as (keyof typeof RUNS)[];
const LEAST_MIB = 512;

const HELP = `npm run soak [-- NAME…] [--minutes N] [--memory SIZE] [--tier TIER]

Runs Debian's programs in a guest for long and looks at what they compute and at the host's memory. Without a name all of these:
  node     Node 18's own benchmark programs, against what they print on the host
  stress   stress-ng with --verify

  --minutes N    how long stress-ng runs (60)
  --memory SIZE  of the guest (768M)
  --tier TIER    ${TIERS.join(', ')} (both)
  --help         this text

Examples:
  npm run soak -- stress --minutes 10
  npm run soak -- node --tier translator

Exit codes: 0 all is well, 1 something is wrong, 2 the command line is wrong.`;

function optionsOf(values: { minutes: string; memory: string; tier: string }): SoakOptions {
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: give a number above 0`);
  const bytes = parseSize(values.memory);
  const memoryMiB = Math.floor((bytes ?? 0) / 2 ** 20);
  if (memoryMiB < LEAST_MIB) throw new Error(`--memory ${values.memory}: give a size of at least ${LEAST_MIB}M`);
  const tier = TIERS.find((name) => name === values.tier);
  if (tier === undefined) throw new Error(`--tier ${values.tier}: choose from ${TIERS.join(', ')}`);
  return { minutes, memoryMiB, tier, say };
}

const say = (line: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);

function report(name: string, failures: Failures): void {
  for (const failure of failures) say(`FAILED: ${failure}`);
  say(failures.length === 0 ? `${name}: all is well` : `${name}: ${failures.length} failures`);
  if (failures.length > 0) process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '60' },
      memory: { type: 'string', default: '768M' },
      tier: { type: 'string', default: 'both' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    console.log(HELP);
    return;
  }
  const options = optionsOf(values);
  const wrong = positionals.find((name) => !(name in RUNS));
  if (wrong !== undefined) throw new Error(`no run ${wrong}: choose from ${NAMES.join(', ')}`);
  for (const name of NAMES) {
    if (positionals.length === 0 || positionals.includes(name)) report(name, await RUNS[name](options));
  }
}

try {
  await main();
} catch (error) {
  console.error(`npm run soak: ${(error as Error).message}`);
  process.exitCode = 2;
}
