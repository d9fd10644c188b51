import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { StorageFullError } from '../../storage/file.ts';
import { RawDisk } from '../../storage/raw.ts';
import { UserError } from '../../user-error.ts';
import { type DiskMode, openDisk } from './files.ts';
import { NodeFile } from './node-file.ts';

const directory = await mkdtemp(join(tmpdir(), 'trapeze-files-'));
after(() => rm(directory, { recursive: true }));

const SECTOR = 512;
const silent = () => assert.fail('nothing is to be reported');

async function image(name: string, size: number): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, new Uint8Array(size).fill(0x11));
  return path;
}

const refused = (path: string, mode: DiskMode, line: RegExp) =>
  assert.rejects(openDisk(path, mode, silent), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, line);
    assert.ok(error.message.includes(path) && !error.message.includes('\n'));
    return true;
  });

async function withTemporaryDirectory<T>(path: string, action: () => Promise<T>): Promise<T> {
  const previous = process.env.TMPDIR;
  process.env.TMPDIR = path;
  try {
    return await action();
  } finally {
    if (previous === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = previous;
  }
}

test('rw writes the file, ro does not', async () => {
  const path = await image('rw.img', 4 * SECTOR);
  const disk = await openDisk(path, 'rw', silent);
  assert.deepEqual([disk.size, disk.readOnly], [4 * SECTOR, false]);
  await disk.write(SECTOR, new Uint8Array(SECTOR).fill(0x22));
  await disk.flush();
  await disk.close();
  const readOnly = await openDisk(path, 'ro', silent);
  assert.equal(readOnly.readOnly, true);
  const bytes = new Uint8Array(3 * SECTOR);
  await readOnly.read(0, bytes);
  assert.deepEqual([bytes[0], bytes[SECTOR], bytes[2 * SECTOR]], [0x11, 0x22, 0x11]);
  await assert.rejects(readOnly.write(0, bytes));
  await readOnly.close();
});

test('cow leaves the file alone and leaves no file behind', async () => {
  const path = await image('cow.img', 4 * SECTOR);
  const before = await stat(path, { bigint: true });
  const changes = join(directory, 'changes');
  await mkdir(changes);
  const disk = await withTemporaryDirectory(changes, () => openDisk(path, 'cow', silent));
  assert.equal(disk.readOnly, false);
  await disk.write(0, new Uint8Array(2 * SECTOR).fill(0x33));
  const bytes = new Uint8Array(4 * SECTOR);
  await disk.read(0, bytes);
  assert.deepEqual([bytes[SECTOR], bytes[2 * SECTOR]], [0x33, 0x11]);
  await disk.close();
  assert.deepEqual(await readdir(changes), []);
  assert.ok((await readFile(path)).every((byte) => byte === 0x11));
  assert.equal((await stat(path, { bigint: true })).mtimeNs, before.mtimeNs);
});

test('what cannot be a disk is refused with one line that names the fix', async () => {
  const folder = join(directory, 'folder');
  await mkdir(folder);
  await refused(folder, 'cow', /is a directory; give a disk image file/);
  await refused(join(directory, 'absent.img'), 'rw', /does not exist; .*truncate -s 1G/);
  await refused(join(await image('plain', SECTOR), 'below'), 'ro', /does not exist/);
  await refused(await image('odd.img', 1000), 'ro', /1000 bytes, not a multiple of 512; .*truncate -s %512/);
  await refused(await image('empty.img', 0), 'rw', /is empty; .*truncate -s 1G/);
  await refused('/dev/null', 'rw', /not a regular file/);
});

test('the advice for an odd size works', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs GNU truncate');
  const path = await image('advice.img', 1000);
  execFileSync('sh', ['-c', 'truncate -s %512 "$1"', 'sh', path]);
  const disk = await openDisk(path, 'ro', silent);
  assert.equal(disk.size, 1024);
  await disk.close();
});

test('files without permission are refused', async (t) => {
  if (process.platform === 'win32') return t.skip('permissions work otherwise here');
  const path = await image('locked.img', SECTOR);
  await chmod(directory, 0o755);
  await chmod(path, 0o400);
  await asOrdinaryUser(path, async () => {
    await refused(path, 'rw', /may not be written; use .*,ro or .*,cow/);
    await chmod(path, 0);
    await refused(path, 'ro', /may not be read; change its permissions/);
  });
});

/** Root may do everything: gives the file to somebody else and acts as that user meanwhile. */
async function asOrdinaryUser(path: string, action: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return action();
  const nobody = 65_534;
  await chown(path, nobody, nobody);
  process.seteuid?.(nobody);
  try {
    await action();
  } finally {
    process.seteuid?.(0);
  }
}

test('a directory for changes that is not there is named', async () => {
  const path = await image('tmpdir.img', SECTOR);
  await withTemporaryDirectory(join(directory, 'nowhere'), () =>
    assert.rejects(openDisk(path, 'cow', silent), /no temporary file can be made in .*nowhere.*; set TMPDIR/),
  );
});

test('a host without room says so once', async (t) => {
  const full = await open('/dev/full', 'r+').catch(() => undefined);
  if (full === undefined) return t.skip('the host has no /dev/full');
  let reports = 0;
  const disk = new RawDisk(new NodeFile(full), { size: 8 * SECTOR, readOnly: false, onFull: () => reports++ });
  await assert.rejects(disk.write(0, new Uint8Array(SECTOR)), StorageFullError);
  await assert.rejects(disk.write(0, new Uint8Array(SECTOR)), StorageFullError);
  assert.equal(reports, 1);
  await disk.close();
});

test('what lies behind the end of a file that shrank reads as zero', async () => {
  const path = await image('shrunk.img', 4 * SECTOR);
  const disk = await openDisk(path, 'ro', silent);
  await writeFile(path, new Uint8Array(700).fill(0x11));
  const bytes = new Uint8Array(4 * SECTOR).fill(9);
  await disk.read(0, bytes);
  assert.deepEqual([bytes[699], bytes[700], bytes[2047]], [0x11, 0, 0]);
  await disk.close();
});
