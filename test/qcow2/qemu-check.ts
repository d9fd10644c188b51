/** Images made by QEMU against what is read, and images written here against what QEMU reads and checks. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkDisk, convertDisk, resizeDisk } from '../../src/api/disk-images.ts';
import type { BlockBackend } from '../../src/devices/contract.ts';
import { openDisk } from '../../src/host/node/files.ts';
import { nodeImages } from '../../src/host/node/image-files.ts';
import { UserError } from '../../src/user-error.ts';
import type { Random } from '../conformance/random.ts';
import { qemuImg, tryQemuImg } from '../support/qemu-img.ts';
import { readAll } from './images.ts';
import { copyOf, LEAST_EXTENDED_CLUSTER, makeQemuImage, type QemuImage } from './qemu-images.ts';

const SECTOR = 512;

const ignore = (): void => {};

/** In memory where the host has such a place: images are flushed all the time. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Makes a folder, and takes it away when `action` has ended. */
export async function inFolder<T>(action: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(PLACE, 'trapeze-qcow2-'));
  try {
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One random image, read, written and converted. Returns what is wrong. */
export function checkOneImage(random: Random): Promise<string[]> {
  return inFolder(async (folder) => {
    const image = makeQemuImage(random, folder);
    const content = contentByQemu(image.path);
    const problems = content === undefined ? await failsToRead(image.path) : await holdsAgainst(image, content, random);
    return problems.map((problem) => `${image.options}: ${problem}`);
  });
}

async function holdsAgainst(image: QemuImage, content: Buffer, random: Random): Promise<string[]> {
  return [
    ...(differ(content, await contentByUs(image.path)) ? ['is read otherwise'] : []),
    ...(await checksTheSame(image.path)),
    ...(await writesWell(image, random)),
    ...(await convertsWell(image, random)),
    ...(await resizesWell(image, content, random)),
  ];
}

/** The disk as QEMU reads it; undefined where QEMU cannot read what it wrote: it may write data over a compressed cluster. */
export function contentByQemu(image: string): Buffer | undefined {
  const raw = `${image}.raw`;
  return tryQemuImg('convert', '-f', 'qcow2', '-O', 'raw', image, raw).status === 0 ? readFileSync(raw) : undefined;
}

/** What QEMU cannot read is an error here too, in one line. */
async function failsToRead(image: string): Promise<string[]> {
  try {
    await contentByUs(image);
  } catch (error) {
    return error instanceof UserError && !error.message.includes('\n') ? [] : [`is read with ${String(error)}`];
  }
  return ['is read, and not by QEMU'];
}

async function contentByUs(image: string): Promise<Uint8Array> {
  const disk = await openDisk(image, 'ro', ignore);
  try {
    return await readAll(disk);
  } finally {
    await disk.close();
  }
}

const differ = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) !== 0;

/** What `qemu-img check` counts, and what is counted here. */
async function checksTheSame(image: string): Promise<string[]> {
  const theirs = JSON.parse(tryQemuImg('check', '-f', 'qcow2', '--output=json', image).stdout) as Record<
    string,
    number
  >;
  const ours = await checkDisk(nodeImages, image, { format: 'qcow2', repair: 'none' });
  const pairs: readonly (readonly [string, number])[] = [
    ['corruptions', ours.errors],
    ['leaks', ours.leaks],
    ['allocated-clusters', ours.allocatedClusters],
    ['compressed-clusters', ours.compressedClusters],
    ['total-clusters', ours.totalClusters],
    ['image-end-offset', ours.imageEnd],
  ];
  return pairs
    .filter(([name, count]) => (theirs[name] ?? 0) !== count)
    .map(([name, count]) => `${name}: QEMU counts ${theirs[name] ?? 0}, Trapeze ${count}`);
}

/** Random requests to a disk, mirrored in `model`. */
async function use(disk: BlockBackend, model: Uint8Array, random: Random): Promise<void> {
  for (let step = 0; step < 40; step++) {
    const first = random.below(disk.size / SECTOR);
    const count = 1 + random.below(Math.min(disk.size / SECTOR - first, 300));
    const [offset, end] = [first * SECTOR, (first + count) * SECTOR];
    const kind = random.below(8);
    if (kind < 5) {
      random.fill(model.subarray(offset, Math.min(end, offset + 4096)));
      await disk.write(offset, model.slice(offset, end));
    } else if (kind < 7) {
      model.fill(0, offset, end);
      await disk.writeZeroes?.(offset, end - offset);
    } else await disk.flush();
  }
}

async function writesWell(image: QemuImage, random: Random): Promise<string[]> {
  const copy = copyOf(image);
  const before = tryQemuImg('check', '-f', 'qcow2', copy);
  // QEMU itself leaves contradictions when a snapshot has no room in the counts.
  if (before.status !== 0) return [];
  const snapshots = snapshotContents(copy);
  const disk = await openDisk(copy, 'rw', ignore);
  const model = await readAll(disk);
  await use(disk, model, random);
  const problems = differ(await readAll(disk), model) ? ['reads otherwise than it was written'] : [];
  await disk.close();
  const { status, stdout } = tryQemuImg('check', '-f', 'qcow2', copy);
  if (status !== 0) problems.push(`qemu-img check: ${stdout.slice(0, 300)}`);
  const theirs = contentByQemu(copy);
  if (theirs === undefined || differ(theirs, model)) problems.push('QEMU reads otherwise than was written');
  if (snapshotContents(copy).some((content, i) => differ(content, snapshots[i]!))) problems.push('a snapshot changed');
  return problems;
}

async function resizesWell(image: QemuImage, content: Buffer, random: Random): Promise<string[]> {
  const copy = copyOf(image);
  if (tryQemuImg('check', '-f', 'qcow2', copy).status !== 0) return [];
  const snapshots = snapshotContents(copy);
  const size = SECTOR * (1 + random.below((3 * content.length) / SECTOR));
  try {
    await resizeDisk(nodeImages, copy, { format: 'qcow2', size: () => size, shrink: true });
  } catch (error) {
    const old = image.options.includes('compat=0.10') && snapshots.length > 0;
    return old && error instanceof UserError ? [] : [`is resized with ${String(error)}`];
  }
  const expected = Buffer.concat([content.subarray(0, size), Buffer.alloc(Math.max(0, size - content.length))]);
  const { status, stdout } = tryQemuImg('check', '-f', 'qcow2', copy);
  const problems = status === 0 ? [] : [`qemu-img check of the resized image: ${stdout.slice(0, 300)}`];
  const theirs = contentByQemu(copy);
  if (theirs === undefined || differ(theirs, expected)) problems.push(`QEMU reads otherwise after a resize to ${size}`);
  // QEMU shows snapshots with the size that the disk has now.
  const kept = Math.min(size, content.length);
  const changed = snapshotContents(copy).some((one, i) =>
    differ(one.subarray(0, kept), snapshots[i]!.subarray(0, kept)),
  );
  if (changed) problems.push('a resize changed a snapshot');
  return problems;
}

function snapshotContents(image: string): Buffer[] {
  const { snapshots = [] } = JSON.parse(qemuImg('info', '--output=json', image)) as { snapshots?: { name: string }[] };
  return snapshots.map(({ name }) => {
    const raw = `${image}.snapshot`;
    qemuImg('convert', '-l', name, '-O', 'raw', image, raw);
    return readFileSync(raw);
  });
}

async function convertsWell(image: QemuImage, random: Random): Promise<string[]> {
  const compress = random.chance(0.5);
  const version = random.pick([2, 3] as const);
  const clusterSize = 512 * 2 ** random.below(13);
  const shape = {
    clusterSize,
    extendedL2: version === 3 && clusterSize >= LEAST_EXTENDED_CLUSTER && random.chance(0.5),
    refcountBits: version === 2 ? 16 : 2 ** random.below(7),
    version,
    replace: false,
    compressionType: version === 3 && random.chance(0.5) ? ('zstd' as const) : ('zlib' as const),
  };
  const [converted, raw] = [`${image.path}.converted`, `${image.path}.back`];
  const common = { fromFormat: undefined, replace: false };
  await convertDisk(nodeImages, image.path, converted, { ...common, ...shape, format: 'qcow2', compress });
  await convertDisk(nodeImages, converted, raw, { ...common, ...shape, format: 'raw', compress: false });
  const problems: string[] = [];
  const { status, stdout } = tryQemuImg('check', '-f', 'qcow2', converted);
  if (status !== 0) problems.push(`qemu-img check of the converted image: ${stdout.slice(0, 300)}`);
  if (tryQemuImg('compare', '-f', 'qcow2', '-F', 'qcow2', image.path, converted).status !== 0)
    problems.push('the converted image is not the same');
  if (tryQemuImg('compare', '-f', 'qcow2', '-F', 'raw', image.path, raw).status !== 0)
    problems.push('the image converted to raw is not the same');
  return problems.map((problem) => `${problem} (${JSON.stringify(shape)}, ${compress ? '' : 'not '}compressed)`);
}
