/** The options of `trapeze run`, which other commands that run a guest share. */
import { type Command, Option } from 'commander';
import { CLOCKS, ENGINES, TIERS, TRACE_KINDS } from '../api/choices.ts';
import type { RunFlags } from './run-options.ts';

const RUN_EXAMPLES = `
Examples:
  trapeze run
      boots the Linux that comes with Trapeze and gives a root shell
  trapeze run --kernel vmlinuz --initrd initrd.gz --append 'console=ttyS0' --memory 1G
      boots your own kernel
  trapeze run --disk root.img,cow --append 'root=/dev/vda'
      a disk image that stays as it is: changes are kept for this run only
  trapeze run --disk https://example.org/root.img --append 'root=/dev/vda'
      a disk image on a server: only what the guest reads is fetched
  trapeze run --timeout 60 --serial file:boot.log --stats boot.json < /dev/null
      for scripts: output in one file, figures in another
  trapeze run --trace perfetto:boot.json
      a timeline of the boot, which ui.perfetto.dev opens

At a terminal, Ctrl-A X leaves and Ctrl-A H lists the keys.

Exit codes: 0 the guest powered off (or reset under --no-reboot), 2 wrong usage, 3 triple fault,
4 timed out, (v << 1) | 1 when the guest wrote v to the --debug-exit port, 128 + n ended by signal n.`;

const collect = (value: string, earlier: readonly string[] | undefined): string[] => [...(earlier ?? []), value];

/** Adds what a machine is made of and how it runs. */
export function withRunOptions(command: Command): Command {
  return command
    .option('--kernel <file>', 'kernel: bzImage, or ELF for PVH or Multiboot')
    .option('--initrd <file>', 'initial RAM disk; may be repeated', collect)
    .option('--append <text>', "kernel command line (default for your kernel: 'console=ttyS0')")
    .option('--memory <size>', 'RAM, 4M to 3G (default: 512M)')
    .option(
      '--disk <file[,ro|,cow]>',
      'disk image, raw or qcow2, or its http:// address: in place, read-only, or copy-on-write; may be repeated',
      collect,
    )
    .addOption(new Option('--engine <name>', 'what executes the guest (default: auto)').choices(ENGINES))
    .addOption(new Option('--tier <name>', 'what of the wasm engine runs code (default: both)').choices(TIERS))
    .addOption(
      new Option('--clock <kind>', 'virtual: time is executed instructions, runs repeat (default: real)').choices(
        CLOCKS,
      ),
    )
    .option('--serial <where>', 'the first serial port: stdio, none or file:NAME', 'stdio')
    .option('--debug-exit <port>', 'an I/O port that ends the run, such as 0xf4')
    .option('--no-reboot', 'end the run when the guest resets')
    .option('--timeout <seconds>', 'end the run after so many seconds')
    .option('--stats <file>', 'write statistics as JSON')
    .option(
      '--trace <kinds>',
      `show on stderr: ${TRACE_KINDS.join(', ')} (a list with commas); perfetto:FILE: write a timeline`,
    );
}

export function addRun(program: Command, finish: (code: number) => void): void {
  const command = program
    .command('run')
    .description('boot a machine at this terminal; without a kernel, the Linux that comes with Trapeze');
  withRunOptions(command)
    .addHelpText('after', RUN_EXAMPLES)
    .action(async (flags: RunFlags) => finish(await (await import('./run.ts')).run(flags)));
}
