/** The host's own processor: the bound of all, for what needs no machine around it. */
import { processorName } from '../machine-info.ts';
import { type Peer, programArguments } from './peer.ts';

export function native(): Peer {
  return {
    name: 'native',
    version: processorName(),
    command: (job) => (job.kind === 'program' ? { file: job.program, arguments: programArguments(job) } : undefined),
  };
}
