/** The options of `trapeze profile`. */
import { type Command, Option } from 'commander';
import type { ProfileFlags } from './profile.ts';
import { PROFILE_FORMATS } from './profile-choices.ts';
import { withRunOptions, withSnapshotOptions } from './run-command.ts';

const PROFILE_EXAMPLES = `
Examples:
  trapeze profile
      use the guest, then poweroff (or Ctrl-A X): the hottest regions follow
  trapeze profile --append trapeze.poweroff --top 20 --listings 1 < /dev/null
      the boot of the Linux that comes with Trapeze: a longer table, the hottest region in detail
  trapeze profile --kernel vmlinuz --append 'console=ttyS0 nokaslr' --symbols System.map --timeout 30
      your kernel, its functions by name (nokaslr keeps them where System.map says)
  trapeze profile --timeout 20 --format html --output hot.html
      a page to look at in a browser
  trapeze profile --snapshot ready.snap --timeout 20
      what a machine does from a snapshot on, without its boot
  trapeze profile --region 0xffffffff81000040
      only the region that has an instruction at this address, linear or physical`;

export function addProfile(program: Command, finish: (code: number) => void): void {
  const command = program
    .command('profile')
    .description('run a guest as `run` does, then show its hottest code: guest, IR and WebAssembly side by side');
  withSnapshotOptions(withRunOptions(command))
    .option('--top <n>', 'how many regions to show', '10')
    .option('--listings <n>', 'how many of them with their code', '3')
    .option('--region <address>', 'only the region that has an instruction there')
    .option('--symbols <file>', "the guest kernel's System.map, for names")
    .option('--output <file>', 'where to write the profile (default: behind what the guest printed)')
    .addOption(new Option('--format <format>', 'how to print it').choices(PROFILE_FORMATS).default('text'))
    .addHelpText('after', PROFILE_EXAMPLES)
    .action(async (flags: ProfileFlags) => finish(await (await import('./profile.ts')).profile(flags)));
}
