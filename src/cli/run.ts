/** `trapeze run`: a machine at the terminal. */
import { closeSync, writeSync } from 'node:fs';
import process from 'node:process';
import { describeSnapshot } from '../api/describe-snapshot.ts';
import { OptionError } from '../api/options.ts';
import { codeFolderProblem } from '../host/node/engine-code.ts';
import { outputProblem } from '../host/node/file-problem.ts';
import type {
  MachineOptions,
  NodeRestoreOptions,
  OutputListener,
  SnapshotListener,
  TimelineListener,
} from '../host/node/index.ts';
import { Machine, saveToFile, UserError } from '../host/node/index.ts';
import { isAddress, shownName } from '../host/node/remote-disk.ts';
import { withSnapshotStream } from '../host/node/snapshot-files.ts';
import type { KeyAction } from './escape-keys.ts';
import { KEYS_HELP } from './escape-keys.ts';
import { EXIT, exitCode } from './exit-codes.ts';
import { mustBeReadable, mustBeWritable, openForWriting, writeTo } from './output-file.ts';
import { PerfettoFile } from './perfetto-file.ts';
import { showProgress } from './progress.ts';
import type { RunFlags, SerialTarget } from './run-options.ts';
import { flagOf, machineOptions, parseSerial, parseTrace, refuseAlone, restoreOptions } from './run-options.ts';
import { processMemory, summary } from './run-statistics.ts';
import { Terminal, terminalSize } from './terminal.ts';

/** Signals that end a run, with their numbers: the exit code is 128 more, as in a shell. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Seconds that no run takes. */
const NEVER_S = 2_000_000;

/** How a command makes its machine: as `Machine` does, or with something added. */
export interface MakeMachine {
  create(options: MachineOptions): Promise<Machine>;
  restore(snapshot: string, options: NodeRestoreOptions): Promise<Machine>;
}

/** Writes a snapshot at a text of the guest's and ends the run. */
export interface SaveRequest {
  readonly file: string;
  readonly text: string;
}

/** Runs a machine to its end; the result is the exit code of the command. */
export async function run(flags: RunFlags, make: MakeMachine = Machine, save?: SaveRequest): Promise<number> {
  const serial = parseSerial(flags.serial);
  const snapshot = save?.file ?? flags.save;
  if (snapshot !== undefined) mustBeWritable(snapshot);
  if (flags.base !== undefined && !isAddress(flags.base)) mustBeReadable(flags.base);
  const statsFile = flags.stats === undefined ? undefined : openForWriting(flags.stats);
  const serialFile = serial.kind === 'file' ? openForWriting(serial.path) : undefined;
  let session: Session | undefined;
  const { timeline: path } = parseTrace(flags.trace);
  const timeline = path === undefined ? undefined : new PerfettoFile(path, (line) => session?.say(line));
  const onTimeline: TimelineListener | undefined = timeline && ((events) => timeline.add(events));
  try {
    session = await Session.create(flags, { serial, serialFile, onTimeline }, make);
    const codeProblem = codeFolderProblem();
    if (codeProblem !== undefined) session.say(`trapeze: ${codeProblem}`);
    if (save !== undefined) session.saveAt(save);
    const code = await session.run(flags);
    if (statsFile !== undefined) writeTo(statsFile, flags.stats!, session.statisticsFile());
    return code;
  } finally {
    timeline?.close();
    for (const file of [statsFile, serialFile]) if (file !== undefined) closeSync(file);
  }
}

/** Where what is seen of a machine goes, beside the terminal. */
interface Outputs {
  readonly serial: SerialTarget;
  readonly serialFile: number | undefined;
  readonly onTimeline: TimelineListener | undefined;
}

/** One run of one machine at this process's terminal. */
class Session {
  readonly #machine: Machine;
  readonly #terminal: Terminal;
  readonly #typing: boolean;
  readonly #flags: RunFlags;
  #saving: Promise<void> | undefined;
  /** A snapshot is what the run is for. */
  #mustSave = false;
  #hasSaved = false;
  #stopCode: number = EXIT.success;
  #clearProgress = (): void => {};

  private constructor(machine: Machine, typing: boolean, flags: RunFlags) {
    this.#machine = machine;
    this.#typing = typing;
    this.#flags = flags;
    this.#terminal = new Terminal({
      action: (action) => this.#act(action),
      resized: (columns, rows) => machine.resize(columns, rows),
      waiting: () => machine.waitingInput,
      outputClosed: () => this.#stop(EXIT.outputClosed),
    });
  }

  static async create(flags: RunFlags, outputs: Outputs, make: MakeMachine): Promise<Session> {
    let session: Session | undefined;
    const { serial, serialFile } = outputs;
    const report = (line: string): void => (session === undefined ? console.error(line) : session.say(line));
    const machine = await makeMachine(flags, outputs, report, make);
    session = new Session(machine, serial.kind === 'stdio' || machine.inputPort === 'console', flags);
    machine.onOutput(session.#output(serial, serialFile));
    return session;
  }

  say(line: string): void {
    this.#clearProgress();
    this.#terminal.say(line);
  }

  async run({ timeout }: RunFlags): Promise<number> {
    const signals = Object.entries(SIGNALS).map(([name, number]) => {
      const handler = (): void => this.#stop(128 + number);
      process.on(name, handler);
      return () => process.off(name, handler);
    });
    this.#terminal.open();
    this.#clearProgress = showProgress(() => `starting the guest (${summary(this.#machine.statistics())})`);
    try {
      const result = await this.#machine.run();
      await this.#saving;
      this.#clearProgress();
      if (result.kind === 'timedOut') this.say(`trapeze: timed out: the guest still ran after ${timeout} s`);
      if (result.kind === 'shutdown') this.say(`trapeze: triple fault\n${this.#machine.crashReport()}`);
      const code = exitCode(result, this.#stopCode);
      return this.#mustSave && code === EXIT.success && !this.#hasSaved ? EXIT.guestFailed : code;
    } finally {
      this.#clearProgress();
      this.#terminal.close();
      for (const off of signals) off();
    }
  }

  /** The content of the `--stats` file. */
  statisticsFile(): string {
    return `${JSON.stringify({ ...this.#machine.statistics(), process: processMemory() }, null, 2)}\n`;
  }

  #output(serial: SerialTarget, serialFile: number | undefined): OutputListener {
    let writable = true;
    return (bytes, port) => {
      if (port === 'console' || serial.kind === 'stdio') {
        this.#clearProgress();
        this.#terminal.print(bytes);
      } else if (serial.kind === 'file' && writable) {
        writable = this.#appendTo(serialFile!, serial.path, bytes);
      }
    };
  }

  /** False, after a line about it, when the file takes no more. */
  #appendTo(file: number, path: string, bytes: Uint8Array): boolean {
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
      return true;
    } catch (error) {
      this.say(`trapeze: ${outputProblem(path, error).message}; the serial port's further output is lost`);
      return false;
    }
  }

  #act(action: KeyAction): void {
    switch (action.kind) {
      case 'send':
        if (this.#typing) this.#machine.write(action.bytes);
        break;
      case 'leave':
        this.#stop(EXIT.success);
        break;
      case 'help':
        this.say(KEYS_HELP.join('\n'));
        break;
      case 'statistics':
        this.say(summary(this.#machine.statistics()));
        break;
      case 'powerButton':
        this.#machine.pressPowerButton();
        break;
      case 'save':
        void this.#save(this.#saveFile);
        break;
      default:
        action satisfies never;
    }
  }

  #stop(code: number): void {
    this.#stopCode = code;
    // Whoever asks twice wants to leave now.
    if (this.#flags.saveOnExit !== true || this.#saving !== undefined) this.#machine.stop();
    else void this.#saveLast(this.#saveFile).finally(() => this.#machine.stop());
  }

  /** Saves when the guest has printed a text, and ends the run. */
  saveAt({ file, text }: SaveRequest): void {
    this.#mustSave = true;
    this.#machine.waitForText(text, { timeout: NEVER_S }).then(
      async () => {
        this.#hasSaved = await this.#saveLast(file);
        this.#stop(this.#hasSaved ? EXIT.success : EXIT.usage);
      },
      () => this.say(`trapeze: nothing was saved: the guest never printed ${JSON.stringify(text)}`),
    );
  }

  /** Saves a guest that will not go on here: its disks stay as the snapshot needs them. */
  #saveLast(file: string): Promise<boolean> {
    void this.#machine.pause();
    return this.#save(file);
  }

  /** Whether there is a snapshot now; what went wrong is said. */
  async #save(file: string): Promise<boolean> {
    const clear = showProgress(() => `saving ${file}`);
    const saved = saveToFile(this.#machine, file, { base: this.#flags.base }).then(
      () => this.#tell(savedLine(file, this.#flags, this.#machine.state === 'running'), true),
      (error: Error) => this.#tell(`trapeze: not saved: ${error.message}`, false),
    );
    this.#saving = saved.then(() => {});
    try {
      return await saved;
    } finally {
      clear();
      this.#saving = undefined;
    }
  }

  #tell(line: string, result: boolean): boolean {
    this.say(line);
    return result;
  }

  get #saveFile(): string {
    return this.#flags.save ?? 'trapeze.snap';
  }
}

/** What to do with a snapshot that was saved; `goesOn`: its guest does, and may write to its disks. */
function savedLine(file: string, { base, disk = [] }: RunFlags, goesOn: boolean): string {
  const words = ['trapeze run --snapshot', file];
  if (base !== undefined) words.push('--base', shownName(base));
  for (const one of disk) words.push('--disk', shownName(one));
  const line = `trapeze: saved ${file}; go on with: ${words.join(' ')}`;
  return goesOn && disk.some((one) => one.includes(',overlay='))
    ? `${line} (not once this guest has written to its overlay: save as you leave, with --save-on-exit)`
    : line;
}

async function makeMachine(
  flags: RunFlags,
  { serial, onTimeline }: Outputs,
  onTrace: (line: string) => void,
  make: MakeMachine,
): Promise<Machine> {
  const { snapshot } = flags;
  const watching = {
    terminal: terminalSize(),
    onTimeline,
    onTrace,
    onWarning: (line: string) => onTrace(`trapeze: ${line}`),
  };
  try {
    if (snapshot !== undefined)
      return await restored(snapshot, { ...restoreOptions(flags, serial), ...watching }, make);
    refuseAlone(flags, ['time', 'load']);
    return await make.create({ ...machineOptions(flags, serial), ...watching });
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const flag = snapshot !== undefined && error.option === 'clock' ? '--time' : flagOf(error.option);
    throw new UserError(`${flag}: ${error.problem}`);
  }
}

/** @throws UserError */
export async function restored(
  file: string,
  options: NodeRestoreOptions,
  make: Pick<MakeMachine, 'restore'>,
): Promise<Machine> {
  let bytes = 0;
  const clear = showProgress(() => `opening ${shownName(file)} (${Math.round(bytes / 2 ** 20)} MiB)`);
  const onProgress: SnapshotListener = (progress) => {
    bytes = progress.bytes;
  };
  try {
    return await named([file, ...(options.base === undefined ? [] : [options.base as string])], async () => {
      // A pipe can be read but once.
      const complete = options.base !== undefined && (await withSnapshotStream(file, describeSnapshot)).base === null;
      return make.restore(file, { ...options, base: complete ? undefined : options.base, onProgress });
    });
  } finally {
    clear();
  }
}

/** Lines about files begin with a name: the first one's where they name none. */
export async function named<T>(files: readonly string[], act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const unnamed = error instanceof UserError && !(error instanceof OptionError);
    if (!unnamed || files.some((file) => error.message.startsWith(`${shownName(file)}:`))) throw error;
    throw new UserError(`${shownName(files[0]!)}: ${error.message}`);
  }
}
