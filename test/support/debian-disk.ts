/** Disk images with a root file system of Debian's packages. Made once and kept in `.cache/guests/disks/`. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { CACHE, DebianUnavailable, debianFile, explain } from './debian.ts';
import { debianRoot } from './debian-root.ts';

const run = promisify(execFile);

const BUSYBOX = { package: 'busybox-static', architecture: 'amd64', pattern: './bin/busybox' } as const;

/**
 * An ext4 image of `size` bytes (sparse) with some packages of Debian 12 (amd64), whose `/sbin/init` is `init`, a script.
 *
 * @throws DebianUnavailable where there is no apt, no network, no such package or no mkfs.ext4
 */
export async function debianDisk(
  name: string,
  packages: readonly string[],
  size: number,
  init: string,
): Promise<string> {
  const image = path.join(CACHE, 'disks', `${name}.img`);
  const madeWith = `${image}.init`;
  if (existsSync(image) && (await readFile(madeWith, 'utf8').catch(() => '')) === init) return image;
  const { folder } = await debianRoot(name, packages);
  const busybox = await debianFile('busybox-amd64', BUSYBOX);
  await mkdir(path.dirname(image), { recursive: true });
  const work = await mkdtemp(`${image}-`);
  try {
    const root = path.join(work, 'root');
    await cp(folder, root, { recursive: true, verbatimSymlinks: true });
    for (const directory of ['dev', 'proc', 'sys', 'tmp', 'sbin', 'bin'])
      await mkdir(path.join(root, directory), { recursive: true });
    await copyFile(busybox, path.join(root, 'bin/busybox'));
    await writeFile(path.join(root, 'sbin/init'), init);
    for (const program of ['bin/busybox', 'sbin/init']) await chmod(path.join(root, program), 0o755);
    const unfinished = path.join(work, 'disk.img');
    const file = await open(unfinished, 'w');
    await file.truncate(size);
    await file.close();
    await run('mkfs.ext4', ['-q', '-F', '-E', 'root_owner=0:0', '-d', root, unfinished]);
    await rename(unfinished, image);
    await writeFile(madeWith, init);
  } catch (error) {
    throw new DebianUnavailable(`a disk image of Debian's packages ${packages.join(', ')}: ${explain(error)}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return image;
}
