/** The options of `trapeze web`. */
import type { Command } from 'commander';
import type { WebFlags } from './web.ts';

const WEB_EXAMPLES = `
Examples:
  trapeze web
      serves the page at http://127.0.0.1:8086/ until Ctrl-C
  trapeze web --port 0
      at any free port
  trapeze web --host 0.0.0.0 --port 80
      for other machines too: no encryption, so put a server with TLS before it
  trapeze web --output public/trapeze
      writes the page into a folder, for a file server of your own

Exit codes: 0 ended by Ctrl-C or written, 2 wrong usage, or the port cannot be had.`;

export function addWeb(program: Command, finish: (code: number) => void): void {
  program
    .command('web')
    .description('serve a page that boots a machine in the browser')
    .option('--port <number>', 'where to listen; 0: any free port', '8086')
    .option('--host <address>', 'for whom: 127.0.0.1 is this machine alone, 0.0.0.0 everybody', '127.0.0.1')
    .option('--output <folder>', 'write the page there instead of serving it')
    .addHelpText('after', WEB_EXAMPLES)
    .action(async (flags: WebFlags) => finish(await (await import('./web.ts')).web(flags)));
}
