/** Each feature of the format as `qemu-img` makes it: read block for block as QEMU reads it, or refused with a command that helps. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkDisk, compareDisks, convertDisk, diskInfo } from '../../src/api/disk-images.ts';
import { nodeImages } from '../../src/host/node/image-files.ts';
import { UserError } from '../../src/user-error.ts';
import { qemuImg, qemuImgMissing, qemuIo, tryQemuImg } from '../support/qemu-img.ts';
import { scratch } from '../support/trapeze.ts';

const missing = qemuImgMissing();
const skip = missing === undefined ? false : `SKIPPED: ${missing}`;
const SIZE = '8M';
const SHAPE = { clusterSize: 65_536, refcountBits: 16, version: 3, replace: true, fromFormat: undefined } as const;

type Place = (name: string) => string;

const create = (image: string, options: string, size = SIZE): string =>
  qemuImg('create', '-q', '-f', 'qcow2', ...(options === '' ? [] : ['-o', options]), image, size);

/** Content, zeros of both kinds, and what was given up. */
const fill = (image: string): void =>
  qemuIo(image, [
    'write -P 5 0 300k',
    'write -P 6 1M 512k',
    'write -z 1200k 64k',
    'write -z -u 1344k 64k',
    'write -P 7 5M 100k',
    'discard 5M 64k',
    'write -c -P 3 2M 64k',
    'write -c -P 4 3M 64k',
  ]);

/** Features that are served: how an image with it is made. */
const SERVED: Record<string, (image: string, file: Place) => void> = {
  'version 2': (image) => void create(image, 'compat=0.10'),
  'lazy refcounts': (image) => void create(image, 'lazy_refcounts=on'),
  'preallocated metadata': (image) => void create(image, 'preallocation=metadata'),
  'preallocated space': (image) => void create(image, 'preallocation=full'),
  'zstd compression': (image) => void create(image, 'compression_type=zstd'),
  subclusters: (image) => void create(image, 'extended_l2=on'),
  'subclusters of 512 bytes, compressed by zstd': (image) =>
    void create(image, 'extended_l2=on,cluster_size=16k,compression_type=zstd'),
  'subclusters over a backing file with subclusters': (image, file) => {
    create(file('base.qcow2'), 'extended_l2=on,cluster_size=32k', '5M');
    fill(file('base.qcow2'));
    const options = ['-o', 'extended_l2=on,cluster_size=2M'];
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', 'base.qcow2', ...options, image, SIZE);
  },
  'an absolute raw backing file': (image, file) => {
    writeFileSync(file('base.img'), Buffer.alloc(3_000_320, 9));
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', file('base.img'), image, SIZE);
  },
  'a backing file with a protocol before its name': (image, file) => {
    writeFileSync(file('base.img'), Buffer.alloc(3_000_320, 9));
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', `file:${file('base.img')}`, image, SIZE);
  },
  'a chain of backing files': (image, file) => {
    create(file('a.qcow2'), 'cluster_size=512', '5M');
    fill(file('a.qcow2'));
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', 'a.qcow2', '-o', 'cluster_size=2M', file('b.qcow2'));
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', 'b.qcow2', image, SIZE);
  },
  'internal snapshots': (image) => {
    create(image, '');
    fill(image);
    qemuImg('snapshot', '-c', 'before', image);
  },
  'dirty bitmaps': (image) => {
    create(image, '');
    qemuImg('bitmap', '--add', image, 'changes');
  },
  'a disk that was made larger': (image) => {
    create(image, 'cluster_size=512', '1M');
    qemuImg('resize', '-q', image, SIZE);
  },
  'a disk that was made smaller': (image) => {
    create(image, '', '64M');
    qemuIo(image, ['write -P 8 4M 8M']);
    qemuImg('resize', '-q', '--shrink', image, SIZE);
  },
};
for (const size of ['512', '1k', '4k', '64k', '2M'])
  SERVED[`clusters of ${size}`] = (image) => void create(image, `cluster_size=${size}`);
for (const bits of [1, 2, 4, 8, 16, 32, 64])
  SERVED[`counts of ${bits} bits`] = (image) => void create(image, `refcount_bits=${bits}`);

for (const [name, make] of Object.entries(SERVED))
  test(`${name}: read as QEMU reads it`, { skip }, async (t) => {
    const file = scratch(t);
    const image = file('image.qcow2');
    make(image, file);
    fill(image);
    await sameAsQemu(t, image);
    const { errors } = await checkDisk(nodeImages, image, { format: undefined, repair: 'none' });
    assert.equal(errors, 0);
    const made = file('made.qcow2');
    await convertDisk(nodeImages, image, made, { ...SHAPE, format: 'qcow2', compress: true });
    assert.equal(tryQemuImg('compare', image, made).status, 0);
    const both = await compareDisks(nodeImages, [image, made], { formats: [undefined, undefined] });
    assert.equal(both.differsAt, null);
    assert.equal(tryQemuImg('check', made).status, 0);
  });

test('a disk of 5 TiB with a little content: read as QEMU reads it', { skip }, async (t) => {
  const file = scratch(t);
  const [image, made] = [file('image.qcow2'), file('made.qcow2')];
  create(image, '', '5T');
  qemuIo(image, ['write -P 5 0 64k', 'write -P 6 4T 64k', 'write -P 7 5497558073344 64k']);
  assert.equal((await diskInfo(nodeImages, image)).size, 5 * 2 ** 40);
  await convertDisk(nodeImages, image, made, { ...SHAPE, format: 'qcow2', compress: false });
  assert.equal(tryQemuImg('compare', image, made).status, 0);
});

/** Features that are refused: how an image with it is made, and the words that name it. */
const REFUSED: Readonly<Record<string, readonly [make: (image: string, file: Place) => void, line: RegExp]>> = {
  'an external data file': [
    (image, file) => void create(image, `data_file=${file('data.raw')}`),
    /an external data file are not supported/,
  ],
  // To make one with LUKS QEMU measures the host's speed, which fails while that is busy.
  encryption: [encrypted, /encrypted images are not supported/],
};

function encrypted(image: string): void {
  const key = path.join(path.dirname(image), 'KEY.txt');
  writeFileSync(key, 'secret');
  const secret = ['--object', `secret,id=s,file=${key}`];
  const options = 'encrypt.format=aes,encrypt.key-secret=s';
  qemuImg('create', '-q', ...secret, '-f', 'qcow2', '-o', options, image, SIZE);
}

/** Runs the command that a message names, in the image's folder. */
function runNamed(message: string, folder: string): void {
  const command = /`qemu-img ([^`]+)`/.exec(message)?.[1];
  assert.ok(command, message);
  const words = command.split(' ').map((word) => word.replace(/(KEY\.txt|NEW\.qcow2)$/, path.join(folder, '$1')));
  const { status, stderr } = tryQemuImg(...words);
  assert.equal(status, 0, stderr);
}

async function refusal(image: string): Promise<string> {
  const error = await diskInfo(nodeImages, image).then(
    () => undefined,
    (problem: unknown) => problem,
  );
  assert.ok(error instanceof UserError, String(error));
  assert.ok(!error.message.includes('\n'));
  return error.message;
}

for (const [name, [make, line]] of Object.entries(REFUSED))
  test(`${name}: refused, and the command that the line names makes an image that is read`, { skip }, async (t) => {
    const file = scratch(t);
    const image = file('image.qcow2');
    make(image, file);
    if (!name.startsWith('encryption')) fill(image);
    const message = await refusal(image);
    assert.match(message, line);
    runNamed(message, path.dirname(image));
    await sameAsQemu(t, file('NEW.qcow2'));
  });

async function sameAsQemu(t: TestContext, image: string): Promise<void> {
  const file = scratch(t);
  const [theirs, ours] = [file('theirs.img'), file('ours.img')];
  qemuImg('convert', '-f', 'qcow2', '-O', 'raw', image, theirs);
  await convertDisk(nodeImages, image, ours, { ...SHAPE, format: 'raw', compress: false });
  assert.ok(readFileSync(ours).equals(readFileSync(theirs)));
}
