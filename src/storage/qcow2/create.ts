/** New images. */
import { UserError } from '../../user-error.ts';
import type { RandomAccessFile } from '../file.ts';
import { ENTRY_SIZE, type Geometry, geometryOf, LEAST_EXTENDED_CLUSTER, SECTOR, setEntry, viewOf } from './format.ts';
import { type BackingName, type CompressionType, encodeHeader, MAXIMUM_L1_BYTES } from './header.ts';
import { writeCount } from './refcount-block.ts';

export interface NewImage {
  /** Bytes of the disk; rounded up to whole sectors. */
  readonly size: number;
  /** A power of two from 512 to 2 MiB. */
  readonly clusterSize: number;
  /** A power of two from 1 to 64; 16 in version 2. */
  readonly refcountBits: number;
  readonly version: 2 | 3;
  readonly backing: BackingName | undefined;
  /** Clusters in 32 parts that are allocated each for itself; of version 3 and clusters of 16 KiB or more. */
  readonly extendedL2?: boolean | undefined;
  /** How clusters will be compressed; `zlib` unless said. `zstd` is of version 3. */
  readonly compressionType?: CompressionType | undefined;
}

/** How many clusters each part of a new image takes; they follow each other. */
interface Layout {
  readonly tableClusters: number;
  readonly blocks: number;
  readonly l1Clusters: number;
  readonly l1Entries: number;
}

/** @throws UserError when such a disk needs too large a table. */
export function l1EntriesFor(size: number, { clusterSize, l2Entries }: Geometry): number {
  const entries = Math.max(1, Math.ceil(size / clusterSize / l2Entries));
  if (entries * ENTRY_SIZE > MAXIMUM_L1_BYTES)
    throw new UserError(
      `a disk of ${size} bytes is too large for clusters of ${clusterSize}: choose larger clusters, or a smaller disk`,
    );
  return entries;
}

function layoutOf(geometry: Geometry, size: number): Layout {
  const { clusterSize, tableEntries, blockEntries } = geometry;
  const l1Entries = l1EntriesFor(size, geometry);
  const l1Clusters = Math.ceil((l1Entries * ENTRY_SIZE) / clusterSize);
  let [tableClusters, blocks] = [1, 1];
  for (;;) {
    const needed = Math.ceil((1 + tableClusters + blocks + l1Clusters) / blockEntries);
    const table = Math.ceil(needed / tableEntries);
    if (needed === blocks && table === tableClusters) return { tableClusters, blocks, l1Clusters, l1Entries };
    [blocks, tableClusters] = [needed, table];
  }
}

/**
 * Writes an image without content to an empty file. The header comes last: until then it is none.
 * @throws UserError for sizes that do not go together.
 */
export async function createImage(file: RandomAccessFile, image: NewImage): Promise<void> {
  const { version, clusterSize, backing } = image;
  const size = Math.ceil(image.size / SECTOR) * SECTOR;
  const geometry = geometryOf(
    version,
    Math.log2(clusterSize),
    Math.log2(image.refcountBits),
    image.extendedL2 === true,
  );
  if (geometry.subclusters > 1 && (version === 2 || clusterSize < LEAST_EXTENDED_CLUSTER))
    throw new UserError(
      'extended L2 entries are of version 3 (1.1) with clusters of 16K or more: choose such, or leave them out',
    );
  const { compressionType = 'zlib' } = image;
  if (compressionType !== 'zlib' && version === 2)
    throw new UserError('zstd compression is of version 3 (1.1): choose that, or zlib');
  const { tableClusters, blocks, l1Clusters, l1Entries } = layoutOf(geometry, size);
  const firstBlock = 1 + tableClusters;
  const l1Offset = (firstBlock + blocks) * clusterSize;
  const header = encodeHeader({
    geometry,
    compressionType,
    size,
    l1: { offset: l1Offset, entries: l1Entries },
    refcountTable: { offset: clusterSize, clusters: tableClusters },
    backing,
  });
  const tables = new Uint8Array((tableClusters + blocks) * clusterSize);
  const used = 1 + tableClusters + blocks + l1Clusters;
  const table = viewOf(tables);
  for (let i = 0; i < blocks; i++) setEntry(table, i, (firstBlock + i) * clusterSize, false);
  // The blocks follow each other: together they are one long block.
  const counts = viewOf(tables.subarray(tableClusters * clusterSize));
  for (let cluster = 0; cluster < used; cluster++) writeCount(counts, cluster, geometry.refcountBits, 1);
  await file.write(clusterSize, tables);
  await file.write(l1Offset, new Uint8Array(l1Clusters * clusterSize));
  await file.flush();
  await file.write(0, header);
  await file.flush();
}
