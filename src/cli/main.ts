/** The command `trapeze`. Started by `bin/trapeze.js`. */
import process from 'node:process';
import { CommanderError } from 'commander';
import { UserError } from '../user-error.ts';
import { EXIT } from './exit-codes.ts';
import { createProgram } from './program.ts';

/** Commander's complaint as one line that leads on. */
function usageLine(error: CommanderError, words: readonly string[]): string {
  const problem = error.message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/, ' (did you mean $1?)')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  const command = ['run', 'disasm', 'isa', 'count', 'profile', 'snapshot', 'disk', 'web', 'completion'].find(
    (name) => name === words[0],
  );
  const help = command === undefined ? 'trapeze --help' : `trapeze ${command} --help`;
  return `${problem}; see \`${help}\``;
}

function codeOfError(error: unknown, words: readonly string[]): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.success;
    // Without a command commander has shown the help already.
    if (error.code !== 'commander.help') console.error(`trapeze: ${usageLine(error, words)}`);
    return EXIT.usage;
  }
  if (error instanceof UserError) {
    console.error(`trapeze: ${error.message}`);
    return EXIT.usage;
  }
  console.error('trapeze: a defect of Trapeze itself, please report it:', error);
  return EXIT.internal;
}

async function main(words: readonly string[]): Promise<number> {
  let code: number = EXIT.success;
  try {
    await createProgram((finished) => (code = finished)).parseAsync(words, { from: 'user' });
    return code;
  } catch (error) {
    return codeOfError(error, words);
  }
}

let outputFailed = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read our output may leave before its end (`trapeze disasm … | head`): no news.
  if (!outputFailed && error.code !== 'EPIPE') console.error(`trapeze: cannot write the output: ${error.message}`);
  outputFailed = true;
  process.exitCode = error.code === 'EPIPE' ? EXIT.outputClosed : EXIT.internal;
});
process.stderr.on('error', () => {});
const code = await main(process.argv.slice(2));
process.exitCode = outputFailed ? process.exitCode : code;
