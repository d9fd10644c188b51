/** The options of `trapeze run`, which other commands that run a guest share. */
import { type Command, Option } from 'commander';
import { CLOCKS, ENGINES, LOADS, TIERS, TRACE_KINDS } from '../api/choices.ts';
import type { RunFlags } from './run-options.ts';

const RUN_EXAMPLES = `
Examples:
  trapeze run
      boots the Linux that comes with Trapeze and gives a root shell
  trapeze run --kernel vmlinuz --initrd initrd.gz --append 'console=ttyS0' --memory 1G
      boots your own kernel
  trapeze run --disk root.img,cow --append 'root=/dev/vda'
      a disk image that stays as it is: changes are kept for this run only
  trapeze run --disk root.img,overlay=mine.trz --append 'root=/dev/vda'
      the same, but changes are kept in mine.trz for the next run
  trapeze run --disk https://example.org/root.img --append 'root=/dev/vda'
      a disk image on a server: only what the guest reads is fetched
  trapeze run --timeout 60 --serial file:boot.log --stats boot.json < /dev/null
      for scripts: output in one file, figures in another
  trapeze run --snapshot prompt.snap
      goes on where \`trapeze snapshot save\` or Ctrl-A W left a machine
  trapeze run --snapshot https://example.org/prompt.snap
      the same from a server: memory is fetched when the guest looks at it
  trapeze run --trace perfetto:boot.json
      a timeline of the boot, which ui.perfetto.dev opens

At a terminal, Ctrl-A X leaves, Ctrl-A W writes a snapshot and Ctrl-A H lists the keys.

Exit codes: 0 the guest powered off (or reset under --no-reboot), 2 wrong usage, 3 triple fault,
4 timed out, (v << 1) | 1 when the guest wrote v to the --debug-exit port, 128 + n ended by signal n.`;

const collect = (value: string, earlier: readonly string[] | undefined): string[] => [...(earlier ?? []), value];

/** Adds what a machine is made of and how it runs. */
export function withRunOptions(command: Command): Command {
  return withConduct(
    command
      .option('--kernel <file>', 'kernel: bzImage, or ELF for PVH or Multiboot')
      .option('--initrd <file>', 'initial RAM disk; may be repeated', collect)
      .option('--append <text>', "kernel command line (default for your kernel: 'console=ttyS0')")
      .option('--memory <size>', 'RAM, 4M to 3G (default: 512M)')
      .addOption(
        new Option('--clock <kind>', 'virtual: time is executed instructions, runs repeat (default: real)').choices(
          CLOCKS,
        ),
      )
      .option('--debug-exit <port>', 'an I/O port that ends the run, such as 0xf4'),
  );
}

/** Adds what is not part of the machine: a snapshot does not fix it. */
function withConduct(command: Command): Command {
  return command
    .option(
      '--disk <file[,ro|,cow|,overlay=file]>',
      'disk image, raw or qcow2, or its http:// address: in place, read-only, or copy-on-write; may be repeated',
      collect,
    )
    .addOption(new Option('--engine <name>', 'what executes the guest (default: auto)').choices(ENGINES))
    .addOption(new Option('--tier <name>', 'what of the wasm engine runs code (default: both)').choices(TIERS))
    .option('--serial <where>', 'the first serial port: stdio, none or file:NAME', 'stdio')
    .option('--no-reboot', 'end the run when the guest resets')
    .option('--timeout <seconds>', 'end the run after so many seconds')
    .option('--stats <file>', 'write statistics as JSON')
    .option(
      '--trace <kinds>',
      `show on stderr: ${TRACE_KINDS.join(', ')} (a list with commas); perfetto:FILE: write a timeline`,
    );
}

/** Adds how a machine goes on from a snapshot that is not saved again. */
export function withSnapshotOptions(command: Command): Command {
  return withRestoreOptions(command).option('--base <file>', 'what the snapshot was saved against, if it was');
}

/** Adds how a machine goes on from a snapshot. */
function withRestoreOptions(command: Command): Command {
  return command
    .option('--snapshot <file>', 'go on from a snapshot, or its http:// address; give its disks again with --disk')
    .addOption(timeOption())
    .addOption(loadOption());
}

/** How time goes on for a guest out of a snapshot. */
function timeOption(): Option {
  return new Option(
    '--time <how>',
    'of a snapshot: jump to the present, or continue as if none had passed (default: jump)',
  ).choices(['jump', 'continue']);
}

/** When the memory of a snapshot is read. */
function loadOption(): Option {
  return new Option(
    '--load <when>',
    'memory of a snapshot: on demand, while the guest runs, or whole, before it does (default: demand over 8 MiB)',
  ).choices(LOADS);
}

function withSaveOptions(command: Command): Command {
  return command
    .option('--base <file>', 'a complete snapshot: the one opened, or those written, hold only what differs from it')
    .option('--save <file>', 'where Ctrl-A W writes a snapshot', 'trapeze.snap')
    .option('--save-on-exit', 'write it too when you leave by Ctrl-A X or end the run by a signal');
}

export function addRun(program: Command, finish: (code: number) => void): void {
  const command = program
    .command('run')
    .description('boot a machine at this terminal; without a kernel, the Linux that comes with Trapeze');
  withSaveOptions(withRestoreOptions(withRunOptions(command)))
    .addHelpText('after', RUN_EXAMPLES)
    .action(async (flags: RunFlags) => finish(await (await import('./run.ts')).run(flags)));
}

const RESTORE_EXAMPLES = `
Examples:
  trapeze snapshot restore prompt.snap
      the same as trapeze run --snapshot prompt.snap
  trapeze snapshot restore db.snap --disk db.img,cow
      a machine with a disk needs it again, as it was
  trapeze snapshot restore --time continue prompt.snap
      no time has passed for the guest
  trapeze snapshot restore --load whole prompt.snap
      reads and checks all of it first; large snapshots otherwise run at once and are read meanwhile
  trapeze snapshot restore prompt.snap --base prompt.snap --save work.snap --save-on-exit
      keeps what changed since the prompt; go on with: trapeze run --snapshot work.snap --base prompt.snap

Exit codes: as for \`trapeze run\`; 2 when the snapshot is damaged or its disks are others.`;

export function addRestore(command: Command, finish: (code: number) => void): void {
  const restore = command.command('restore <file>').description('go on at this terminal where a machine was saved');
  withSaveOptions(withConduct(restore).addOption(timeOption()).addOption(loadOption()))
    .addHelpText('after', RESTORE_EXAMPLES)
    .action(async (snapshot: string, flags: RunFlags) =>
      finish(await (await import('./run.ts')).run({ ...flags, snapshot })),
    );
}
