/** v86: the other emulator in JavaScript, which has 32-bit processors alone. It runs the 32-bit build of the same work. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { installPackage } from './debian-package.ts';
import { guest32Of, type Peer } from './peer.ts';

const MACHINE = fileURLToPath(new URL('v86-machine.ts', import.meta.url));

/** Where Debian's package puts the firmware. */
const FIRMWARE = '/usr/share/seabios';
const PACKAGE = 'seabios';

function installedVersion(): string | undefined {
  try {
    return (createRequire(import.meta.url)('v86/package.json') as { version: string }).version;
  } catch {
    return undefined;
  }
}

/** The peer, or why there is none. `progress` is told before something takes long. */
export function v86(progress: (line: string) => void): Peer | { readonly missing: string } {
  const version = installedVersion();
  if (version === undefined) return { missing: 'the npm package v86 is not installed; run npm install' };
  if (!existsSync(FIRMWARE)) {
    progress(`installing Debian's package ${PACKAGE}, once`);
    const problem = installPackage(PACKAGE);
    if (!existsSync(FIRMWARE)) return { missing: `its firmware is not here and cannot be installed (${problem})` };
  }
  return {
    name: 'v86',
    version: `v86 ${version} on Node ${process.versions.node}, 32-bit guests`,
    command: (job) => {
      const guest = job.kind === 'part' ? undefined : guest32Of(job);
      if (guest === undefined) return undefined;
      const { kernel, initrd, append, memoryMiB } = guest;
      return { file: process.execPath, arguments: [MACHINE, FIRMWARE, kernel, initrd, append, String(memoryMiB)] };
    },
  };
}
