/** The guests that all peers run: the same files. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type DebianKernel, debianGuest, INIT_MARKER } from '../test/support/guests.ts';
import { type GuestProgram, guestProgram } from './guest-program.ts';
import type { Guest } from './peers/peer.ts';

const ROOT = new URL('../', import.meta.url);
const here = (path: string): string => fileURLToPath(new URL(path, ROOT));

/** The guest benchmark: as a program of the host, and as the first process of a guest. */
export interface ProgramFiles {
  readonly program: string;
  readonly guest: Guest;
  /** The same sources built for 32-bit processors. */
  readonly guest32?: Guest;
  readonly workloads: readonly string[];
}

export interface DebianBoot {
  readonly name: string;
  readonly guest: Guest;
  /** What its first process prints. */
  readonly marker: string;
}

export interface GuestFiles {
  readonly embedded: Guest;
  readonly debian: readonly DebianBoot[];
  readonly program?: ProgramFiles;
  /** What is not to be had here, and why. */
  readonly missing: readonly string[];
}

const MEMORY_MIB = 512;

const EMBEDDED: Guest = {
  bits: 64,
  kernel: here('guest/images/vmlinuz-x86_64'),
  initrd: here('guest/images/initramfs-x86_64.cpio'),
  append: 'console=hvc0 quiet',
  memoryMiB: MEMORY_MIB,
  console: 'virtio',
};

function reason(error: unknown): string {
  const { message, stderr } = error as Error & { stderr?: Buffer };
  return (
    String(stderr ?? '')
      .trim()
      .split('\n')
      .at(-1) || message
  );
}

const DEBIAN: Partial<Record<DebianKernel, Guest['bits']>> = { 'cloud-amd64': 64, '686-pae': 32 };

async function debianBoots(missing: string[]): Promise<DebianBoot[]> {
  const boots: DebianBoot[] = [];
  for (const [name, bits] of Object.entries(DEBIAN) as [DebianKernel, Guest['bits']][]) {
    const found = await debianGuest(name);
    if ('missing' in found) missing.push(`boot-debian-${name}: ${found.missing}`);
    else {
      const guest: Guest = { ...found, bits, append: 'console=ttyS0', memoryMiB: MEMORY_MIB, console: 'serial' };
      boots.push({ name: `debian-${name}`, guest, marker: INIT_MARKER });
    }
  }
  return boots;
}

async function build(architecture: 'x86_64' | 'i386', missing: string[]): Promise<GuestProgram | undefined> {
  try {
    return await guestProgram(architecture);
  } catch (error) {
    missing.push(`the guest benchmark for ${architecture} cannot be built: ${reason(error)}`);
    return undefined;
  }
}

/** Names of what the program can do, with BusyBox beside it or without. */
function workloadsOf({ program, withoutBusybox }: GuestProgram, missing: string[]): string[] {
  const all = execFileSync(program, ['list'], { encoding: 'utf8' }).trim().split('\n');
  if (withoutBusybox === undefined) return all;
  const [lacking, workloads] = [true, false].map((busybox) =>
    all.filter((name) => name.startsWith('busybox-') === busybox),
  );
  missing.push(`${lacking.join(', ')}: ${withoutBusybox}`);
  return workloads;
}

/** The 32-bit build on Debian's 32-bit kernel: the embedded one has 64 bits alone. */
async function guest32Of(debian: readonly DebianBoot[], missing: string[]): Promise<Guest | undefined> {
  const kernel = debian.find((boot) => boot.guest.bits === 32)?.guest;
  if (kernel === undefined) {
    missing.push('workloads on v86: there is no 32-bit kernel');
    return undefined;
  }
  const program = await build('i386', missing);
  if (program?.withoutBusybox !== undefined) missing.push(`workloads on v86: ${program.withoutBusybox}`);
  if (program === undefined || program.withoutBusybox !== undefined) return undefined;
  // The embedded kernel has none of the mitigations of processors' faults either.
  return { ...kernel, append: 'console=ttyS0 quiet mitigations=off', initrd: program.initrd };
}

async function programFiles(debian: readonly DebianBoot[], missing: string[]): Promise<ProgramFiles | undefined> {
  const program = await build('x86_64', missing);
  if (program === undefined) return undefined;
  const guest32 = await guest32Of(debian, missing);
  return {
    program: program.program,
    workloads: workloadsOf(program, missing),
    guest: { ...EMBEDDED, initrd: program.initrd },
    ...(guest32 === undefined ? {} : { guest32 }),
  };
}

/** Builds and fetches what is not there yet. */
export async function guestFiles(): Promise<GuestFiles> {
  const missing: string[] = [];
  const debian = await debianBoots(missing);
  const program = await programFiles(debian, missing);
  return { embedded: EMBEDDED, debian, missing, ...(program === undefined ? {} : { program }) };
}
