/** `trapeze snapshot`: take, open and look at snapshots. */
import { type Command, Option } from 'commander';
import { addRestore, withRunOptions } from './run-command.ts';
import type { InfoFlags, SaveFlags } from './snapshot.ts';

const SAVE_EXAMPLES = `
Examples:
  trapeze snapshot save prompt.snap --at 'trapeze:~# '
      boots the Linux that comes with Trapeze up to its prompt and saves it there
  trapeze snapshot save db.snap --disk db.img,cow --append 'root=/dev/vda' --at 'ready for connections' --timeout 300
      a server that has started; its disk's changes are in the snapshot

What the guest prints goes to stdout, and what you type goes to the guest. The file appears when it is whole.
Exit codes: 0 saved, 2 wrong usage or a file that cannot be written, 3 the guest ended before, 4 timed out before.`;

const INFO_EXAMPLES = `
Examples:
  trapeze snapshot info prompt.snap
      reads all of the file, checks it, and says what is in it
  trapeze snapshot info --json prompt.snap
      the same for programs

Exit codes: 0 the snapshot is whole, 2 it is damaged or cannot be read.`;

export function addSnapshot(program: Command, finish: (code: number) => void): void {
  const command = program
    .command('snapshot')
    .description('save a running machine to a file, open it again, look at it')
    .addHelpText('after', '\n`trapeze snapshot COMMAND --help` shows the options of a command and examples.');
  withRunOptions(command.command('save <file>').description('boot a machine and save it when the guest is ready'))
    .addOption(new Option('--at <text>', 'save when the guest has printed this').makeOptionMandatory())
    .addHelpText('after', SAVE_EXAMPLES)
    .action(async (file: string, flags: SaveFlags) => finish(await (await import('./snapshot.ts')).save(file, flags)));
  addRestore(command, finish);
  command
    .command('info <file>')
    .description('check a snapshot and say what is in it')
    .option('--json', 'print JSON')
    .addHelpText('after', INFO_EXAMPLES)
    .action(async (file: string, flags: InfoFlags) => (await import('./snapshot.ts')).info(file, flags));
}
