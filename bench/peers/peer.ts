/** What the benchmark compares: each peer turns a job into a command line, or cannot do it. */

/** A Linux to boot. */
export interface Guest {
  /** What its kernel is for. */
  readonly bits: 32 | 64;
  readonly kernel: string;
  readonly initrd: string;
  readonly append: string;
  readonly memoryMiB: number;
  /** The machine's device that is the console of `append`. */
  readonly console: 'virtio' | 'serial';
}

export type Job =
  /** Boots a guest, which prints. */
  | { readonly kind: 'boot'; readonly guest: Guest }
  /** Runs the guest benchmark (`bench/guest/`): inside a guest, whose initramfs has it, or as the host's program. */
  | {
      readonly kind: 'program';
      readonly guest: Guest;
      /** The same with the 32-bit build of the same sources, if there is one. */
      readonly guest32?: Guest;
      readonly program: string;
      readonly workloads: readonly string[];
      readonly repeats: number;
    }
  /** Measures a part of Trapeze: a module that prints as the guest benchmark does. */
  | { readonly kind: 'part'; readonly module: string };

export interface Command {
  readonly file: string;
  readonly arguments: readonly string[];
}

export const PEERS = ['trapeze', 'page', 'qemu-tcg', 'v86', 'native'] as const;
/** Trapeze in a page is compared with Trapeze alone, when asked for. */
export const USUAL_PEERS: readonly (typeof PEERS)[number][] = ['trapeze', 'qemu-tcg', 'v86', 'native'];
export type PeerName = (typeof PEERS)[number];

export interface Peer {
  readonly name: PeerName;
  /** Name and version, for people. */
  readonly version: string;
  /** Undefined: this peer does not do such jobs. */
  command(job: Job): Command | undefined;
}

/** Selection of the guest benchmark as its arguments: how often, then which. */
export function programArguments(job: { readonly workloads: readonly string[]; readonly repeats: number }): string[] {
  return [String(job.repeats), ...job.workloads];
}

// The kernel hands what is behind `--` to the first process.
function selecting(guest: Guest, job: Extract<Job, { kind: 'program' }>): Guest {
  return { ...guest, append: `${guest.append} -- ${programArguments(job).join(' ')}` };
}

/** The guest of a job that has one, its command line with the selection of workloads. */
export function guestOf(job: Exclude<Job, { kind: 'part' }>): Guest {
  return job.kind === 'boot' ? job.guest : selecting(job.guest, job);
}

/** The same for a machine that has 32-bit processors alone. */
export function guest32Of(job: Exclude<Job, { kind: 'part' }>): Guest | undefined {
  if (job.kind === 'boot') return job.guest.bits === 32 ? job.guest : undefined;
  return job.guest32 && selecting(job.guest32, job);
}
