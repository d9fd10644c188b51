/** What page and worker say to each other. Both are of one build, so that types are enough. */

import type { CommandResult } from '../api/console-command.ts';
import type { Port, Result } from '../api/machine.ts';
import type { TerminalSize } from '../api/options.ts';
import type { Profile } from '../api/profile.ts';
import type { Statistics } from '../api/statistics.ts';
import type { Progress } from '../host/browser/download.ts';

/** A file: its address, a file that a person chose, or its bytes. */
export type Source = string | Blob | Uint8Array<ArrayBuffer>;

/** A disk image, raw or qcow2. */
export interface DiskSource {
  /** Its address, or a file that a person chose. */
  readonly image: string | Blob;
  /** What a person calls it. */
  readonly name?: string | undefined;
  /** `cow` keeps changes in memory until the machine stops (the default), `ro` refuses them. */
  readonly mode?: 'cow' | 'ro' | undefined;
  /** For an address: the name under which the browser keeps changes for the next start, instead of until the machine stops. */
  readonly overlay?: string | undefined;
  /** For an address: the name under which the browser keeps what was fetched. */
  readonly cache?: string | undefined;
}

/** What a machine in a page is made of. With nothing at all it is the embedded Linux in 256 MiB. */
export interface VmOptions {
  /** Kernel, initial RAM disk, snapshot, disk images: what each is, its first bytes tell. */
  readonly image?: Source | readonly Source[] | undefined;
  /** bzImage, PVH or Multiboot ELF. Without one, the embedded Linux boots. */
  readonly kernel?: Source | undefined;
  readonly initrd?: Source | undefined;
  /** The kernel command line; for the embedded Linux, words added to its own. */
  readonly append?: string | undefined;
  readonly disks?: readonly DiskSource[] | undefined;
  /** Bytes of RAM, or a size such as `'256M'`. */
  readonly memory?: number | string | undefined;
  /** A machine as a snapshot has it; it goes on there. Kernel, command line and memory are the snapshot's. */
  readonly snapshot?: Source | undefined;
  /** What the snapshot was saved against, where it holds only what differs from another. */
  readonly snapshotBase?: Source | undefined;
  /** With a snapshot: the guest's clocks jump to the present (the default), or no time has passed for it. */
  readonly time?: 'jump' | 'continue' | undefined;
  /**
   * With a snapshot: its memory comes on demand, which a server must answer ranges for, or whole before the guest runs. Unless given,
   * that of large ones comes on demand where it can.
   */
  readonly load?: 'demand' | 'whole' | undefined;
  /** Counts executions of translated code, so that `profile` can show it. The guest is a little slower. */
  readonly profile?: boolean | undefined;
}

/** Questions and their answers. */
export interface Answers {
  /** Answered when the guest stands still. */
  pause: { readonly question: Record<never, never>; readonly answer: undefined };
  statistics: { readonly question: Record<never, never>; readonly answer: Statistics };
  /** The machine as a snapshot, or only what differs from that which it was started from; it stands still until its memory was copied. */
  save: { readonly question: { changes: boolean }; readonly answer: Blob };
  exec: { readonly question: { command: string; timeout: number }; readonly answer: CommandResult };
  /** The hottest regions; or, of one, named by the physical address of its entry, the code. */
  profile: { readonly question: { top: number; entry?: string | undefined }; readonly answer: Profile | undefined };
}
export type Asked = keyof Answers;
type Question = { [K in Asked]: { readonly about: K } & Answers[K]['question'] }[Asked];

export type Request =
  | {
      readonly kind: 'start';
      readonly options: VmOptions;
      readonly terminal: TerminalSize | undefined;
      /** The folder of the static build. */
      readonly base: string;
    }
  | { readonly kind: 'write'; readonly input: string | Uint8Array<ArrayBuffer> }
  | { readonly kind: 'resize'; readonly size: TerminalSize }
  | { readonly kind: 'stop' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'powerButton' }
  /** So many bytes of output were shown. */
  | { readonly kind: 'shown'; readonly bytes: number }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question };

export type Message =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'started' }
  | { readonly kind: 'output'; readonly bytes: Uint8Array<ArrayBuffer>; readonly port: Port }
  | { readonly kind: 'warning'; readonly line: string }
  | { readonly kind: 'ended'; readonly result: Result; readonly crashReport: string | undefined }
  /** `line`: for a person, when `expected`. */
  | { readonly kind: 'failed'; readonly line: string; readonly expected: boolean }
  /** The guest waits for a part of its memory, and with it the worker, which hears nothing meanwhile; said again now and then where it can be. */
  | { readonly kind: 'waits'; readonly statistics: Statistics }
  | { readonly kind: 'goesOn' }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answers[Asked]['answer'] }
  | { readonly kind: 'refused'; readonly id: number; readonly line: string };
