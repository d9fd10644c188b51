/** `trapeze disk`: what is done with disk images apart from running them. */
import type { Command } from 'commander';
import { addDiskManifest } from './disk-manifest-command.ts';

export function addDisk(program: Command): void {
  const disk = program.command('disk').description('make what disk images need beside them');
  addDiskManifest(disk);
}
