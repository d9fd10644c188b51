/** The options of `trapeze count`. */
import { type Command, Option } from 'commander';
import type { CountFlags } from './count.ts';
import { COST_TABLE_NAMES } from './count-choices.ts';
import { withSnapshotOptions } from './run-command.ts';

const COUNT_EXAMPLES = `
Examples:
  trapeze count
      the boot of the Linux that comes with Trapeze, to its power-off
  trapeze count --command 'dd if=/dev/zero of=/dev/null bs=1 count=100000'
      what a command at its shell does
  trapeze count --snapshot prompt.snap --command 'ls -lR / > /dev/null'
      the same from a snapshot on, without the boot
  trapeze count --costs splitx-2011
      with a model of what exits would cost in cycles`;

const collect = (value: string, earlier: readonly string[] | undefined): string[] => [...(earlier ?? []), value];

export function addCount(program: Command, finish: (code: number) => void): void {
  const command = program
    .command('count')
    .description('count the sensitive and privileged instructions that a guest executes')
    .option('--kernel <file>', 'kernel (default: the Linux that comes with Trapeze)')
    .option('--initrd <file>', 'initial RAM disk; may be repeated', collect)
    .option('--append <text>', 'kernel command line')
    .option('--memory <size>', 'RAM, 4M to 3G (default: 512M)')
    .option('--disk <file[,ro|,cow|,overlay=file]>', 'disk image, as for `trapeze run`; may be repeated', collect);
  withSnapshotOptions(command)
    .option('--command <text>', 'count from the prompt on, or from a snapshot on, while the shell runs this')
    .option('--timeout <seconds>', 'end the run after so many seconds', '600')
    .addOption(new Option('--costs <table>', 'a published cost of exits, for a model').choices(COST_TABLE_NAMES))
    .addOption(new Option('--format <format>', 'how to print it').choices(['text', 'json']).default('text'))
    .addHelpText('after', COUNT_EXAMPLES)
    .action(async (flags: CountFlags) => finish(await (await import('./count.ts')).count(flags)));
}
