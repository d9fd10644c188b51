/** The command line: commands, options, help. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Argument, Command, Option } from 'commander';
import { CLOCKS, ENGINES, TIERS, TRACE_KINDS } from '../api/choices.ts';
import { completionScript, SHELLS } from './completion.ts';
import { addCount } from './count-command.ts';
import type { DisasmFlags } from './disasm.ts';
import { addIsa } from './isa-command.ts';
import type { RunFlags } from './run-options.ts';

const RUN_EXAMPLES = `
Examples:
  trapeze run
      boots the Linux that comes with Trapeze and gives a root shell
  trapeze run --kernel vmlinuz --initrd initrd.gz --append 'console=ttyS0' --memory 1G
      boots your own kernel
  trapeze run --disk root.img,cow --append 'root=/dev/vda'
      a disk image that stays as it is: changes are kept for this run only
  trapeze run --timeout 60 --serial file:boot.log --stats boot.json < /dev/null
      for scripts: output in one file, figures in another

At a terminal, Ctrl-A X leaves and Ctrl-A H lists the keys.

Exit codes: 0 the guest powered off (or reset under --no-reboot), 2 wrong usage, 3 triple fault,
4 timed out, (v << 1) | 1 when the guest wrote v to the --debug-exit port, 128 + n ended by signal n.`;

const DISASM_EXAMPLES = `
Examples:
  trapeze disasm '48 89 d8 c3'
  trapeze disasm --mode 16 --address 0x7c00 bootsector.bin
  trapeze disasm --ir '48 0f bc c3'
      what BSF means, as the engines read it`;

const COMPLETION_EXAMPLES = `
Examples:
  trapeze completion bash > ~/.local/share/bash-completion/completions/trapeze
  trapeze completion zsh > "\${fpath[1]}/_trapeze"
  trapeze completion fish > ~/.config/fish/completions/trapeze.fish`;

const collect = (value: string, earlier: readonly string[] | undefined): string[] => [...(earlier ?? []), value];

/** The version in package.json, which stands two levels up from sources and built files alike. */
function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** `finish` is told the exit code of the command that was run. */
export function createProgram(finish: (code: number) => void): Command {
  const program = new Command('trapeze')
    .description('A hypervisor in TypeScript: runs whole operating systems wherever JavaScript runs.')
    .version(version())
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError()
    .addHelpText('after', '\n`trapeze COMMAND --help` shows the options of a command and examples.');
  addRun(program, finish);
  addDisasm(program);
  addIsa(program);
  addCount(program, finish);
  addCompletion(program);
  return program;
}

function addRun(program: Command, finish: (code: number) => void): void {
  program
    .command('run')
    .description('boot a machine at this terminal; without a kernel, the Linux that comes with Trapeze')
    .option('--kernel <file>', 'kernel: bzImage, or ELF for PVH or Multiboot')
    .option('--initrd <file>', 'initial RAM disk; may be repeated', collect)
    .option('--append <text>', "kernel command line (default for your kernel: 'console=ttyS0')")
    .option('--memory <size>', 'RAM, 4M to 3G (default: 512M)')
    .option(
      '--disk <file[,ro|,cow]>',
      'raw disk image: in place, read-only, or copy-on-write; may be repeated',
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
    .option('--trace <kinds>', `show on stderr: ${TRACE_KINDS.join(', ')} (a list with commas)`)
    .addHelpText('after', RUN_EXAMPLES)
    .action(async (flags: RunFlags) => finish(await (await import('./run.ts')).run(flags)));
}

function addDisasm(program: Command): void {
  program
    .command('disasm')
    .description('show x86 machine code as text')
    .argument('<file-or-hex...>', "a file ('-': standard input), or bytes in hexadecimal")
    .addOption(new Option('--mode <bits>', 'code size').choices(['16', '32', '64']).default('64'))
    .option('--address <number>', 'address of the first byte', '0')
    .option('--ir', 'show below each instruction what it means, as IR')
    .addHelpText('after', DISASM_EXAMPLES)
    .action(async (words: string[], flags: DisasmFlags) => (await import('./disasm.ts')).disasm(words, flags));
}

function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes this command in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', COMPLETION_EXAMPLES)
    .action((shell: (typeof SHELLS)[number]) => {
      process.stdout.write(completionScript(program, shell));
    });
}
