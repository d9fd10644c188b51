/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { UserError } from '../src/user-error.ts';
import { PEERS, type PeerName, USUAL_PEERS } from './peers/peer.ts';

export interface Options {
  readonly runs: number;
  readonly repeats: number;
  readonly only: readonly string[];
  readonly peers: readonly PeerName[];
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly list: boolean;
  readonly help: boolean;
}

export const HELP = `Usage: npm run bench -- [options]

Measures Trapeze beside QEMU's translator (TCG), v86 and, where there is no machine to emulate, the host's
processor: the same work in the same run, the peers in turn. Prints medians; docs/performance.md says what they mean.

Options:
  --only NAMES     measure what has one of these words in its name (a list with commas)
  --runs N         repetitions to take the median of (default 5)
  --repeats N      run each workload so often in a guest, for longer runs (default 5)
  --peers NAMES    compare these only: ${PEERS.join(', ')} (a list with commas; page: Trapeze in a browser)
  --json FILE      write every sample as JSON
  --html FILE      write a page with charts, which needs no other file
  --list           show the names of what can be measured
  --help           show this

Examples:
  npm run bench
      everything; takes half an hour
  npm run bench -- --only boot-embedded --runs 5
      how soon the embedded guest is at its prompt
  npm run bench -- --only crc32 --runs 1 --repeats 1 --peers trapeze
      one number, quickly
  npm run bench -- --peers trapeze,page
      Trapeze in a page beside Trapeze on Node
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
        runs: { type: 'string', default: '5' },
        repeats: { type: 'string', default: '5' },
        peers: { type: 'string', default: USUAL_PEERS.join(',') },
        json: { type: 'string' },
        html: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UserError(`${(error as Error).message.split('. ')[0]}; see \`npm run bench -- --help\``);
  }
}

function peerName(word: string): PeerName {
  const peer = PEERS.find((name) => name === word);
  if (peer === undefined) throw new UserError(`--peers ${word}: choose from ${PEERS.join(', ')}`);
  return peer;
}

/** @throws UserError when the words make no sense. */
export function parseOptions(words: readonly string[]): Options {
  const values = parse(words);
  const peers = list(values.peers).map(peerName);
  if (peers.length === 0) throw new UserError(`--peers: choose from ${PEERS.join(', ')}`);
  return {
    runs: count(values.runs, 'runs'),
    repeats: count(values.repeats, 'repeats'),
    only: list(values.only),
    peers,
    json: values.json,
    html: values.html,
    list: values.list,
    help: values.help,
  };
}
