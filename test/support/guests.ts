/** Operating systems that the boot tests run: Debian's kernels with a small BusyBox initramfs, and memtest86+. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeCpio } from '../../guest/cpio.ts';
import { CACHE, type DebianArchitecture, type DebianFile, DebianUnavailable, debianFile } from './debian.ts';

/** A guest that cannot be had here, and why: a test says so and skips. */
export interface MissingGuest {
  readonly missing: string;
}

/** Paths of a kernel and the initramfs to go with it. */
export interface LinuxGuest {
  readonly kernel: string;
  readonly initrd: string;
}

export type DebianKernel = 'cloud-amd64' | 'amd64' | '686-pae';

/** What {@link testInitramfs} prints when the kernel has started it. */
export const INIT_MARKER = 'TRAPEZE-INIT-OK';

/** The word on the kernel's command line that makes the test initramfs power off instead of starting a shell. */
export const POWEROFF_WORD = 'trapeze.poweroff';

const KERNEL_FILES: Record<DebianKernel, DebianFile> = {
  'cloud-amd64': kernelFile('linux-image-cloud-amd64', 'amd64', /^linux-image-\d.*-cloud-amd64$/),
  amd64: kernelFile('linux-image-amd64', 'amd64', /^linux-image-\d.*-amd64$/),
  '686-pae': kernelFile('linux-image-686-pae', 'i386', /^linux-image-\d.*-686-pae$/),
};

const INIT = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo ${INIT_MARKER}
uname -a
grep -qw ${POWEROFF_WORD} /proc/cmdline && poweroff -f
while :; do setsid cttyhack sh; done
`;

const APPLETS = ['sh', 'mount', 'echo', 'uname', 'grep', 'poweroff', 'setsid', 'cttyhack'];

function kernelFile(name: string, architecture: DebianArchitecture, dependency: RegExp): DebianFile {
  return { package: name, architecture, dependency, pattern: './boot/vmlinuz-*' };
}

/** Turns the absence of a package into a value; any other failure stays one. */
export async function orMissing<T>(fetching: Promise<T>): Promise<T | MissingGuest> {
  try {
    return await fetching;
  } catch (error) {
    if (error instanceof DebianUnavailable) return { missing: error.message };
    throw error;
  }
}

async function testInitramfs(architecture: DebianArchitecture): Promise<string> {
  const pattern = './bin/busybox';
  const busybox = await debianFile(`busybox-${architecture}`, { package: 'busybox-static', architecture, pattern });
  const archive = writeCpio([
    { type: 'directory', path: 'bin' },
    { type: 'directory', path: 'dev' },
    { type: 'directory', path: 'proc' },
    { type: 'directory', path: 'sys' },
    { type: 'character', path: 'dev/console', major: 5, minor: 1 },
    { type: 'file', path: 'bin/busybox', mode: 0o755, content: await readFile(busybox) },
    ...APPLETS.map((name) => ({ type: 'symlink' as const, path: `bin/${name}`, target: 'busybox' })),
    { type: 'file', path: 'init', mode: 0o755, content: INIT },
  ]);
  const file = path.join(CACHE, `initramfs-${architecture}.cpio.gz`);
  const unfinished = `${file}.${process.pid}`;
  await writeFile(unfinished, gzipSync(archive));
  await rename(unfinished, file);
  return file;
}

/**
 * A stock Debian 12 kernel and an initramfs whose `/init` prints {@link INIT_MARKER} and `uname -a`, then powers off if
 * {@link POWEROFF_WORD} is on the command line, and otherwise gives a root shell on the console.
 */
export async function debianGuest(kernel: DebianKernel): Promise<LinuxGuest | MissingGuest> {
  const wanted = KERNEL_FILES[kernel];
  const fetchGuest = async () => ({
    kernel: await debianFile(`vmlinuz-${kernel}`, wanted),
    initrd: await testInitramfs(wanted.architecture),
  });
  return await orMissing(fetchGuest());
}

/** memtest86+, built for 64-bit or 32-bit processors; it boots by the Linux protocol and draws on a text screen. */
export async function memtestGuest(bits: 64 | 32): Promise<{ readonly kernel: string } | MissingGuest> {
  const name = bits === 64 ? 'memtest86+x64.bin' : 'memtest86+ia32.bin';
  const wanted: DebianFile = { package: 'memtest86+', architecture: 'amd64', pattern: `./boot/${name}` };
  return await orMissing(debianFile(name, wanted).then((kernel) => ({ kernel })));
}

/** A guest in a test that {@link skipWithout} skips where it is not there. */
export const there = <T extends object>(guest: T): Exclude<T, MissingGuest> => guest as Exclude<T, MissingGuest>;

/** The `skip` option of a test that needs `guest`: false, or the reason, which also goes to standard error. */
export function skipWithout(guest: object | MissingGuest): string | false {
  if (!('missing' in guest)) return false;
  const reason = `guest not available: ${guest.missing}`;
  process.stderr.write(`SKIPPED: ${reason}\n`);
  return reason;
}
