/** Trapeze in a page of a browser. */
import { existsSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { CHROMIUM } from '../../test/support/browser.ts';
import { version } from '../machine-info.ts';
import { installPackage } from './debian-package.ts';
import { guestOf, type Peer } from './peer.ts';

const MACHINE = fileURLToPath(new URL('page-machine.ts', import.meta.url));

/** Workloads alone: a boot would count the browser's start, which `page-boot` does not. */
export function page(): Peer | { readonly missing: string } {
  const problem = existsSync(CHROMIUM) ? undefined : installPackage('chromium');
  if (problem !== undefined) return { missing: `no Chromium (${problem})` };
  return {
    name: 'page',
    version: `Trapeze ${version()} in a page of Debian's Chromium`,
    command: (job) => {
      if (job.kind !== 'program') return undefined;
      const { kernel, initrd, append, memoryMiB } = guestOf(job);
      return { file: process.execPath, arguments: [MACHINE, kernel, initrd, append, `${memoryMiB}M`] };
    },
  };
}
