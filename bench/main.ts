/** `npm run bench`: Trapeze beside QEMU's TCG, v86 and the host's processor. */
import { openSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileProblem } from '../src/host/node/file-problem.ts';
import { UserError } from '../src/user-error.ts';
import { execute } from './execute.ts';
import { guestFiles } from './guest-files.ts';
import { machineInfo } from './machine-info.ts';
import { type Measurement, measurements, names } from './measurements.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { native } from './peers/native.ts';
import { page } from './peers/page.ts';
import { PEERS, type Peer, type PeerName } from './peers/peer.ts';
import { qemuTcg } from './peers/qemu-tcg.ts';
import { trapeze } from './peers/trapeze.ts';
import { v86 } from './peers/v86.ts';
import { jsonReport } from './report/json.ts';
import { htmlReport } from './report/page.ts';
import type { Report } from './report/report.ts';
import { textReport } from './report/text.ts';
import { Results } from './results.ts';

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

/** Loud, since a comparison that is not made must not look like one that was. */
const skip = (reason: string): void => say(`SKIPPED: ${reason}`);

const OPENED: Record<PeerName, (progress: (line: string) => void) => Peer | { readonly missing: string }> = {
  trapeze,
  page,
  'qemu-tcg': qemuTcg,
  v86,
  native,
};

function availablePeers({ peers }: Options): Peer[] {
  const found: Peer[] = [];
  for (const name of PEERS.filter((peer) => peers.includes(peer))) {
    const peer = OPENED[name](say);
    if ('missing' in peer) skip(`the comparison with ${name}: ${peer.missing}`);
    else found.push(peer);
  }
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
  const run = await execute(command, measurement.watch);
  const samples = measurement.read(run);
  for (const sample of samples) results.add(peer.name, sample);
  say(`${label} ${run.seconds.toFixed(1)} s`);
  const lacking = measurement.results.filter((name) => !samples.some((sample) => sample.name === name));
  if (run.failure === undefined && lacking.length === 0) return;
  // The other measurements are worth having all the same.
  const problem = run.failure ?? `printed no result of ${lacking.join(', ')}`;
  say(`${label} FAILED: ${command.file} ${problem}\n${run.output.slice(-2000)}`);
  results.problems.push(`${measurement.name}: ${peer.name} failed: ${problem}`);
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
  const html = options.html === undefined ? undefined : openForWriting(options.html);
  const peers = availablePeers(options);
  const info = machineInfo();
  const { rows, problems } = await measure(all, peers, options.runs);
  const report: Report = { info, peers, runs: options.runs, repeats: options.repeats, rows, problems };
  console.log(textReport(report).join('\n'));
  if (json !== undefined) writeFileSync(json, jsonReport(report));
  if (html !== undefined) writeFileSync(html, htmlReport(report));
  for (const line of problems) say(`PROBLEM: ${line}`);
  if (problems.length > 0) process.exitCode = 1;
}

/** Before measuring: a name that cannot be written should not cost the measurements. */
function openForWriting(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw fileProblem(path, error);
  }
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
