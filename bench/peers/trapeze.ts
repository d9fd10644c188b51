/** Trapeze as a person starts it. */
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { version } from '../machine-info.ts';
import { guestOf, type Peer } from './peer.ts';

const COMMAND = fileURLToPath(new URL('../../bin/trapeze.js', import.meta.url));

export function trapeze(): Peer {
  return {
    name: 'trapeze',
    version: `Trapeze ${version()} on Node ${process.versions.node}`,
    command: (job) => {
      if (job.kind === 'part') return { file: process.execPath, arguments: [job.module] };
      const { kernel, initrd, append, memoryMiB } = guestOf(job);
      const files = ['--kernel', kernel, '--initrd', initrd];
      return {
        file: process.execPath,
        arguments: [COMMAND, 'run', ...files, '--append', append, '--memory', `${memoryMiB}M`],
      };
    },
  };
}
