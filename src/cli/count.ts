/** `trapeze count`: what a guest executes that a monitor would have to care about. */
import process from 'node:process';
import { type CountingMachine, createCountingMachine, restoreCountingMachine } from '../api/count.ts';
import { COST_TABLES, type Estimate, estimate, type InstructionCount, type RunCounts } from '../api/estimates.ts';
import { OptionError } from '../api/options.ts';
import { nodeHost } from '../host/node/host.ts';
import { type Result, UserError } from '../host/node/index.ts';
import { restoreFrom } from '../host/node/restore.ts';
import type { CostTableName } from './count-choices.ts';
import { EXIT, exitCode } from './exit-codes.ts';
import { showProgress } from './progress.ts';
import { restored } from './run.ts';
import { flagOf, machineOptions, type RunFlags, refuseAlone, restoreOptions } from './run-options.ts';
import { summary } from './run-statistics.ts';

export interface CountFlags extends Omit<RunFlags, 'serial' | 'reboot'> {
  readonly command?: string;
  readonly costs?: CostTableName;
  readonly format: 'text' | 'json';
}

const STDIO = { kind: 'stdio' } as const;
/** What the embedded guest's shell shows when it waits. */
const PROMPT = '# ';
const POWER_OFF = 'trapeze.poweroff';

/** Runs a guest and prints its counts; the result is the exit code of the command. */
export async function count(flags: CountFlags): Promise<number> {
  if (flags.command !== undefined && flags.kernel !== undefined)
    throw new UserError('--command is typed at the shell of the embedded guest: leave out --kernel');
  const counting = await create(flags);
  const clear = showProgress(() => `counting (${summary(counting.machine.statistics())})`);
  const result = await execute(counting, flags).finally(clear);
  const counts = counting.counts();
  const title = flags.command === undefined ? 'the whole run' : `\`${flags.command}\``;
  process.stdout.write(flags.format === 'json' ? json(counts) : text(title, counts, flags.costs));
  return exitCode(result, EXIT.success);
}

async function create(given: CountFlags): Promise<CountingMachine> {
  const flags: RunFlags = { ...given, serial: 'stdio', reboot: false };
  const { kernel, snapshot } = flags;
  const powersOff = kernel === undefined && given.command === undefined;
  const append = [flags.append, powersOff ? POWER_OFF : ''].filter(Boolean).join(' ') || undefined;
  try {
    if (snapshot === undefined) {
      refuseAlone(flags, ['time', 'load', 'base']);
      return await createCountingMachine(nodeHost, machineOptions({ ...flags, append }, STDIO));
    }
    let made: CountingMachine | undefined;
    await restored(snapshot, restoreOptions(flags, STDIO), {
      restore: (file, options) =>
        restoreFrom(
          file,
          options,
          async (source, all) => (made = await restoreCountingMachine(nodeHost, source, all)).machine,
        ),
    });
    return made!;
  } catch (error) {
    if (error instanceof OptionError) throw new UserError(`${flagOf(error.option)}: ${error.problem}`);
    throw error;
  }
}

/** Without a command the run from its start to its end; with one, from the prompt on, where a snapshot is thought to be. */
async function execute(counting: CountingMachine, { command, snapshot }: CountFlags): Promise<Result> {
  const { machine } = counting;
  if (command !== undefined && snapshot !== undefined) machine.write(`${command}\npoweroff\n`);
  if (command === undefined || snapshot !== undefined) return machine.run();
  const running = machine.run();
  const type = async (): Promise<void> => {
    await machine.waitForText(PROMPT);
    counting.start();
    machine.write(`${command}\npoweroff\n`);
  };
  // Where the guest ends before its prompt, the run's own result says so.
  await Promise.race([type().catch(() => {}), running]);
  return running;
}

// --- printing ---------------------------------------------------------------------------------------------------------------------

const grouped = (n: number): string => n.toLocaleString('en-US');

function line(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((c, i) => (i === 0 ? c.padEnd(widths[i]) : c.padStart(widths[i])))
    .join('  ')
    .trimEnd();
}

function kindsTable(kinds: readonly InstructionCount[], instructions: number): string {
  const perMillion = (n: number): string => ((n * 1e6) / instructions).toFixed(1);
  const rows = kinds.map((k) => [
    k.case === '' ? k.name : `${k.name} ${k.case}`,
    k.level,
    k.class,
    grouped(k.count),
    perMillion(k.count),
  ]);
  const all = [['instruction', 'level', 'class', 'count', 'per million'], ...rows];
  const widths = all[0].map((_, i) => Math.max(...all.map((r) => r[i].length)));
  return all.map((r) => line(r, widths)).join('\n');
}

function estimateText(e: Estimate): string {
  const rows = [...e.rows.map((r) => [r.event, grouped(r.count)]), ['entries of the monitor', grouped(e.entries)]];
  const widths = [Math.max(...rows.map((r) => r[0].length)), Math.max(...rows.map((r) => r[1].length))];
  return [e.technique, ...rows.map((r) => `  ${line(r, widths)}`), `  (${e.caveat})`].join('\n');
}

function costText(estimates: readonly Estimate[], name: CostTableName): string {
  const { cyclesPerExit, source } = COST_TABLES[name];
  const rows = estimates
    .filter((e) => e.technique.startsWith('VT-x'))
    .map((e) => `  ${e.technique}: ${grouped(e.entries)} exits, ${grouped(e.entries * cyclesPerExit)} cycles`);
  return [
    `A model, not a measurement: ${grouped(cyclesPerExit)} cycles for each exit (${name}: ${source})`,
    ...rows,
  ].join('\n');
}

function text(title: string, run: RunCounts, costs: CostTableName | undefined): string {
  const estimates = estimate(run);
  const byClass = Map.groupBy(run.kinds, (k) => `${k.class}, ${k.level}`);
  const totals = [...byClass].map(([c, all]) => {
    const total = all.reduce((n, k) => n + k.count, 0);
    return `  ${c}: ${grouped(total)} (${((total * 1e6) / run.instructions).toFixed(1)} per million)`;
  });
  return [
    `Counted over ${title}: ${grouped(run.instructions)} instructions, ${grouped(run.exceptions)} exceptions (${grouped(run.pageFaults)} page faults), ${grouped(run.interrupts)} interrupts,`,
    `${grouped(run.deviceAccesses)} accesses to device registers, at least ${grouped(run.pageTableWrites)} page-table writes`,
    '',
    ...totals,
    '',
    kindsTable(run.kinds, run.instructions),
    '',
    'What each technique would have had to do for this run (estimates)',
    '',
    estimates.map(estimateText).join('\n\n'),
    ...(costs === undefined ? [] : ['', costText(estimates, costs)]),
    '',
  ].join('\n');
}

const json = (run: RunCounts): string => `${JSON.stringify({ ...run, estimates: estimate(run) }, null, 2)}\n`;
