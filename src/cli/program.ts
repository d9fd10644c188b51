/** The command line: commands, options, help. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Argument, Command, Option } from 'commander';
import { completionScript, SHELLS } from './completion.ts';
import { addCount } from './count-command.ts';
import type { DisasmFlags } from './disasm.ts';
import { addDisk } from './disk-command.ts';
import { addIsa } from './isa-command.ts';
import { addProfile } from './profile-command.ts';
import { addRun } from './run-command.ts';
import { addSnapshot } from './snapshot-command.ts';
import { addWeb } from './web-command.ts';

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
  addSnapshot(program, finish);
  addDisasm(program);
  addIsa(program);
  addCount(program, finish);
  addProfile(program, finish);
  addDisk(program, finish);
  addWeb(program, finish);
  addCompletion(program);
  return program;
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
