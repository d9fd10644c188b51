/** The options of `trapeze isa`. */
import { type Command, Option } from 'commander';
import { ISA_FORMATS, type IsaFormat } from './isa-choices.ts';

const ISA_EXAMPLES = `
Architectures: x86-32-pentium, x86-32, x86-32-umip, x86-64, x86-64-umip, toy, toy-jrst, toy-lra

Examples:
  trapeze isa x86-32-pentium
      the theorems of Popek and Goldberg, and the instructions that forbid them
  trapeze isa x86-64 --vtx usual,-ept
      the same for VMX non-root operation with the controls that monitors usually set, but without EPT
  trapeze isa x86-64 --format html > x86-64.html
      a page with every instruction, its class and the reasons
  trapeze isa explain POPF
      why an instruction has its class`;

const VTX = '--vtx <controls>';
const VTX_TEXT = "in VMX non-root operation under these controls: 'usual', names, '-name' to take one out";

export function addIsa(program: Command): void {
  const isa = program
    .command('isa')
    .description('show which instructions are sensitive and privileged, and what that forbids')
    .argument('<architecture>', 'x86-32, x86-64, … (see below)')
    .option(VTX, VTX_TEXT)
    .addOption(new Option('--format <format>', 'how to print it').choices(ISA_FORMATS).default('text'))
    .addHelpText('after', ISA_EXAMPLES)
    .action(async (name: string, flags: { vtx?: string; format: IsaFormat }) =>
      (await import('./isa.ts')).isa(name, flags),
    );
  isa
    .command('explain')
    .description('show why an instruction has its class')
    .argument('<instruction>', 'mnemonic')
    .option('--architecture <name>', 'where', 'x86-32')
    .option('--vtx <controls>', VTX_TEXT)
    .action(async (name: string, _flags: unknown, command: Command) =>
      (await import('./isa.ts')).isaExplain(name, command.optsWithGlobals()),
    );
}
