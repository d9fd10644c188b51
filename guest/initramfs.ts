/**
 * Writes the embedded guest's initramfs: `node guest/initramfs.ts BUSYBOX OUTPUT`.
 *
 * It holds the BusyBox binary with a link for each of its programs, and the files of `guest/rootfs/`. It is not
 * compressed: unpacking would cost the guest more instructions than the rest of its start.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type CpioEntry, writeCpio } from './cpio.ts';

const ROOTFS = path.join(import.meta.dirname, 'rootfs');
const EMPTY_DIRECTORIES = ['dev', 'mnt', 'proc', 'root', 'run', 'sys', 'usr', 'var'];

/** Everything is in /bin; programs that insist on other places find it there too. */
const PLACES: readonly CpioEntry[] = [
  { type: 'symlink', path: 'sbin', target: 'bin' },
  { type: 'symlink', path: 'usr/bin', target: '../bin' },
  { type: 'symlink', path: 'usr/sbin', target: '../bin' },
  { type: 'symlink', path: 'etc/mtab', target: '/proc/mounts' },
];

/** The files under `guest/rootfs/`, with those at the top or in `bin` executable. */
function rootfsEntries(directory = ''): CpioEntry[] {
  const names = readdirSync(path.join(ROOTFS, directory), { withFileTypes: true });
  const sorted = names.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return sorted.flatMap((item): CpioEntry[] => {
    const name = path.posix.join(directory, item.name);
    const source = path.join(ROOTFS, name);
    if (item.isDirectory()) return [{ type: 'directory', path: name }, ...rootfsEntries(name)];
    if (item.isSymbolicLink()) return [{ type: 'symlink', path: name, target: readlinkSync(source) }];
    const mode = directory === '' || directory === 'bin' ? 0o755 : 0o644;
    return [{ type: 'file', path: name, mode, content: readFileSync(source) }];
  });
}

function initramfs(busybox: string): Uint8Array {
  const ours = rootfsEntries();
  const taken = new Set(ours.map((entry) => entry.path));
  const programs = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n').toSorted();
  const links = programs.map((name): CpioEntry => ({ type: 'symlink', path: `bin/${name}`, target: 'busybox' }));
  return writeCpio([
    { type: 'directory', path: '.' },
    ...EMPTY_DIRECTORIES.map((name): CpioEntry => ({ type: 'directory', path: name })),
    { type: 'directory', path: 'tmp', mode: 0o1777 },
    { type: 'character', path: 'dev/console', major: 5, minor: 1 },
    ...ours,
    { type: 'file', path: 'bin/busybox', mode: 0o755, content: readFileSync(busybox) },
    ...links.filter((link) => !taken.has(link.path) && link.path !== 'bin/busybox'),
    ...PLACES,
  ]);
}

const [busybox, output] = process.argv.slice(2);
if (!busybox || !output) {
  process.stderr.write('usage: node guest/initramfs.ts BUSYBOX OUTPUT\n');
  process.exit(2);
}
writeFileSync(output, initramfs(path.resolve(busybox)));
process.stderr.write(`${output}: ${statSync(output).size} bytes\n`);
