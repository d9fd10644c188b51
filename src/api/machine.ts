/** The library's public face: a machine to run, type to, read from and wait for. */
import type { BootModule } from '../boot/source.ts';
import type { BlockBackend } from '../devices/contract.ts';
import type { Engine } from '../engine/engine.ts';
import type { Instrument } from '../engine/execution-counters.ts';
import { PAGE_SIZE } from '../engine/layout.ts';
import type { RegionWatch } from '../engine/wasm/region-watch.ts';
import type { Result } from '../machine/board.ts';
import { createPcMachine } from '../machine/boards/pc.ts';
import type { MachineState, Machine as VirtualMachine } from '../machine/machine.ts';
import { PageArrival } from '../snapshot/arrival.ts';
import type { EmbeddedModules, EmbeddedRole } from '../snapshot/boot-sections.ts';
import type { Section, SnapshotReader } from '../snapshot/container.ts';
import type { ByteTarget } from '../snapshot/streams.ts';
import type { TextMatch } from './console-text.ts';
import { ConsoleText } from './console-text.ts';
import { codeDump, registerDump } from './crash-report.ts';
import { createEngine } from './engines.ts';
import type { Host } from './host.ts';
import { type KeptCode, keepCode, keepNowAndThen, openCode } from './kept-code.ts';
import { type OpenedDisks, openDisks } from './open-disks.ts';
import type { CheckedOptions, MachineOptions } from './options.ts';
import { checkOptions, OptionError } from './options.ts';
import type { LateMemory, Restoring } from './restorer.ts';
import { restoreBase, SnapshotRestorer } from './restorer.ts';
import type { LoadedBoot, SaveOptions, SnapshotListener } from './snapshot.ts';
import { saveSnapshot } from './snapshot.ts';
import type { Statistics } from './statistics.ts';
import { toStatistics } from './statistics.ts';
import { timelineEngine } from './timeline.ts';
import { traceEngine } from './trace.ts';

/** Where a guest printed: its first serial port (`ttyS0`) or its virtio console (`hvc0`). */
export type Port = 'serial' | 'console';

export type { Result };

export type OutputListener = (bytes: Uint8Array, port: Port) => void;

const MS_PER_S = 1000;
const NS_PER_MS = 1e6;
/** Until then memory comes as the guest asks for it, which nothing else should delay. */
const REST_MS = 200;
const DEFAULT_WAIT_SECONDS = 60;

/** A machine. `createMachine` makes one; it runs once. */
export class Machine {
  readonly #host: Host;
  readonly #engine: Engine;
  readonly #virtual: VirtualMachine;
  /** Where typed input goes: the port of the kernel's last `console=`. */
  readonly inputPort: Port;
  readonly #options: CheckedOptions;
  readonly #parts: MachineParts;
  readonly #closeDisks: () => Promise<void>;
  readonly #code: KeptCode;
  readonly #disks: readonly BlockBackend[];
  readonly #listeners = new Set<OutputListener>();
  readonly #text = new ConsoleText();
  #waitListener = (_waits: boolean): void => {};
  /** Memory that comes while the guest runs. */
  #arrival: PageArrival | undefined;
  #startedNs: bigint | undefined;
  #firstOutputNs: bigint | undefined;

  /** For `createMachine`. */
  constructor(host: Host, options: CheckedOptions, parts: MachineParts) {
    const { boot, disks } = parts;
    this.#host = host;
    this.#options = options;
    this.#parts = parts;
    const traced =
      options.trace.length === 0
        ? parts.engine
        : traceEngine(parts.engine, new Set(options.trace), options.onTrace ?? (() => {}));
    this.#engine = options.onTimeline === undefined ? traced : timelineEngine(traced, options.onTimeline);
    this.inputPort = inputPort(parts.commandLine);
    this.#closeDisks = parts.closeDisks;
    this.#code = parts.code;
    this.#disks = disks;
    this.#virtual = createPcMachine({
      engine: this.#engine,
      host,
      clock: options.clock,
      boot: 'now' in boot ? boot.now.boot : async () => (await boot.later()).boot,
      serial: { write: (bytes) => this.#printed(bytes, 'serial') },
      console: { write: (bytes) => this.#printed(bytes, 'console') },
      disks,
      debugExitPort: options.debugExit,
      noReboot: options.noReboot,
      timeoutMs: options.timeout === undefined ? undefined : options.timeout * MS_PER_S,
    });
    if (options.terminal !== undefined) this.resize(options.terminal.columns, options.terminal.rows);
  }

  /**
   * Powers the machine on and runs it until it ends. A machine runs once.
   * @throws UserError when kernel, initrd or memory do not fit together, or the rest of a snapshot cannot be had.
   */
  async run(): Promise<Result> {
    this.#startedNs = this.#host.time.nowNs();
    const arrival = this.#arrival;
    const cancel = this.#host.time.setTimer(REST_MS, () => arrival?.rest().catch(() => {}));
    const keepNoMore = keepNowAndThen(this.#host, this.#code);
    let why = 'the machine ended';
    try {
      const result = await this.#virtual.run();
      why = `the machine ended (${result.kind})`;
      return result;
    } finally {
      this.#text.end(why);
      cancel();
      await arrival?.close();
      await this.#closeDisks();
      keepNoMore();
      await keepCode(this.#host, this.#code);
    }
  }

  /**
   * Writes a snapshot of the whole machine, which stands still until its memory was copied, and goes on while that is compressed and written.
   * @throws UserError when the machine does not run.
   */
  async save(target: ByteTarget, options: SaveOptions = {}): Promise<void> {
    if (this.state !== 'off' && this.state !== 'ended') await this.#arrival?.rest();
    const { boot, disks, diskNames } = this.#parts;
    const { clock, debugExit } = this.#options;
    const machine = { virtual: this.#virtual, memory: this.#engine.memory, disks, diskNames };
    const loadBoot = async (): Promise<LoadedBoot> => ('now' in boot ? boot.now : boot.later());
    const parts = { ...machine, host: this.#host, clock, debugExit, loadBoot, base: options.base };
    await saveSnapshot(parts, target, options.onProgress ?? (() => {}));
  }

  /** For `restoreMachine`: the sections of a snapshot from `first` on. */
  async restoreFrom(reader: SnapshotReader, first: Section, restoring: Restoring): Promise<void> {
    const { memory } = this.#engine;
    const { base, late, listener } = restoring;
    if (base !== undefined) await restoreBase(base, memory);
    const restorer = new SnapshotRestorer({ virtual: this.#virtual, memory, disks: this.#parts.disks }, restoring);
    for (let section: Section | undefined = first; section !== undefined; section = await reader.next()) {
      await restorer.add(section);
      listener({ bytes: reader.position, memoryDone: 0, memory: memory.size });
    }
    if (late !== undefined) await this.#expectMemory(late, restorer.zeroes, listener);
    restorer.finish();
    const { terminal } = this.#options;
    if (terminal !== undefined) this.resize(terminal.columns, terminal.rows);
  }

  async #expectMemory({ snapshot, base, inflateNow }: LateMemory, zero: readonly number[], listener: SnapshotListener) {
    const { memory } = this.#engine;
    if (memory.late === undefined) throw new Error('the engine wants all of its memory at once');
    const arrival = new PageArrival({
      ram: memory.late,
      pages: memory.size / PAGE_SIZE,
      snapshot,
      base: base && { file: base, zero },
      inflateNow,
      milliseconds: () => Number(this.#host.time.nowNs()) / NS_PER_MS,
      waits: (waits) => this.#waits(waits),
      failed: (error) => this.#virtual.fail(error),
      changed: () => {
        const { bytes, pages, arrived } = arrival.figures;
        const missing = (pages - arrived) * PAGE_SIZE;
        listener({ bytes, memoryDone: memory.size - missing, memory: memory.size });
      },
    });
    this.#arrival = arrival;
    await arrival.ahead();
  }

  /** For `restoreMachine`: of what the machine booted from, what the snapshot still has; in order. */
  async lateFiles(): Promise<readonly Uint8Array[]> {
    return (await this.#arrival?.files()) ?? [];
  }

  /** Ends the run with the result `stopped`, as pulling the plug does. */
  stop(): void {
    this.#virtual.stop();
  }

  /** Powered off before `run`, then running or paused, then ended for good. */
  get state(): MachineState {
    return this.#virtual.state;
  }

  /**
   * Lets the guest stand still, and resolves when it does, or when the run has ended. Guest time stops, what is typed waits;
   * the real-time clock and a `timeout` go on. Before `run`: the machine will wait for `resume` before its first instruction.
   */
  pause(): Promise<void> {
    return this.#virtual.pause();
  }

  /** Ends a pause. */
  resume(): void {
    this.#virtual.resume();
  }

  /** Presses the reset button: the guest restarts at once, or when a pause ends; also where `noReboot` is set. */
  reset(): void {
    this.#virtual.reset();
  }

  /** Presses the power button: a guest with ACPI shuts itself down. */
  pressPowerButton(): void {
    this.#virtual.pressPowerButton();
  }

  /** Types bytes, or text as UTF-8, at the guest's console; what it does not read yet waits. */
  write(input: Uint8Array | string): void {
    const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input;
    if (this.inputPort === 'serial') this.#virtual.serialInput(bytes);
    else this.#virtual.consoleInput(bytes);
  }

  /** Bytes typed that the guest has not taken yet: who types a lot should wait when these are many. */
  get waitingInput(): number {
    return this.#virtual.waitingInput();
  }

  /** Tells the guest the size of its virtio console. */
  resize(columns: number, rows: number): void {
    this.#virtual.resize(columns, rows);
  }

  /** Calls `listener` with all that the guest prints. Returns a function that ends this. */
  onOutput(listener: OutputListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when the guest has printed `pattern` since the previous match. Waits in turn when called several times.
   * Rejects when the machine ends before, or after `timeout` seconds (default 60).
   */
  async waitForText(pattern: string | RegExp, options: { readonly timeout?: number } = {}): Promise<TextMatch> {
    const seconds = options.timeout ?? DEFAULT_WAIT_SECONDS;
    const { match, cancel } = this.#text.next(pattern);
    const stopTimer = this.#host.time.setTimer(seconds * MS_PER_S, () => cancel(`${seconds} s went by`));
    try {
      return await match;
    } finally {
      stopTimer();
    }
  }

  /**
   * Calls `listener` with true when the guest waits for a part of its memory, which takes long or may, and now and then while it does, and
   * with false when it goes on. All that happens on this thread waits too, so that nothing else can be answered meanwhile.
   */
  onWait(listener: (waits: boolean) => void): void {
    this.#waitListener = listener;
  }

  #waits(waits: boolean): void {
    if (!waits) this.#virtual.waited();
    this.#waitListener(waits);
  }

  /** What the run did so far, or did when it has ended. */
  statistics(): Statistics {
    const first = this.#firstOutputNs;
    const firstNs = first === undefined ? undefined : Number(first - this.#startedNs!);
    return toStatistics(this.#engine.name, this.#virtual.statistics(), {
      firstOutputNs: firstNs,
      disks: this.#disks,
      arrival: this.#arrival?.figures,
    });
  }

  /** Registers and the last instructions, for people; meaningful when the run ended as `shutdown`. */
  crashReport(): string {
    const { vcpu } = this.#virtual;
    return `${registerDump(vcpu)}\n${codeDump(vcpu, this.#engine.memory)}`;
  }

  #printed(view: Uint8Array, port: Port): void {
    const bytes = view.slice();
    this.#firstOutputNs ??= this.#host.time.nowNs();
    this.#text.add(bytes);
    for (const listener of this.#listeners) listener(bytes, port);
  }
}

/** What a machine is put together from. */
export interface MachineParts extends OpenedDisks {
  readonly engine: Engine;
  readonly commandLine: string;
  /** A restored machine needs it only when its guest restarts. */
  readonly boot: { readonly now: LoadedBoot } | { readonly later: () => Promise<LoadedBoot> };
  readonly code: KeptCode;
}

/** How a measurement looks into a machine's engine. */
export interface Probe {
  readonly instrument?: Instrument;
  readonly watch?: RegionWatch;
  readonly wrap?: (engine: Engine) => Engine;
}

/**
 * Makes a machine, powered off.
 * @throws UserError when an option is wrong or a file cannot be used.
 */
export async function createMachine(host: Host, options: MachineOptions = {}, probe?: Probe): Promise<Machine> {
  const checked = checkOptions(options);
  const loaded = await bootSource(host, checked);
  const opened = await openDisks(host, checked);
  try {
    const { commandLine } = loaded.boot;
    return new Machine(host, checked, {
      ...opened,
      ...(await engineParts(host, checked, probe)),
      boot: { now: loaded },
      commandLine,
    });
  } catch (error) {
    await opened.closeDisks();
    // The one range on the board that a person chooses.
    if (error instanceof RangeError && checked.debugExit !== undefined)
      throw new OptionError('debugExit', `the port is taken (${error.message}): choose another, such as 0xf4`);
    throw error;
  }
}

/** The engine of a machine, and the code that is kept of it. */
export async function engineParts(
  host: Host,
  checked: CheckedOptions,
  probe?: Probe,
): Promise<Pick<MachineParts, 'engine' | 'code'>> {
  const code = openCode(host);
  const plain = await createEngine({ ...checked, instrument: probe?.instrument, watch: probe?.watch, ...code });
  return { engine: probe?.wrap?.(plain) ?? plain, code };
}

const OWN_KERNEL_APPEND = 'console=ttyS0';

const NOTHING_EMBEDDED: EmbeddedModules = new Map();

async function bootSource(host: Host, checked: CheckedOptions): Promise<LoadedBoot> {
  const { kernel, initrd, append } = checked;
  if (kernel !== undefined) {
    const initrds = await Promise.all((initrd ?? []).map((one) => load(host, one, 'initrd')));
    const boot = { kernel: await load(host, kernel, 'kernel'), initrds, commandLine: append ?? OWN_KERNEL_APPEND };
    return { boot, embedded: NOTHING_EMBEDDED };
  }
  const guest = await host.embeddedGuest();
  const own = { name: 'kernel', bytes: guest.kernel };
  const ownInitrd = { name: 'initrd', bytes: guest.initrd };
  const initrds =
    initrd === undefined ? [ownInitrd] : await Promise.all(initrd.map((one) => load(host, one, 'initrd')));
  const commandLine = embeddedCommandLine(guest.append, checked);
  const embedded = new Map<BootModule, EmbeddedRole>([
    [own, 'kernel'],
    [ownInitrd, 'initrd'],
  ]);
  return { boot: { kernel: own, initrds, commandLine }, embedded };
}

function embeddedCommandLine(base: string, { append = '', console, terminal }: CheckedOptions): string {
  const words = base.split(' ');
  if (!/(^|\s)console=/.test(append)) words.unshift(console === 'virtio' ? 'console=hvc0' : 'console=ttyS0');
  // A serial port cannot tell its size, and a virtio console does a moment after the shell has looked.
  if (terminal !== undefined) words.push(`trapeze.cols=${terminal.columns}`, `trapeze.rows=${terminal.rows}`);
  return [...words, append].filter((word) => word !== '').join(' ');
}

async function load(host: Host, image: string | Uint8Array, name: string): Promise<BootModule> {
  if (typeof image !== 'string') return { name, bytes: image };
  return { name: image, bytes: await host.readFile(image) };
}

/** Linux makes its last `console=` the one that /dev/console reads from. */
function inputPort(commandLine: string): Port {
  const consoles = [...commandLine.matchAll(/(?:^|\s)console=(\S+)/g)];
  return consoles.at(-1)?.[1]?.startsWith('hvc') === true ? 'console' : 'serial';
}
