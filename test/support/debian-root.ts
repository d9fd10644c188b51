/**
 * Root file systems of Debian packages, as initramfs: their programs, the libraries these need, and BusyBox. Made once
 * and kept in `.cache/guests/`, as the files they were made from are, so that the same programs run on the host too.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { type CpioEntry, writeCpio } from '../../guest/cpio.ts';
import { aptEnvironment, CACHE, DebianUnavailable, debianFile, explain, withPackageLists } from './debian.ts';

const run = promisify(execFile);

/** Parts of packages that no program here reads. */
const LEFT_OUT = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info', 'usr/share/lintian'];

const APPLETS = [
  'sh',
  'mount',
  'mkdir',
  'poweroff',
  'echo',
  'cat',
  'ls',
  'uname',
  'sleep',
  'date',
  'free',
  'ip',
  'grep',
];

/** Runs `/job`, which another initramfs brings, and says how it ended. */
const INIT = `#!/bin/busybox sh
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /tmp /root /run
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
cd /tmp
echo "JOB-""BEGIN"
sh /job
echo "JOB-""END $?"
poweroff -f
`;

export interface DebianRoot {
  /** The initramfs. */
  readonly initrd: string;
  /** The folder that the packages were unpacked into. */
  readonly folder: string;
}

async function download(packages: readonly string[], env: NodeJS.ProcessEnv, archives: string): Promise<void> {
  const options = ['-q', '-y', '--download-only', '--no-install-recommends', '-o', `Dir::Cache::archives=${archives}`];
  await run('apt-get', ['install', ...options, ...packages], { env, maxBuffer: 2 ** 26 });
}

async function unpack(packages: readonly string[], folder: string): Promise<void> {
  const env = await aptEnvironment('amd64');
  const archives = `${folder}.archives`;
  await mkdir(path.join(archives, 'partial'), { recursive: true });
  process.stderr.write(`guests: fetching Debian's ${packages.join(', ')} with what they need, once\n`);
  await withPackageLists(env, () => download(packages, env, archives));
  const files = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
  for (const file of files) await run('dpkg-deb', ['-x', path.join(archives, file), folder]);
  for (const part of LEFT_OUT) await rm(path.join(folder, part), { recursive: true, force: true });
  await rm(archives, { recursive: true });
}

/** The entries of a folder and of all below it. */
async function entriesOf(root: string, below = ''): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [];
  for (const name of (await readdir(path.join(root, below))).sort()) {
    const [inside, file] = [path.join(below, name), path.join(root, below, name)];
    const status = await lstat(file);
    const mode = status.mode & 0o7777;
    if (status.isSymbolicLink()) entries.push({ type: 'symlink', path: inside, target: await readlink(file) });
    else if (status.isFile()) entries.push({ type: 'file', path: inside, mode, content: await readFile(file) });
    else if (status.isDirectory())
      entries.push({ type: 'directory', path: inside, mode }, ...(await entriesOf(root, inside)));
  }
  return entries;
}

async function archiveOf(folder: string): Promise<Uint8Array> {
  const wanted = { package: 'busybox-static', architecture: 'amd64', pattern: './bin/busybox' } as const;
  const busybox = await readFile(await debianFile('busybox-amd64', wanted));
  const entries = await entriesOf(folder);
  const there = new Set(entries.map((entry) => entry.path));
  const directories = ['bin', 'dev', 'proc', 'sys', 'tmp'].filter((name) => !there.has(name));
  const applets = APPLETS.map((name) => `bin/${name}`).filter((name) => !there.has(name));
  return writeCpio([
    ...directories.map((name) => ({ type: 'directory' as const, path: name })),
    ...entries,
    { type: 'character', path: 'dev/console', major: 5, minor: 1 },
    { type: 'file', path: 'bin/busybox', mode: 0o755, content: busybox },
    ...applets.map((name) => ({ type: 'symlink' as const, path: name, target: 'busybox' })),
    { type: 'file', path: 'init', mode: 0o755, content: INIT },
  ]);
}

/** Writes a file that others may be reading. */
async function replace(file: string, content: Uint8Array): Promise<void> {
  const unfinished = `${file}.${process.pid}`;
  await writeFile(unfinished, content);
  await rename(unfinished, file);
}

/**
 * The root file system `name` of some packages of Debian 12 (amd64). Its first process runs `/job` with a shell, prints
 * `JOB-END` with the status and powers off.
 *
 * @throws DebianUnavailable where there is no apt, no network or no such package
 */
export async function debianRoot(name: string, packages: readonly string[]): Promise<DebianRoot> {
  const folder = path.join(CACHE, 'roots', name);
  const initrd = `${folder}.cpio`;
  try {
    if (!existsSync(folder)) {
      await mkdir(path.dirname(folder), { recursive: true });
      const unfinished = await mkdtemp(`${folder}-`);
      await unpack(packages, unfinished);
      await rename(unfinished, folder);
    }
    if (!existsSync(initrd)) await replace(initrd, await archiveOf(folder));
  } catch (error) {
    if (error instanceof DebianUnavailable) throw error;
    throw new DebianUnavailable(`Debian's packages ${packages.join(', ')}: ${explain(error)}`);
  }
  return { initrd, folder };
}

/** An initramfs with the job of a {@link debianRoot} and the files that it uses, by their paths. */
export function jobInitramfs(job: string, files: Readonly<Record<string, string>> = {}): Uint8Array {
  const entries = Object.entries(files).map(([at, content]) => ({ type: 'file' as const, path: at, content }));
  return writeCpio([{ type: 'file', path: 'job', mode: 0o755, content: job }, ...entries]);
}

/** What the job printed and its status; undefined where the guest did not come to its end. */
export function jobOutput(text: string): { readonly printed: string; readonly status: number } | undefined {
  const found = /JOB-BEGIN\n(.*)JOB-END (\d+)\n/s.exec(text.replaceAll('\r', ''));
  return found === null ? undefined : { printed: found[1]!, status: Number(found[2]) };
}

/**
 * Runs a program of the root file system on the host; returns what it prints.
 *
 * @throws where the host lets nobody change the root folder
 */
export async function runOnHost({ folder }: DebianRoot, words: readonly string[], input: string): Promise<string> {
  const running = run('unshare', ['--map-root-user', 'chroot', folder, ...words], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    maxBuffer: 2 ** 26,
  });
  running.child.stdin!.end(input);
  return (await running).stdout;
}
