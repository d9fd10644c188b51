/** `npm run bench`: Trapeze beside QEMU's TCG and the host's processor. */
import { openSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileProblem } from '../src/host/node/file-problem.ts';
import { UserError } from '../src/user-error.ts';
import { execute } from './execute.ts';
import { guestFiles } from './guest-files.ts';
import { type MachineInfo, machineInfo } from './machine-info.ts';
import { type Measurement, measurements, names } from './measurements.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { native } from './peers/native.ts';
import type { Peer } from './peers/peer.ts';
import { qemuTcg } from './peers/qemu-tcg.ts';
import { trapeze } from './peers/trapeze.ts';
import { heading, LEGEND, table } from './report.ts';
import { Results } from './results.ts';

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

/** Loud, since a comparison that is not made must not look like one that was. */
const skip = (reason: string): void => say(`SKIPPED: ${reason}`);

function availablePeers({ peers }: Options): Peer[] {
  const found: Peer[] = [];
  if (peers.includes('trapeze')) found.push(trapeze());
  if (peers.includes('qemu-tcg')) {
    const qemu = qemuTcg(say);
    if ('missing' in qemu) skip(`the comparison with QEMU: ${qemu.missing}`);
    else found.push(qemu);
  }
  if (peers.includes('native')) found.push(native());
  return found;
}

async function measure(all: readonly Measurement[], peers: readonly Peer[], runs: number): Promise<Results> {
  const results = new Results();
  for (let run = 0; run < runs; run++) {
    // Who goes first changes, so that nobody always gets the machine warmed up.
    const turn = run % 2 === 0 ? peers : [...peers].reverse();
    for (const measurement of all)
      for (const peer of turn) await measureOnce(measurement, peer, results, `${run + 1}/${runs}`);
  }
  return results;
}

async function measureOnce(measurement: Measurement, peer: Peer, results: Results, turn: string): Promise<void> {
  const command = peer.command(measurement.job);
  if (command === undefined) return;
  const label = `[${turn}] ${measurement.name}: ${peer.name}`;
  try {
    const run = await execute(command, measurement.watch);
    const samples = measurement.read(run);
    if (samples.length === 0) throw new Error(`printed no result\n${run.output}`);
    for (const sample of samples) results.add(peer.name, sample);
    say(`${label} ${run.seconds.toFixed(1)} s`);
  } catch (error) {
    // The other measurements are worth having all the same.
    say(`${label} FAILED: ${(error as Error).message}`);
    results.problems.push(`${measurement.name}: ${peer.name} failed`);
  }
}

async function bench(options: Options): Promise<void> {
  const files = await guestFiles();
  if (options.list) {
    console.log(names(files).join('\n'));
    return;
  }
  for (const reason of files.missing) skip(reason);
  const all = measurements(files, options);
  if (all.length === 0) throw new UserError(`--only ${options.only}: nothing has that in its name; see --list`);
  const json = options.json === undefined ? undefined : openForWriting(options.json);
  const peers = availablePeers(options);
  const info = machineInfo();
  const results = await measure(all, peers, options.runs);
  console.log([...heading(info, peers, options.runs), '', ...table(results.rows, peers), LEGEND].join('\n'));
  if (json !== undefined) writeFileSync(json, toJson(info, peers, options, results));
  for (const line of results.problems) say(`PROBLEM: ${line}`);
  if (results.problems.length > 0) process.exitCode = 1;
}

/** Before measuring: a name that cannot be written should not cost the measurements. */
function openForWriting(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw fileProblem(path, error);
  }
}

function toJson(info: MachineInfo, peers: readonly Peer[], { runs, repeats }: Options, results: Results): string {
  const versions = Object.fromEntries(peers.map(({ name, version }) => [name, version]));
  const { rows, problems } = results;
  return `${JSON.stringify({ info, versions, runs, repeats, rows, problems }, null, 2)}\n`;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(HELP);
  else await bench(options);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  say(error.message);
  process.exitCode = 2;
}
