/** The options of `trapeze run`: from the words of a command line to those of the library. */
import type { DiskFile, MachineOptions, NodeRestoreOptions, TraceKind } from '../host/node/index.ts';
import { UserError } from '../host/node/index.ts';

/** As commander leaves them. */
export interface RunFlags {
  readonly kernel?: string;
  readonly initrd?: readonly string[];
  readonly append?: string;
  readonly memory?: string;
  readonly disk?: readonly string[];
  readonly engine?: string;
  readonly tier?: string;
  readonly clock?: string;
  readonly serial: string;
  readonly debugExit?: string;
  readonly reboot: boolean;
  readonly timeout?: string;
  readonly stats?: string;
  readonly trace?: string;
  readonly snapshot?: string;
  readonly time?: 'jump' | 'continue';
  readonly load?: 'demand' | 'whole';
  readonly base?: string;
  readonly save?: string;
  readonly saveOnExit?: boolean;
}

/** Where the bytes of the first serial port go. */
export type SerialTarget =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'none' }
  | { readonly kind: 'file'; readonly path: string };

/** The flag of each option of the library, for messages. */
const FLAG: Readonly<Record<string, string>> = {
  debugExit: '--debug-exit',
  noReboot: '--no-reboot',
  disks: '--disk',
};

export function flagOf(option: string): string {
  return FLAG[option] ?? `--${option}`;
}

/** The library's options, not yet checked. */
export function machineOptions(flags: RunFlags, serial: SerialTarget): MachineOptions {
  return {
    kernel: flags.kernel,
    initrd: flags.initrd,
    append: flags.append,
    // Who sends the serial port elsewhere wants the guest's output there.
    console: serial.kind === 'stdio' ? 'virtio' : 'serial',
    memory: flags.memory,
    disks: flags.disk?.map(parseDisk),
    engine: flags.engine as MachineOptions['engine'],
    tier: flags.tier as MachineOptions['tier'],
    clock: flags.clock as MachineOptions['clock'],
    debugExit: parseNumber(flags.debugExit),
    noReboot: !flags.reboot,
    timeout: parseNumber(flags.timeout),
    trace: parseTrace(flags.trace).kinds as TraceKind[],
  };
}

/** Flags that say what the machine is: a snapshot knows that itself. */
const MACHINE_FLAGS = ['kernel', 'initrd', 'append', 'memory', 'clock', 'debugExit'] as const;

/** How a machine comes out of a snapshot, not yet checked. @throws UserError for a flag that cannot go with it. */
export function restoreOptions(flags: RunFlags, serial: SerialTarget): NodeRestoreOptions {
  const wrong = MACHINE_FLAGS.find((flag) => flags[flag] !== undefined);
  if (wrong !== undefined) throw new UserError(`${flagOf(wrong)}: a snapshot has its own; leave the option out`);
  const { disks, engine, tier, noReboot, timeout, trace } = machineOptions(flags, serial);
  return { disks, engine, tier, noReboot, timeout, trace, clock: flags.time, load: flags.load, base: flags.base };
}

/** @throws UserError for a flag that says something of a snapshot, where there is none. */
export function refuseAlone(flags: RunFlags, names: readonly ('time' | 'load' | 'base')[]): void {
  const alone = names.find((name) => flags[name] !== undefined);
  if (alone !== undefined) throw new UserError(`--${alone}: is for --snapshot: leave it out`);
}

/** NaN, which no option takes, when it is no number. */
function parseNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return text.trim() === '' ? Number.NaN : Number(text);
}

const PERFETTO = 'perfetto:';

/** What `--trace` asks for: kinds, not yet checked, and the file of a timeline. @throws UserError for a file without a name. */
export function parseTrace(text: string | undefined): {
  readonly kinds: readonly string[];
  readonly timeline: string | undefined;
} {
  const words = text?.split(',') ?? [];
  const timeline = words.find((word) => word.startsWith(PERFETTO))?.slice(PERFETTO.length);
  if (timeline === '') throw new UserError('--trace: a timeline needs a file: write perfetto:FILE');
  return { kinds: words.filter((word) => !word.startsWith(PERFETTO)), timeline };
}

/** `FILE`, and behind it in any order `,ro` or `,cow`, `,format=raw` or `,format=qcow2`, `,overlay=FILE` and `,cache=FILE`. @throws UserError */
function parseDisk(text: string): DiskFile {
  const match = /^(.+),(?:(rw|ro|cow)|format=([^,]*)|(cache|overlay)=([^,]+))$/.exec(text);
  if (match === null) return { path: text };
  const [, rest, mode, format, name, file] = match;
  if (format !== undefined && format !== 'raw' && format !== 'qcow2')
    throw new UserError(`--disk: the format '${format}' is not supported: choose raw or qcow2`);
  const found: Omit<DiskFile, 'path'> = {
    ...(mode && { mode: mode as DiskFile['mode'] }),
    ...(format && { format }),
    ...(name && { [name]: file }),
  };
  return { ...found, ...parseDisk(rest!) };
}

/** @throws UserError when it is none of the three. */
export function parseSerial(text: string): SerialTarget {
  if (text === 'stdio' || text === 'none') return { kind: text };
  const path = /^file:(.+)$/.exec(text)?.[1];
  if (path === undefined) throw new UserError(`--serial: '${text}' is no place: choose stdio, none or file:NAME`);
  return { kind: 'file', path };
}
