import type { BlockBackend } from '../../devices/contract.ts';

/** How a disk file is used: in place, never written, or copy-on-write over an untouched file. */
export type DiskMode = 'rw' | 'ro' | 'cow';

/**
 * Opens a file as a disk. `report` gets a line, at most once per disk, when the host runs out of space.
 * @throws UserError when the file cannot serve as a disk.
 */
export async function openDisk(path: string, mode: DiskMode, report: (line: string) => void): Promise<BlockBackend> {
  throw new Error(`not yet ${path} ${mode} ${String(report)}`);
}
