/** What the benchmark compares: each peer turns a job into a command line, or cannot do it. */

/** A Linux to boot. */
export interface Guest {
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
  /** Runs the guest benchmark (`bench/guest/`): inside `guest`, where its initramfs has it, or as the host's program. */
  | {
      readonly kind: 'program';
      readonly guest: Guest;
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

export interface Peer {
  readonly name: 'trapeze' | 'qemu-tcg' | 'native';
  /** Name and version, for people. */
  readonly version: string;
  /** Undefined: this peer does not do such jobs. */
  command(job: Job): Command | undefined;
}

/** Selection of the guest benchmark as its arguments: how often, then which. */
export function programArguments(job: { readonly workloads: readonly string[]; readonly repeats: number }): string[] {
  return [String(job.repeats), ...job.workloads];
}

/** The guest of a job that has one, its command line with the selection of workloads. */
export function guestOf(job: Exclude<Job, { kind: 'part' }>): Guest {
  if (job.kind === 'boot') return job.guest;
  // The kernel hands what is behind `--` to the first process.
  return { ...job.guest, append: `${job.guest.append} -- ${programArguments(job).join(' ')}` };
}
