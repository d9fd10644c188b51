/** The guests that all peers run: the same files. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type DebianKernel, debianGuest, INIT_MARKER } from '../test/support/guests.ts';
import type { Guest } from './peers/peer.ts';

const ROOT = new URL('../', import.meta.url);
const here = (path: string): string => fileURLToPath(new URL(path, ROOT));

const KERNEL = here('guest/images/vmlinuz-x86_64');
const INITRAMFS = here('guest/images/initramfs-x86_64.cpio');

export interface GuestFiles {
  readonly embedded: Guest;
  readonly debian: readonly { readonly name: string; readonly guest: Guest; readonly marker: string }[];
  /** The guest benchmark: as a program of the host, and as the first process of a guest. */
  readonly program?: { readonly program: string; readonly guest: Guest; readonly workloads: readonly string[] };
  /** What is not to be had here, and why. */
  readonly missing: readonly string[];
}

const EMBEDDED: Guest = {
  kernel: KERNEL,
  initrd: INITRAMFS,
  append: 'console=hvc0 quiet',
  memoryMiB: 512,
  console: 'virtio',
};

function benchProgram(): NonNullable<GuestFiles['program']> {
  execFileSync('sh', [here('bench/guest/build.sh')], { stdio: ['ignore', 'ignore', 'pipe'] });
  const program = here('.cache/bench/bench');
  const workloads = execFileSync(program, ['list'], { encoding: 'utf8' }).trim().split('\n');
  return { program, workloads, guest: { ...EMBEDDED, initrd: here('.cache/bench/initramfs-bench.cpio') } };
}

function reason(error: unknown): string {
  const { message, stderr } = error as Error & { stderr?: Buffer };
  return (
    String(stderr ?? '')
      .trim()
      .split('\n')
      .at(-1) || message
  );
}

const DEBIAN: readonly DebianKernel[] = ['cloud-amd64'];

/** Builds and fetches what is not there yet. */
export async function guestFiles(): Promise<GuestFiles> {
  const missing: string[] = [];
  const debian: GuestFiles['debian'][number][] = [];
  for (const kernel of DEBIAN) {
    const found = await debianGuest(kernel);
    if ('missing' in found) missing.push(`boot-debian-${kernel}: ${found.missing}`);
    else {
      const guest: Guest = { ...found, append: 'console=ttyS0', memoryMiB: 512, console: 'serial' };
      debian.push({ name: `debian-${kernel}`, guest, marker: INIT_MARKER });
    }
  }
  let program: GuestFiles['program'];
  try {
    program = benchProgram();
  } catch (error) {
    missing.push(`the guest benchmark cannot be built: ${reason(error)}`);
  }
  return { embedded: EMBEDDED, debian, missing, ...(program === undefined ? {} : { program }) };
}
