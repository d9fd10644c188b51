/** `trapeze disk`: what it does and prints. */
import process from 'node:process';
import {
  checkDisk,
  compareDisks,
  convertDisk,
  createDisk,
  type DiskInfo,
  diskInfo,
  type ImageShape,
  resizeDisk,
} from '../api/disk-images.ts';
import { formatSize, parseSize } from '../api/size.ts';
import { nodeImages } from '../host/node/image-files.ts';
import { UserError } from '../host/node/index.ts';
import type { COMPATS, COMPRESSION_TYPES, IMAGE_FORMATS, REPAIRS } from './disk-choices.ts';
import { EXIT } from './exit-codes.ts';
import { showProgress } from './progress.ts';

type ImageFormat = (typeof IMAGE_FORMATS)[number];

interface ShapeFlags {
  readonly format: ImageFormat;
  readonly clusterSize: string;
  readonly refcountBits: string;
  readonly compat: (typeof COMPATS)[number];
  readonly extendedL2?: true;
  readonly compressionType: (typeof COMPRESSION_TYPES)[number];
  readonly force?: true;
}

export interface CreateFlags extends ShapeFlags {
  readonly backing?: string;
  readonly backingFormat?: ImageFormat;
}

export interface InfoFlags {
  readonly format?: ImageFormat;
  readonly json?: true;
}

export interface ConvertFlags extends ShapeFlags {
  readonly fromFormat?: ImageFormat;
  readonly compress?: true;
}

export interface CompareFlags extends InfoFlags {
  readonly otherFormat?: ImageFormat;
}

export interface ResizeFlags {
  readonly format?: ImageFormat;
  readonly shrink?: true;
}

export interface CheckFlags extends InfoFlags {
  readonly repair?: (typeof REPAIRS)[number];
}

const INTERRUPTED = 130;

/** What only qcow2 images have, where it is not as usual. */
const QCOW2_ALONE: readonly (readonly [option: string, isAsked: (flags: ShapeFlags) => boolean])[] = [
  ['--cluster-size', ({ clusterSize }) => clusterSize !== '64K'],
  ['--refcount-bits', ({ refcountBits }) => refcountBits !== '16'],
  ['--compat', ({ compat }) => compat !== '1.1'],
  ['--extended-l2', ({ extendedL2 }) => extendedL2 === true],
  ['--compression-type', ({ compressionType }) => compressionType !== 'zlib'],
];

function refuseForRaw(flags: ShapeFlags): void {
  const asked = flags.format === 'raw' ? QCOW2_ALONE.find(([, isAsked]) => isAsked(flags)) : undefined;
  if (asked !== undefined)
    throw new UserError(`${asked[0]}: a raw image has no such thing: leave it out, or choose --format qcow2`);
}

function shapeOf(flags: ShapeFlags): ImageShape {
  refuseForRaw(flags);
  const { format, clusterSize, refcountBits, compat, extendedL2, compressionType, force } = flags;
  if (compat === '0.10' && refcountBits !== '16')
    throw new UserError('--refcount-bits: images of --compat 0.10 have 16: leave one of the two out');
  return {
    format,
    clusterSize: parseSize(clusterSize) ?? Number(clusterSize),
    refcountBits: Number(refcountBits),
    version: compat === '0.10' ? 2 : 3,
    extendedL2,
    compressionType,
    replace: force === true,
  };
}

/** `20G`, or bytes. @throws UserError */
function sizeOf(text: string): number {
  const size = parseSize(text) ?? (/^\d+$/.test(text) ? Number(text) : undefined);
  if (size === undefined || !Number.isSafeInteger(size))
    throw new UserError(`'${text}' is no size of a disk: write a number and K, M, G or T, such as 20G`);
  return size;
}

const print = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);

/** @throws UserError when the image cannot be made. */
export async function create(path: string, size: string | undefined, flags: CreateFlags): Promise<void> {
  if (flags.backing === undefined && flags.backingFormat !== undefined)
    throw new UserError('--backing-format is for a backing file: name it with --backing');
  const bytes = await createDisk(nodeImages, path, {
    ...shapeOf(flags),
    size: size === undefined ? undefined : sizeOf(size),
    backing: flags.backing === undefined ? undefined : { path: flags.backing, format: flags.backingFormat },
  });
  const behind = flags.backing === undefined ? '' : ` over ${flags.backing}`;
  process.stdout.write(`${path}: ${flags.format}, a disk of ${formatSize(bytes)}${behind}\n`);
}

/** @throws UserError when the image cannot be used. */
export async function info(path: string, flags: InfoFlags): Promise<void> {
  const found = await diskInfo(nodeImages, path, flags.format);
  if (flags.json === true) print(found);
  else process.stdout.write(infoText(found));
}

function infoText({ path, format, size, fileSize, allocatedSize, qcow2 }: DiskInfo): string {
  const rows: [string, string][] = [
    ['image', path],
    ['format', qcow2 === undefined ? format : `${format}, version ${qcow2.version}`],
    ['disk', sizeText(size)],
    ['file', sizeText(fileSize) + (allocatedSize === undefined ? '' : `, of which ${sizeText(allocatedSize)} on disk`)],
  ];
  if (qcow2 === undefined) return rowsText(rows);
  const { clusterSize, refcountBits, extendedL2, lazyRefcounts, dirty, corrupt, backing, snapshots } = qcow2;
  const parts = extendedL2 ? ' in 32 subclusters' : '';
  const counts = `counts of ${refcountBits} bits${lazyRefcounts ? ', lazy' : ''}`;
  rows.push(['clusters', `${formatSize(clusterSize)}${parts}, ${counts}`]);
  if (qcow2.compressionType !== 'zlib') rows.push(['compression', qcow2.compressionType]);
  if (dirty) rows.push(['state', 'not closed well: counts are repaired when it is next written']);
  if (corrupt) rows.push(['state', 'marked as corrupt: it may only be read']);
  if (backing !== null)
    rows.push(['backing file', `${backing.path} (${backing.format ?? 'its format is found from its content'})`]);
  const listed = snapshots.map(
    ({ id, name, takenMs, stateSize }) =>
      `  ${shown(id)}  ${new Date(takenMs).toISOString()}  ${shown(name)}${stateSize > 0 ? `  (with ${sizeText(stateSize)} of memory)` : ''}\n`,
  );
  return rowsText(rows) + (listed.length === 0 ? '' : `snapshots\n${listed.join('')}`);
}

/** Names in an image are others': nothing of them may steer a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const shown = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');

const rowsText = (rows: readonly (readonly [string, string])[]): string =>
  rows.map(([name, text]) => `${name.padEnd(14)}${shown(text)}\n`).join('');

/** `20G`, or `1.5G (1610612736 bytes)` where that is not exact enough. */
function sizeText(bytes: number): string {
  const exact = formatSize(bytes);
  for (const [unit, scale] of [
    ['T', 2 ** 40],
    ['G', 2 ** 30],
    ['M', 2 ** 20],
    ['K', 2 ** 10],
  ] as const)
    if (bytes >= scale) return exact === `${bytes / scale}${unit}` ? exact : `${(bytes / scale).toFixed(1)}${unit}`;
  return exact;
}

/** Copies an image. Returns the exit code. @throws UserError when one of the two cannot be used. */
export async function convert(from: string, to: string, flags: ConvertFlags): Promise<number> {
  let text = `converting ${from}`;
  const hide = showProgress(() => text);
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    await convertDisk(nodeImages, from, to, {
      ...shapeOf(flags),
      fromFormat: flags.fromFormat,
      compress: flags.compress === true,
      onProgress: (done, size) => (text = `converting ${from}: ${percent(done / size)} of ${sizeText(size)}`),
      signal: abort.signal,
    });
    return EXIT.success;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    return INTERRUPTED;
  } finally {
    hide();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

const percent = (share: number): string => `${Math.floor(share * 100)} %`;

/** `20G`, or `+5G` and `-5G` for that much more or less. @throws UserError */
function newSizeOf(text: string): (before: number) => number {
  const sign = /^[+-]/.exec(text)?.[0];
  const bytes = sizeOf(sign === undefined ? text : text.slice(1));
  if (sign === undefined) return () => bytes;
  return (before) => before + (sign === '+' ? bytes : -bytes);
}

/** Makes a disk larger or smaller. @throws UserError when that cannot or must not be done. */
export async function resize(path: string, size: string, flags: ResizeFlags): Promise<void> {
  const hide = showProgress(() => `resizing ${path}`);
  const { format, shrink } = flags;
  const { before, after } = await resizeDisk(nodeImages, path, {
    format,
    size: newSizeOf(size),
    shrink: shrink === true,
  }).finally(hide);
  const was = before === after ? 'as before' : `before ${formatSize(before)}`;
  process.stdout.write(`${path}: a disk of ${formatSize(after)}, ${was}\n`);
}

/** Compares two images. Returns the exit code. @throws UserError when one of them cannot be used. */
export async function compare(one: string, other: string, flags: CompareFlags): Promise<number> {
  let text = `comparing ${one} with ${other}`;
  const hide = showProgress(() => text);
  const { sizes, differsAt } = await compareDisks(nodeImages, [one, other], {
    formats: [flags.format, flags.otherFormat],
    onProgress: (done, size) => (text = `comparing ${one} with ${other}: ${percent(done / size)} of ${sizeText(size)}`),
  }).finally(hide);
  const same = differsAt === null;
  if (flags.json === true) print({ paths: [one, other], sizes, same, differsAt });
  else {
    const larger = sizes[0] === sizes[1] ? '' : `; their sizes are ${sizes[0]} and ${sizes[1]} bytes`;
    const zeros = larger !== '' && same ? ', and what the larger one has more are zeros' : '';
    process.stdout.write(
      `${same ? 'the disks are the same' : `the disks differ from byte ${differsAt} on`}${larger}${zeros}\n`,
    );
  }
  return same ? EXIT.success : EXIT.imagesDiffer;
}

/** Checks an image and prints what is wrong. Returns the exit code. @throws UserError when it cannot be checked. */
export async function check(path: string, flags: CheckFlags): Promise<number> {
  let text = `checking ${path}`;
  const hide = showProgress(() => text);
  const report = await checkDisk(nodeImages, path, {
    format: flags.format,
    repair: flags.repair ?? 'none',
    onProgress: (share) => (text = `checking ${path}: ${percent(share)}`),
  }).finally(hide);
  const errors = report.errors - report.repairedErrors;
  const leaks = report.leaks - report.repairedLeaks;
  if (flags.json === true) print({ path, ...report });
  else {
    for (const problem of report.problems) process.stdout.write(`${problem}\n`);
    const told = report.problems.length;
    const all = report.errors + report.leaks;
    if (told < all) process.stdout.write(`… and ${all - told} more\n`);
    const { allocatedClusters, totalClusters, compressedClusters } = report;
    process.stdout.write(
      `${path}: ${problemText(report.errors, 'error', report.repairedErrors)}, ` +
        `${problemText(report.leaks, 'leaked cluster', report.repairedLeaks)}; ` +
        `${allocatedClusters} of ${totalClusters} clusters in use, ${compressedClusters} compressed\n`,
    );
  }
  if (errors > 0) return EXIT.imageErrors;
  return leaks > 0 ? EXIT.imageLeaks : EXIT.success;
}

const problemText = (count: number, name: string, repaired: number): string =>
  `${count === 0 ? 'no' : count} ${name}${count === 1 ? '' : 's'}${repaired > 0 ? ` (${repaired} repaired)` : ''}`;
