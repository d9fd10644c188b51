/** The disks of a machine, opened. */
import type { BlockBackend } from '../devices/contract.ts';
import type { Host } from './host.ts';
import type { CheckedOptions } from './options.ts';

export interface OpenedDisks {
  readonly disks: readonly BlockBackend[];
  /** Their files' names; empty for back ends of the caller's. */
  readonly diskNames: readonly string[];
  readonly closeDisks: () => Promise<void>;
}

export async function openDisks(host: Host, { disks, onWarning }: CheckedOptions): Promise<OpenedDisks> {
  const opened: BlockBackend[] = [];
  const own: BlockBackend[] = [];
  const closeDisks = async (): Promise<void> => {
    for (const disk of own.splice(0)) await disk.close();
  };
  try {
    for (const disk of disks) {
      if ('path' in disk) own.push(await host.openDisk(disk.path, disk.mode, onWarning ?? (() => {}), disk));
      opened.push('path' in disk ? own.at(-1)! : disk);
    }
  } catch (error) {
    await closeDisks();
    throw error;
  }
  return { disks: opened, diskNames: disks.map(nameOf), closeDisks };
}

/** As it is given to the command. */
function nameOf(disk: CheckedOptions['disks'][number]): string {
  if (!('path' in disk)) return '';
  return disk.overlay === undefined ? disk.path : `${disk.path},overlay=${disk.overlay}`;
}
