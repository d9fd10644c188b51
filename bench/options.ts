/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { UserError } from '../src/user-error.ts';

export interface Options {
  readonly runs: number;
  readonly repeats: number;
  readonly only: readonly string[];
  readonly peers: readonly string[];
  readonly json: string | undefined;
  readonly list: boolean;
  readonly help: boolean;
}

export const PEERS = ['trapeze', 'qemu-tcg', 'native'] as const;

export const HELP = `Usage: npm run bench -- [options]

Measures Trapeze beside QEMU's translator (TCG) and, where there is no machine to emulate, the host's processor:
the same guest files in the same run, the peers in turn. Prints medians; docs/performance.md says what they mean.

Options:
  --only NAMES     measure what has one of these words in its name (a list with commas)
  --runs N         repetitions to take the median of (default 3)
  --repeats N      run each workload so often in a guest, for longer runs (default 1)
  --peers NAMES    compare these only: ${PEERS.join(', ')} (a list with commas)
  --json FILE      write every sample as JSON
  --list           show the names of what can be measured
  --help           show this

Examples:
  npm run bench
      everything; takes some minutes
  npm run bench -- --only boot-embedded --runs 5
      how soon the embedded guest is at its prompt
  npm run bench -- --only crc32 --runs 1 --peers trapeze
      one number, quickly
  npm run bench -- --only integer,float --json before.json
      for a comparison later`;

const list = (text: string | undefined): string[] => (text ?? '').split(',').filter((word) => word !== '');

function count(text: string, option: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UserError(`--${option} ${text}: give a whole number from 1`);
  return value;
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        only: { type: 'string' },
        runs: { type: 'string', default: '3' },
        repeats: { type: 'string', default: '1' },
        peers: { type: 'string', default: PEERS.join(',') },
        json: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UserError(`${(error as Error).message.split('. ')[0]}; see \`npm run bench -- --help\``);
  }
}

/** @throws UserError when the words make no sense. */
export function parseOptions(words: readonly string[]): Options {
  const values = parse(words);
  const peers = list(values.peers);
  const unknown = peers.find((name) => !PEERS.some((peer) => peer === name));
  if (unknown !== undefined) throw new UserError(`--peers ${unknown}: choose from ${PEERS.join(', ')}`);
  return {
    runs: count(values.runs, 'runs'),
    repeats: count(values.repeats, 'repeats'),
    only: list(values.only),
    peers,
    json: values.json,
    list: values.list,
    help: values.help,
  };
}
