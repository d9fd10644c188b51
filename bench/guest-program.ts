/** The guest benchmark (`bench/guest/`) built for an architecture, with BusyBox beside it, and as a guest's initramfs. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CpioEntry, writeCpio } from '../guest/cpio.ts';
import { type DebianArchitecture, DebianUnavailable, debianFile } from '../test/support/debian.ts';

const CACHE = fileURLToPath(new URL('../.cache/bench', import.meta.url));
const BUILD = fileURLToPath(new URL('guest/build.sh', import.meta.url));

export type GuestArchitecture = 'x86_64' | 'i386';

/** Debian's name of the architecture, and where in the cache its files are. */
const PLACES: Record<GuestArchitecture, { readonly debian: DebianArchitecture; readonly directory: string }> = {
  x86_64: { debian: 'amd64', directory: CACHE },
  i386: { debian: 'i386', directory: path.join(CACHE, 'i386') },
};

export interface GuestProgram {
  /** The program, for the architecture's own processors. */
  readonly program: string;
  /** An initramfs that starts it as the first process. */
  readonly initrd: string;
  /** Why there is no BusyBox beside it, if so. */
  readonly withoutBusybox?: string;
}

/** Leaves a file alone that is as wanted: somebody may be running it. */
function replace(file: string, content: Uint8Array, mode: number): void {
  try {
    if (Buffer.compare(readFileSync(file), content) === 0) return;
  } catch {
    // It is not there yet.
  }
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, content);
  chmodSync(unfinished, mode);
  renameSync(unfinished, file);
}

function compile(architecture: GuestArchitecture, program: string): void {
  const unfinished = `${program}.${process.pid}.new`;
  try {
    execFileSync('sh', [BUILD, architecture, unfinished], { stdio: ['ignore', 'ignore', 'pipe'] });
    replace(program, readFileSync(unfinished), 0o755);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/** Puts BusyBox beside the program. Returns why it did not. */
async function addBusybox(architecture: DebianArchitecture, directory: string): Promise<string | undefined> {
  const wanted = { package: 'busybox-static', architecture, pattern: './bin/busybox' };
  try {
    replace(path.join(directory, 'busybox'), readFileSync(await debianFile(`busybox-${architecture}`, wanted)), 0o755);
    return undefined;
  } catch (error) {
    if (error instanceof DebianUnavailable) return error.message;
    throw error;
  }
}

function initramfs(directory: string, withBusybox: boolean): Uint8Array {
  const file = (name: string, source: string): CpioEntry => {
    return { type: 'file', path: name, mode: 0o755, content: readFileSync(path.join(directory, source)) };
  };
  return writeCpio([
    { type: 'directory', path: 'dev' },
    { type: 'character', path: 'dev/console', major: 5, minor: 1 },
    file('init', 'bench'),
    ...(withBusybox ? [file('busybox', 'busybox')] : []),
  ]);
}

/**
 * Builds what is not in the cache yet.
 *
 * @throws Error when the program cannot be compiled
 */
export async function guestProgram(architecture: GuestArchitecture): Promise<GuestProgram> {
  const { debian, directory } = PLACES[architecture];
  mkdirSync(directory, { recursive: true });
  const [program, initrd] = ['bench', 'initramfs-bench.cpio'].map((name) => path.join(directory, name));
  compile(architecture, program);
  const problem = await addBusybox(debian, directory);
  replace(initrd, initramfs(directory, problem === undefined), 0o644);
  return { program, initrd, ...(problem === undefined ? {} : { withoutBusybox: problem }) };
}
