/** The options of a machine, checked: everything here comes from a person. */
import * as z from 'zod/mini';
import type { BlockBackend } from '../devices/contract.ts';
import { isHttp } from '../storage/http/address.ts';
import { UserError } from '../user-error.ts';
import type { TraceKind } from './choices.ts';
import { CLOCKS, CONSOLES, ENGINES, TIERS, TRACE_KINDS } from './choices.ts';
import type { DiskMode } from './host.ts';
import { formatSize, parseSize } from './size.ts';
import type { TimelineListener } from './timeline.ts';

const MIB = 2 ** 20;
const LEAST_MEMORY = 4 * MIB;
const MOST_MEMORY = 3 * 2 ** 30;
const PAGE = 4096;

const image = z.union([z.string().check(z.minLength(1, 'give a file name')), z.instanceof(Uint8Array)], {
  error: 'give a file name or a Uint8Array',
});

const size = z.transform((size: number | string, context) => {
  if (typeof size === 'number') return size;
  const bytes = parseSize(size);
  if (bytes === undefined) {
    const message = `'${size}' is not a size: write a number and K, M or G, such as 512M`;
    context.issues.push({ code: 'custom', message, input: size });
  }
  return bytes ?? z.NEVER;
});

const memory = z.pipe(z.union([z.number(), z.string()], { error: "give bytes or a size such as '512M'" }), size).check(
  z.refine((bytes) => bytes >= LEAST_MEMORY && bytes <= MOST_MEMORY && bytes % PAGE === 0, {
    error: ({ input }) =>
      `${formatSize(Number(input))} is out of range: choose ${formatSize(LEAST_MEMORY)} to ${formatSize(MOST_MEMORY)}, in whole pages of 4K`,
  }),
);

const cells = z
  .int('give whole numbers of columns and rows')
  .check(z.minimum(1, 'at least 1 column and row'), z.maximum(0xffff));

const terminal = z.strictObject({ columns: cells, rows: cells }, { error: 'give { columns, rows }' });

/** What lies on a server, or under an overlay, is not written. */
const usualMode = ({ path, overlay }: { path: string; overlay?: string | undefined }): DiskMode =>
  isHttp(path) || overlay !== undefined ? 'cow' : 'rw';

const diskFile = z.pipe(
  z.strictObject({
    path: z.string().check(z.minLength(1, 'give a file name')),
    mode: z.optional(z.enum(['rw', 'ro', 'cow'], { error: "choose 'rw', 'ro' or 'cow'" })),
    format: z.optional(z.enum(['raw', 'qcow2'], { error: "choose 'raw' or 'qcow2'" })),
    cache: z.optional(z.string().check(z.minLength(1, 'give a file name'))),
    overlay: z.optional(z.string().check(z.minLength(1, 'give a file name'))),
  }),
  z.transform((disk) => ({ ...disk, mode: disk.mode ?? usualMode(disk) })),
);

const diskPath = z.pipe(
  z.string().check(z.minLength(1)),
  z.transform((path) => ({ path })),
);

const isBackend = (value: unknown): value is BlockBackend =>
  typeof value === 'object' && value !== null && 'read' in value && 'flush' in value && 'size' in value;

const anyDisk = z.union([z.pipe(diskPath, diskFile), diskFile, z.custom<BlockBackend>(isBackend)], {
  error: "give a file name, { path, mode: 'rw' | 'ro' | 'cow' } or a BlockBackend",
});

const disk = anyDisk.check(({ value: disk, issues }) => {
  if (!('path' in disk)) return;
  const refuse = (message: string): unknown => issues.push({ code: 'custom', message, input: disk });
  const remote = isHttp(disk.path);
  if (remote && disk.mode === 'rw') refuse("a disk on a server cannot be 'rw': choose 'ro' or 'cow'");
  if (disk.overlay !== undefined && disk.mode !== 'cow')
    refuse(`changes kept in an 'overlay' are not for '${disk.mode}': leave that out`);
  if (!remote && disk.cache !== undefined) refuse("a 'cache' is for disks on servers: leave it out");
});

const listener = z.custom<(line: string) => void>((value) => typeof value === 'function', 'give a function');

const seconds = z
  .number({ error: 'give seconds' })
  .check(z.positive('give seconds above 0'), z.maximum(2_000_000, 'at most 2000000 seconds'));

const port = z
  .int('give an I/O port')
  .check(z.minimum(0, 'give an I/O port'), z.maximum(0xffff, 'I/O ports end at 0xffff'));

const initrd = z.union(
  [
    z.pipe(
      image,
      z.transform((one) => [one]),
    ),
    z.array(image),
  ],
  { error: 'give a file name or a Uint8Array' },
);

const schema = z.strictObject({
  kernel: z.optional(image),
  initrd: z.optional(initrd),
  append: z.optional(z.string({ error: 'give the kernel command line as one string' })),
  console: z._default(z.enum(CONSOLES, { error: `choose ${CONSOLES.join(' or ')}` }), 'virtio'),
  terminal: z.optional(terminal),
  memory: z.prefault(memory, '512M'),
  disks: z._default(z.array(disk).check(z.maxLength(16, 'at most 16 disks')), []),
  engine: z._default(z.enum(ENGINES, { error: `choose ${ENGINES.join(', ')}` }), 'auto'),
  tier: z._default(z.enum(TIERS, { error: `choose ${TIERS.join(', ')}` }), 'both'),
  clock: z._default(z.enum(CLOCKS, { error: `choose ${CLOCKS.join(' or ')}` }), 'real'),
  debugExit: z.optional(port),
  noReboot: z._default(z.boolean('give true or false'), false),
  timeout: z.optional(seconds),
  trace: z._default(z.array(z.enum(TRACE_KINDS, { error: `choose among ${TRACE_KINDS.join(', ')}` })), []),
  onTrace: z.optional(listener),
  onTimeline: z.optional(z.custom<TimelineListener>((value) => typeof value === 'function', 'give a function')),
  onWarning: z.optional(listener),
});

/** What a machine is made of. Everything has a default: with no options at all it is the embedded Linux in 512 MiB. */
export interface MachineOptions {
  /** A kernel (bzImage, PVH or Multiboot ELF): its file name or its bytes. Without one, the embedded Linux boots. */
  readonly kernel?: string | Uint8Array | undefined;
  /** One or several initial RAM disks: file names or bytes. */
  readonly initrd?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** The kernel command line; for the embedded Linux, words added to its own. Default for other kernels: `console=ttyS0`. */
  readonly append?: string | undefined;
  /** What the embedded Linux talks on: its virtio console (the default), which knows the terminal's size, or its serial port. */
  readonly console?: (typeof CONSOLES)[number] | undefined;
  /** The size of the terminal that shows the guest's console. Later changes: `resize`. */
  readonly terminal?: TerminalSize | undefined;
  /** RAM: bytes, or a size such as `'512M'` (the default); 4M to 3G. */
  readonly memory?: number | string | undefined;
  /** Disks in order (`/dev/vda`, `/dev/vdb`, …): raw or qcow2 image files, or back ends of your own. */
  readonly disks?: readonly (string | DiskFile | BlockBackend)[] | undefined;
  /** `auto` takes the fastest there is. `reference` is slow and meant for tests. */
  readonly engine?: (typeof ENGINES)[number] | undefined;
  /** What the wasm engine does with code: `both` translates what is hot; one tier alone is meant for tests. */
  readonly tier?: (typeof TIERS)[number] | undefined;
  /** `virtual` derives time from executed instructions: runs repeat bit for bit. Default `real`. */
  readonly clock?: (typeof CLOCKS)[number] | undefined;
  /** An I/O port that ends the run with exit code (value << 1) | 1, as QEMU's `isa-debug-exit`. */
  readonly debugExit?: number | undefined;
  /** A reset by the guest ends the run. Default: the guest restarts. */
  readonly noReboot?: boolean | undefined;
  /** Seconds after which the run ends as `timedOut`. */
  readonly timeout?: number | undefined;
  /** What `onTrace` is told of. */
  readonly trace?: readonly TraceKind[] | undefined;
  readonly onTrace?: ((line: string) => void) | undefined;
  /** Told of what the processor, the translator and the devices did when; see `TimelineEvent`. */
  readonly onTimeline?: TimelineListener | undefined;
  /** Told of what goes wrong in the host while the guest runs on, such as a full disk under an overlay. */
  readonly onWarning?: ((line: string) => void) | undefined;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface DiskFile {
  readonly path: string;
  /**
   * `rw` writes the file in place (the default), `ro` never writes, `cow` keeps changes for this run only (the default
   * for a path that begins with http:// or https://, which cannot be `rw`).
   */
  readonly mode?: DiskMode | undefined;
  /** Undefined: found out from the content. Say `raw` for a disk in which a guest keeps a qcow2 image. */
  readonly format?: 'raw' | 'qcow2' | undefined;
  /** The file in which changes are kept from run to run, instead of for this run only; the mode is `cow`. */
  readonly overlay?: string | undefined;
  /** For disks on servers: the file in which what is fetched is kept from run to run. */
  readonly cache?: string | undefined;
}

/** Options as checked and completed. */
export type CheckedOptions = z.output<typeof schema>;

/** An option that cannot be: which one, and what would be right. */
export class OptionError extends UserError {
  /** The option's name in `MachineOptions`. */
  readonly option: string;
  readonly problem: string;

  constructor(option: string, problem: string) {
    super(`${option}: ${problem}`);
    this.option = option;
    this.problem = problem;
  }
}

/** @throws OptionError for the first wrong option. */
export function checkOptions(options: MachineOptions): CheckedOptions {
  const checked = schema.safeParse(options);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') throw new OptionError(issue.keys[0]!, 'there is no such option');
  throw new OptionError(String(issue.path[0]), issue.message);
}
