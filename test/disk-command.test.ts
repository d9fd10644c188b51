/** `trapeze disk`, run as a person runs it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { COMMAND, scratch, trapeze } from './support/trapeze.ts';

const MIB = 2 ** 20;

async function disk(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await trapeze(['disk', ...words]);
  assert.deepEqual([code, stderr], [0, ''], words.join(' '));
  return stdout;
}

/** 3 MiB: content, zeros, content that is like the first. */
function content(): Uint8Array {
  const bytes = new Uint8Array(3 * MIB);
  for (let i = 0; i < 70_000; i++) bytes[i + 100] = bytes[i + 2 * MIB] = i % 251;
  return bytes;
}

test('an image is made, looked into, filled by conversion, checked, and gives back what went in', async (t) => {
  const file = scratch(t);
  const [raw, packed, back] = [file('in.img', content()), file('packed.qcow2'), file('back.img')];
  const empty = file('empty.qcow2');
  assert.match(await disk('create', empty, '20G'), /empty\.qcow2: qcow2, a disk of 20G\n/);
  assert.ok(statSync(empty).size < MIB);
  assert.match(await disk('info', empty), /^format +qcow2, version 3$[\s\S]*^disk +20G$/m);
  await disk('convert', '--compress', raw, packed);
  assert.ok(statSync(packed).size < 600_000);
  const { format, size, qcow2 } = JSON.parse(await disk('info', '--json', packed));
  assert.deepEqual([format, size, qcow2.clusterSize, qcow2.snapshots], ['qcow2', 3 * MIB, 65_536, []]);
  const { errors, leaks, compressedClusters } = JSON.parse(await disk('check', '--json', packed));
  assert.deepEqual([errors, leaks, compressedClusters], [0, 0, 4]);
  await disk('convert', '--format', 'raw', packed, back);
  assert.deepEqual(new Uint8Array(readFileSync(back)), content());
  assert.ok(statSync(back).blocks * 512 < MIB, 'zeros are left out');
});

test('clusters are compressed by Zstandard where that is asked for', async (t) => {
  const file = scratch(t);
  const [raw, image] = [file('in.img', content()), file('image.qcow2')];
  await disk('convert', '--compress', '--compression-type', 'zstd', raw, image);
  assert.match(await disk('info', image), /^compression +zstd$/m);
  assert.equal(JSON.parse(await disk('check', '--json', image)).compressedClusters, 4);
  assert.equal(await disk('compare', raw, image), 'the disks are the same\n');
});

test('an image with subclusters is made, and said to be one', async (t) => {
  const file = scratch(t);
  const [raw, plain, image] = [file('in.img', content()), file('plain.qcow2'), file('image.qcow2')];
  await disk('convert', '--cluster-size', '512K', raw, plain);
  await disk('convert', '--extended-l2', '--cluster-size', '512K', raw, image);
  assert.match(await disk('info', image), /^clusters +512K in 32 subclusters, counts of 16 bits$/m);
  const saved = (statSync(plain).blocks - statSync(image).blocks) * 512;
  assert.ok(saved > 700_000, `subclusters of zeros are left out: ${saved} bytes`);
  assert.equal(await disk('compare', raw, image), 'the disks are the same\n');
});

test('a backing file is named relative to the image, however it was given', async (t) => {
  const file = scratch(t);
  const base = file('base.img', content());
  const top = file('top.qcow2');
  const { code } = await trapeze(['disk', 'create', '--backing', path.relative(process.cwd(), base), top]);
  assert.equal(code, 0);
  const { size, qcow2 } = JSON.parse(await disk('info', '--json', top));
  assert.deepEqual([size, qcow2.backing], [3 * MIB, { name: 'base.img', format: 'raw', path: base }]);
  const flat = file('flat.img');
  await disk('convert', '--format', 'raw', top, flat);
  assert.deepEqual(new Uint8Array(readFileSync(flat)), content());
});

test('check tells leaks from errors by its exit code, and repairs them', async (t) => {
  const file = scratch(t);
  const image = file('image.qcow2');
  await disk('create', '--cluster-size', '4K', image, '1M');
  const bytes = readFileSync(image);
  const counts = 2 * 4096;
  bytes[counts + 2 * 9 + 1] = 1;
  writeFileSync(image, bytes);
  const leaking = await trapeze(['disk', 'check', image]);
  assert.match(leaking.stdout, /leak {2}cluster 9 is counted 1 times and used 0 times\n.*no errors, 1 leaked cluster;/);
  assert.equal(leaking.code, 3);
  assert.match(await disk('check', '--repair', 'leaks', image), /1 leaked cluster \(1 repaired\)/);
  assert.match(await disk('check', image), /no errors, no leaked clusters/);
  bytes[counts + 2 * 9 + 1] = 0;
  bytes[counts + 1] = 0;
  writeFileSync(image, bytes);
  const wrong = await trapeze(['disk', 'check', image]);
  assert.match(wrong.stdout, /ERROR cluster 0 is counted 0 times and used 1 times/);
  assert.equal(wrong.code, 1);
  await disk('check', '--repair', 'all', image);
  await disk('check', image);
});

test('a disk is made larger, and smaller where that is said', async (t) => {
  const file = scratch(t);
  const [raw, image] = [file('disk.img', content()), file('image.qcow2')];
  await disk('convert', raw, image);
  for (const one of [raw, image]) {
    assert.equal(await disk('resize', one, '+100M'), `${one}: a disk of 103M, before 3M\n`);
    assert.equal(await disk('resize', one, '103M'), `${one}: a disk of 103M, as before\n`);
    const { code, stderr } = await trapeze(['disk', 'resize', one, '1M']);
    assert.deepEqual([code, /would lose those from 1048576 on: .* say --shrink\n$/.test(stderr)], [2, true], stderr);
  }
  assert.equal(await disk('compare', raw, image), 'the disks are the same\n');
  const before = statSync(image).size;
  for (const one of [raw, image]) await disk('resize', '--shrink', one, '1M');
  assert.ok(statSync(image).size < before);
  assert.equal(statSync(raw).size, MIB);
  assert.equal(await disk('compare', raw, image), 'the disks are the same\n');
  await disk('check', image);
  assert.match(await disk('resize', '--shrink', image, '--', '-512K'), /a disk of 512K, before 1M/);
});

test('an image over another is made larger by zeros, whatever is behind it', async (t) => {
  const file = scratch(t);
  const [base, top, flat] = [file('base.img', content()), file('top.qcow2'), file('flat.img')];
  await disk('create', '--backing', base, top, '1M');
  await disk('resize', top, '4M');
  await disk('convert', '--format', 'raw', top, flat);
  const expected = new Uint8Array(4 * MIB);
  expected.set(content().subarray(0, MIB));
  assert.deepEqual(new Uint8Array(readFileSync(flat)), expected);
  assert.deepEqual(new Uint8Array(readFileSync(base)), content());
});

test('a mistake is one line that names the fix, exit code 2, and no file', async (t) => {
  const file = scratch(t);
  const raw = file('raw.img', new Uint8Array(MIB));
  const cut = file('cut.qcow2');
  await disk('create', cut, '1G');
  truncateSync(cut, 70_000);
  const small = file('small.qcow2');
  await disk('create', '--cluster-size', '512', small, '1M');
  const out = file('out');
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['create', out], /needs a size, such as 10G, or a backing file/],
    [['create', out, '0'], /a size above 0/],
    [['create', out, 'much'], /'much' is no size of a disk/],
    [['create', raw, '1G'], /raw\.img is there already: .*--force/],
    [['create', '--cluster-size', '3K', out, '1G'], /choices are 512/],
    [['create', '--cluster-size', '512', out, '1000G'], /too large for clusters of 512: choose larger/],
    [['create', '--extended-l2', '--cluster-size', '8K', out, '1G'], /with clusters of 16K or more/],
    [['create', '--compression-type', 'zstd', '--compat', '0.10', out, '1G'], /zstd compression is of version 3/],
    [['create', '--compat', '0.10', '--refcount-bits', '8', out, '1G'], /--compat 0\.10 have 16/],
    [['create', '--format', 'raw', '--backing', raw, out], /a raw image cannot have a backing file/],
    [['create', '--format', 'raw', '--extended-l2', out, '1M'], /--extended-l2: a raw image has no such thing/],
    [['create', '--format', 'raw', '--compression-type', 'zstd', out, '1M'], /--compression-type: a raw image/],
    [['create', '--backing', file('gone'), out], /gone does not exist/],
    [['create', file('no/place'), '1G'], /no\/place: there is no folder \S+\/no: make it \(mkdir -p \S+\/no\)/],
    [['info', cut], /cut\.qcow2: .* behind the end of the file: the file is not whole/],
    [['info', file('gone')], /gone does not exist/],
    [['compare', raw, file('gone')], /gone does not exist/],
    [['resize', file('gone'), '1G'], /gone does not exist/],
    [['resize', raw, '+much'], /'much' is no size of a disk/],
    [['resize', raw, '0'], /a size above 0/],
    [['resize', '--shrink', raw, '--', '-1G'], /a size above 0/],
    [['resize', small, '100T'], /too large for clusters of 512/],
    [['check', raw], /a raw image has no tables .*: name a qcow2 image/],
    [['convert', '--format', 'raw', '--compress', raw, out], /a raw image cannot be compressed/],
    [['convert', '--from-format', 'qcow2', raw, out], /this is no qcow2 image/],
  ];
  for (const [words, line] of cases) {
    const { code, stdout, stderr } = await trapeze(['disk', ...words]);
    assert.match(stderr, line);
    assert.match(stderr, /^trapeze: [^\n]+\n$/);
    assert.deepEqual([code, stdout], [2, ''], words.join(' '));
  }
  assert.deepEqual(readdirSync(path.dirname(raw)).sort(), ['cut.qcow2', 'raw.img', 'small.qcow2']);
});

test('two images hold the same disk or differ from a byte on', async (t) => {
  const file = scratch(t);
  const [raw, packed] = [file('in.img', content()), file('packed.qcow2')];
  await disk('convert', '--compress', raw, packed);
  assert.equal(await disk('compare', raw, packed), 'the disks are the same\n');
  const longer = file('longer.img', Buffer.concat([content(), new Uint8Array(MIB)]));
  assert.match(
    await disk('compare', packed, longer),
    /^the disks are the same; their sizes are 3145728 and 4194304 bytes, and what the larger one has more are zeros\n$/,
  );
  const changed = content();
  changed[2 * MIB + 12_345]! ^= 1;
  const other = file('other.img', changed);
  const { code, stdout } = await trapeze(['disk', 'compare', '--json', packed, other]);
  assert.equal(code, 1);
  const report = JSON.parse(stdout);
  assert.deepEqual([report.same, report.differsAt], [false, 2 * MIB + 12_345]);
  writeFileSync(longer, Buffer.concat([content(), new Uint8Array(MIB).fill(1, MIB - 1)]));
  const behind = await trapeze(['disk', 'compare', longer, packed]);
  assert.deepEqual([behind.code, behind.stderr], [1, '']);
  assert.match(behind.stdout, /differ from byte 4194303 on; their sizes are 4194304 and 3145728 bytes\n/);
});

test('an interrupted conversion leaves nothing behind', { skip: process.platform === 'win32' }, async (t) => {
  const file = scratch(t);
  const raw = file('large.img', content());
  truncateSync(raw, 40 * 2 ** 30);
  const child = spawn(process.execPath, [COMMAND, 'disk', 'convert', raw, file('out.qcow2')]);
  const ended = new Promise((resolve) => child.on('close', resolve));
  const begun = () => readdirSync(path.dirname(raw)).some((name) => name.endsWith('.part'));
  while (!begun()) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGINT');
  assert.equal(await ended, 130);
  assert.deepEqual(readdirSync(path.dirname(raw)), ['large.img']);
});
