/** Long runs of real programs in a guest: a wrong result, a complaint of the guest's kernel or growing memory is a failure. */
import { DebianUnavailable } from '../support/debian.ts';
import { debianRoot, jobInitramfs, jobOutput, runOnHost } from '../support/debian-root.ts';
import { debianGuest } from '../support/guests.ts';
import { NODE, programsJob, resultsIn, secondsIn } from '../support/programs.ts';
import { runGuest, type SoakGuest } from './guest-process.ts';
import { memoryTrend } from './memory-trend.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly memoryMiB: number;
  readonly tier: string;
  readonly say: (line: string) => void;
}

/** What went wrong; nothing where all is well. */
export type Failures = readonly string[];

/** Booting, and stressors that come late to their end. */
const EXTRA_SECONDS = 900;
const NODE_SECONDS = 1800;
const MIB = 2 ** 20;

/** What a kernel prints when something is wrong below it or in it. */
const COMPLAINT =
  /kernel panic|\boops\b|\bBUG\b|WARNING:|segfault|general protection|invalid opcode|trap |soft lockup|hung_task|rcu.*stall|Machine check|clocksource.*unstable/i;
const STRESS_FAILURE = /^stress-ng: (fail|error):|unsuccessful|corrupt/i;

/** What stresses the guest, beside `--verify`; two thirds of the smallest guest are for memory. */
const STRESSORS = '--cpu 1 --vm 1 --vm-bytes 96M --fork 1 --switch 1 --mmap 1 --mmap-bytes 96M --icache 1';

async function kernel(): Promise<string> {
  const guest = await debianGuest('cloud-amd64');
  if ('missing' in guest) throw new DebianUnavailable(guest.missing);
  return guest.kernel;
}

/** Node in the guest and the same Node on the host print the same. */
export async function soakNode({ memoryMiB, tier, say }: SoakOptions): Promise<Failures> {
  const root = await debianRoot(NODE.name, NODE.packages);
  const expected = await runOnHost(root, NODE.command, NODE.programs);
  say('node: its programs, compared with the same Node on the host');
  const guest: SoakGuest = {
    kernel: await kernel(),
    root: root.initrd,
    job: programsJob(NODE),
    memoryMiB: Math.max(memoryMiB, 1024),
    tier,
    timeoutSeconds: NODE_SECONDS,
  };
  const { text } = await runGuest(guest, { line: (line) => say(`  ${line}`), minute: () => {} });
  const output = jobOutput(text);
  if (output === undefined) return ['node: the guest did not come to its end'];
  say(`node: seconds in the guest: ${secondsIn(output.printed).join(', ')}`);
  const results = resultsIn(output.printed);
  return results === expected && output.status === 0
    ? complaintsIn(text)
    : [`node: status ${output.status}; the host printed\n${expected}the guest\n${results}`];
}

const complaintsIn = (text: string): string[] =>
  text.split('\n').filter((line) => COMPLAINT.test(line) || STRESS_FAILURE.test(line));

const stressJob = (seconds: number): Uint8Array =>
  jobInitramfs(`while sleep 60; do echo "GUEST $(cat /proc/uptime) load $(cat /proc/loadavg)"; done &
stress-ng ${STRESSORS} --verify --metrics-brief -t ${seconds}
`);

/** stress-ng, with its own checks of what it computes. */
export async function soakStress({ minutes, memoryMiB, tier, say }: SoakOptions): Promise<Failures> {
  const root = await debianRoot('stress-ng', ['stress-ng']);
  const seconds = Math.round(minutes * 60);
  say(`stress-ng: ${STRESSORS} --verify for ${minutes} minutes`);
  const samples: number[] = [];
  const guest: SoakGuest = {
    kernel: await kernel(),
    root: root.initrd,
    job: stressJob(seconds),
    memoryMiB,
    tier,
    timeoutSeconds: seconds + EXTRA_SECONDS,
  };
  const { text, code } = await runGuest(guest, {
    line: (line) => say(`  ${line}`),
    minute: (count, bytes) => {
      if (bytes !== undefined) samples.push(bytes);
      say(`minute ${count}: ${bytes === undefined ? '?' : (bytes / MIB).toFixed(1)} MB beyond guest RAM`);
    },
  });
  const output = jobOutput(text);
  const ending =
    output?.status === 0 ? [] : [`stress-ng: ${output ? `status ${output.status}` : `the guest ended with ${code}`}`];
  return [...ending, ...complaintsIn(text), ...memoryFailures(samples, say)];
}

function memoryFailures(samples: readonly number[], say: (line: string) => void): string[] {
  const trend = memoryTrend(samples);
  if (trend === undefined) {
    say('memory: too short a run to say anything');
    return [];
  }
  const [before, after] = [trend.before, trend.after].map((bytes) => `${(bytes / MIB).toFixed(1)} MB`);
  const line = `memory: ${before} after the first quarter, ${after} at the end: ${trend.flat ? 'flat within 10 %' : 'not flat'}`;
  say(line);
  return trend.flat ? [] : [line];
}
