/** What is known of a disk without reading it. */
import type { BlockBackend } from '../devices/contract.ts';
import type { Extent } from './qcow2/cluster-reader.ts';
import { Qcow2Disk } from './qcow2/disk.ts';

/** What stands at an offset, and how far that goes; behind the end of the disk there are zeros without end. */
export async function extentOf(disk: BlockBackend, offset: number): Promise<Extent> {
  if (offset >= disk.size) return { zero: true, length: Number.POSITIVE_INFINITY };
  return disk instanceof Qcow2Disk ? await disk.extent(offset) : { zero: false, length: disk.size - offset };
}
