/** The long runs of `npm run conformance`: print as they go, and return whether all was well. */
import { X86_NAMES, x86Architecture } from '../../src/isa/classify/x86/architectures.ts';
import { CpuCheck } from './cpu-check.ts';
import { checkDecoder, formatDifference } from './decoder-check.ts';
import { nativeUnavailable } from './native-run.ts';
import { Progress } from './progress.ts';
import { runStreamCheck } from './random-streams.ts';
import { SensitivityCheck } from './sensitivity-check.ts';

export interface RunOptions {
  /** How many cases; undefined: as many as the project promises. */
  readonly count: number | undefined;
  readonly seed: number;
}

const DECODER_STRINGS = 5_000_000;
const CPU_CASES = 200_000;
const STREAMS = 1_000_000;
const SENSITIVITY_EVALUATIONS = 10_000_000;
const SHOWN = 50;

function start(name: string, count: number, seed: number): Progress {
  console.log(`${name}: ${count} cases, seed ${seed}`);
  return new Progress(name, count);
}

export function runDecoder({ count = DECODER_STRINGS, seed }: RunOptions): boolean {
  const progress = start('decoder', count, seed);
  const report = checkDecoder(count, seed, (done) => progress.at(done));
  for (const difference of report.differences.slice(0, SHOWN)) console.log(formatDifference(difference));
  console.log(
    `decoder: ${report.valid} of ${report.strings} strings are instructions; ${report.differing} differences from iced-x86`,
  );
  if (report.unseen.length > 0) console.log(`  never met: ${report.unseen.join(' ')}`);
  return report.differing === 0;
}

export function runCpu({ count = CPU_CASES, seed }: RunOptions): boolean {
  const reason = nativeUnavailable();
  if (reason !== undefined) {
    console.log(`cpu: SKIPPED, ${reason}`);
    return true;
  }
  const progress = start('cpu', count, seed);
  const check = new CpuCheck();
  const report = check.run(count, seed, { progress: (done, failures) => progress.at(done, `, ${failures} failures`) });
  check.close();
  for (const failure of report.failures.slice(0, SHOWN))
    console.log(`case ${failure.number}, ${failure.engine}:\n${failure.text}`);
  const ends = [...report.vectors].map(([vector, n]) => `${vector}: ${n}`).join(', ');
  console.log(
    `cpu: ${report.rows} rows; ${report.skipped} cases left out; ${report.failures.length} failures; ${report.unrepeated} differences that the host did not repeat; ended by vector ${ends}`,
  );
  return report.failures.length === 0;
}

export function runStreams({ count = STREAMS, seed }: RunOptions): boolean {
  const progress = start('streams', count, seed);
  const report = runStreamCheck(count, seed, (done) => progress.at(done));
  for (const failure of report.failures.slice(0, SHOWN)) console.log(failure);
  console.log(
    `streams: ${report.instructions} instructions; ${report.failures.length} failures; ends ${JSON.stringify(report.ends)}`,
  );
  return report.failures.length === 0;
}

export function runSensitivity({ count = SENSITIVITY_EVALUATIONS, seed }: RunOptions): boolean {
  console.log(`sensitivity: ${count} cases, seed ${seed}`);
  const each = Math.ceil(count / X86_NAMES.length);
  let disagreements = 0;
  let total = 0;
  for (const name of X86_NAMES) {
    const check = new SensitivityCheck(x86Architecture(name)!, seed);
    const progress = new Progress(`sensitivity: ${name}`, each);
    const report = check.run(each, (done) => progress.at(done));
    for (const { verdict, problem } of report.disagreements)
      console.log(`${name}: ${verdict.name} ${verdict.case}: ${problem}`);
    const unseen =
      report.unwitnessed.length === 0 ? '' : `; no state showed ${report.unwitnessed.join(' ')} to be sensitive`;
    console.log(
      `sensitivity: ${name}: ${report.instructionCases} instruction cases, ${report.evaluations} evaluations, ${report.completed} without a trap, ${report.disagreements.length} disagreements${unseen}`,
    );
    disagreements += report.disagreements.length;
    total += report.evaluations;
  }
  console.log(`sensitivity: ${total} evaluations; ${disagreements} disagreements`);
  return disagreements === 0;
}
