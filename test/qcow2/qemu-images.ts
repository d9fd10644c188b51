/** Images as `qemu-img` and `qemu-io` make them: every geometry and feature, random content. */
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import type { Random } from '../conformance/random.ts';
import { qemuImg, qemuIo, tryQemuImg } from '../support/qemu-img.ts';

const SECTOR = 512;
const KIB = 1024;

/** What an image was made with. */
export interface QemuImage {
  readonly path: string;
  readonly options: string;
  readonly clusterSize: number;
}

/** Clusters and disks that go together: enough clusters for several tables, and quick. */
const SIZES: readonly (readonly [clusterSize: number, disk: number])[] = [
  [512, 700 * KIB],
  [1024, 1024 * KIB],
  [4096, 3 * KIB * KIB],
  [16_384, 1024 * KIB],
  [65_536, 6 * KIB * KIB],
  [2048 * KIB, 24 * KIB * KIB],
];

/** Extended L2 entries need clusters this large. */
export const LEAST_EXTENDED_CLUSTER = 16_384;

/** Makes a random image in `folder`, and the images behind it. */
export function makeQemuImage(random: Random, folder: string): QemuImage {
  const [clusterSize, size] = random.pick(SIZES);
  const image = path.join(folder, 'image.qcow2');
  const old = random.chance(0.25);
  const extended = !old && clusterSize >= LEAST_EXTENDED_CLUSTER && random.chance(0.6);
  const bits = old ? 16 : 2 ** random.below(7);
  const backing = makeBacking(random, folder, clusterSize);
  const options = [
    `compat=${old ? '0.10' : '1.1'}`,
    `cluster_size=${clusterSize}`,
    `refcount_bits=${bits}`,
    ...(backing === undefined ? [`preallocation=${random.pick(['off', 'off', 'metadata', 'falloc', 'full'])}`] : []),
    ...(!old && random.chance(0.3) ? ['lazy_refcounts=on'] : []),
    ...(!old && random.chance(0.3) ? ['compression_type=zstd'] : []),
    ...(extended ? ['extended_l2=on'] : []),
  ].join(',');
  const behind = backing === undefined ? [] : ['-b', backing.name, '-F', backing.format];
  qemuImg('create', '-q', '-f', 'qcow2', '-o', options, ...behind, image, String(size));
  qemuIo(image, commands(random, size, clusterSize));
  for (let count = bits > 2 ? random.below(3) : 0; count > 0; count--) {
    tryQemuImg('snapshot', '-c', `state-${count}`, image);
    qemuIo(image, commands(random, size, clusterSize));
    if (random.chance(0.3)) tryQemuImg('snapshot', '-d', `state-${count}`, image);
  }
  return { path: image, options: `${options} ${behind.join(' ')}`, clusterSize };
}

function makeBacking(
  random: Random,
  folder: string,
  clusterSize: number,
): { readonly name: string; readonly format: string } | undefined {
  if (random.chance(0.5)) return undefined;
  const size = (500 + random.below(1000)) * KIB;
  const base = path.join(folder, 'base.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', base, String(size));
  qemuIo(base, commands(random, size, 65_536));
  if (random.chance(0.3)) {
    qemuImg('convert', '-O', 'raw', base, path.join(folder, 'base.img'));
    return { name: 'base.img', format: 'raw' };
  }
  if (random.chance(0.5)) return { name: 'base.qcow2', format: 'qcow2' };
  const middle = path.join(folder, 'middle.qcow2');
  qemuImg(
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    `cluster_size=${clusterSize}`,
    '-b',
    'base.qcow2',
    '-F',
    'qcow2',
    middle,
  );
  qemuIo(middle, commands(random, size, clusterSize));
  return { name: 'middle.qcow2', format: 'qcow2' };
}

/** Random commands of `qemu-io`. */
function commands(random: Random, size: number, clusterSize: number): string[] {
  return Array.from({ length: 5 + random.below(20) }, () => {
    const first = random.below(size / SECTOR);
    const most = Math.min(size / SECTOR - first, Math.ceil((3 * clusterSize) / SECTOR));
    const [offset, length] = [first * SECTOR, (1 + random.below(most)) * SECTOR];
    const pattern = 1 + random.below(255);
    switch (random.below(6)) {
      case 0:
        return `write -z ${offset} ${length}`;
      case 1:
        return `write -z -u ${offset} ${length}`;
      case 2:
        return `discard ${offset} ${length}`;
      case 3:
        return `write -c -P ${pattern} ${Math.floor(offset / clusterSize) * clusterSize} ${clusterSize}`;
      default:
        return `write -P ${pattern} ${offset} ${length}`;
    }
  });
}

/** A copy that may be changed, in the same folder. */
export function copyOf(image: QemuImage): string {
  const copy = path.join(path.dirname(image.path), 'copy.qcow2');
  copyFileSync(image.path, copy);
  return copy;
}
