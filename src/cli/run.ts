/** `trapeze run`: a machine at the terminal. */
import { closeSync, writeSync } from 'node:fs';
import process from 'node:process';
import { OptionError } from '../api/options.ts';
import { fileProblem } from '../host/node/file-problem.ts';
import type { MachineOptions, OutputListener } from '../host/node/index.ts';
import { Machine, UserError } from '../host/node/index.ts';
import type { KeyAction } from './escape-keys.ts';
import { KEYS_HELP } from './escape-keys.ts';
import { EXIT, exitCode } from './exit-codes.ts';
import { openForWriting, writeTo } from './output-file.ts';
import { PerfettoFile } from './perfetto-file.ts';
import { showProgress } from './progress.ts';
import type { RunFlags, SerialTarget } from './run-options.ts';
import { flagOf, machineOptions, parseSerial, parseTrace } from './run-options.ts';
import { processMemory, summary } from './run-statistics.ts';
import { Terminal, terminalSize } from './terminal.ts';

/** Signals that end a run, with their numbers: the exit code is 128 more, as in a shell. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** How a command makes its machine: `Machine.create`, or with something added. */
export type MakeMachine = (options: MachineOptions) => Promise<Machine>;

/** Runs a machine to its end; the result is the exit code of the command. */
export async function run(flags: RunFlags, make: MakeMachine = Machine.create): Promise<number> {
  const serial = parseSerial(flags.serial);
  const statsFile = flags.stats === undefined ? undefined : openForWriting(flags.stats);
  const serialFile = serial.kind === 'file' ? openForWriting(serial.path) : undefined;
  let session: Session | undefined;
  const { timeline: path } = parseTrace(flags.trace);
  const timeline = path === undefined ? undefined : new PerfettoFile(path, (line) => session?.say(line));
  const makeWatched: MakeMachine = (options) => make({ ...options, onTimeline: timeline && ((e) => timeline.add(e)) });
  try {
    session = await Session.create(flags, serial, serialFile, makeWatched);
    const code = await session.run(flags);
    if (statsFile !== undefined) writeTo(statsFile, flags.stats!, session.statisticsFile());
    return code;
  } finally {
    timeline?.close();
    for (const file of [statsFile, serialFile]) if (file !== undefined) closeSync(file);
  }
}

/** One run of one machine at this process's terminal. */
class Session {
  readonly #machine: Machine;
  readonly #terminal: Terminal;
  readonly #typing: boolean;
  #stopCode: number = EXIT.success;
  #clearProgress = (): void => {};

  private constructor(machine: Machine, typing: boolean) {
    this.#machine = machine;
    this.#typing = typing;
    this.#terminal = new Terminal({
      action: (action) => this.#act(action),
      resized: (columns, rows) => machine.resize(columns, rows),
      waiting: () => machine.waitingInput,
      outputClosed: () => this.#stop(EXIT.outputClosed),
    });
  }

  static async create(
    flags: RunFlags,
    serial: SerialTarget,
    serialFile: number | undefined,
    make: MakeMachine,
  ): Promise<Session> {
    let session: Session | undefined;
    const report = (line: string): void => (session === undefined ? console.error(line) : session.say(line));
    const machine = await createMachine(flags, serial, report, make);
    session = new Session(machine, serial.kind === 'stdio' || machine.inputPort === 'console');
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
      this.#clearProgress();
      if (result.kind === 'timedOut') this.say(`trapeze: timed out: the guest still ran after ${timeout} s`);
      if (result.kind === 'shutdown') this.say(`trapeze: triple fault\n${this.#machine.crashReport()}`);
      return exitCode(result, this.#stopCode);
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
      this.say(`trapeze: ${fileProblem(path, error).message}; the serial port's further output is lost`);
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
      default:
        action satisfies never;
    }
  }

  #stop(code: number): void {
    this.#stopCode = code;
    this.#machine.stop();
  }
}

async function createMachine(
  flags: RunFlags,
  serial: SerialTarget,
  report: (line: string) => void,
  make: MakeMachine,
): Promise<Machine> {
  try {
    return await make({
      ...machineOptions(flags, serial),
      terminal: terminalSize(),
      onTrace: report,
      onWarning: (line) => report(`trapeze: ${line}`),
    });
  } catch (error) {
    if (error instanceof OptionError) throw new UserError(`${flagOf(error.option)}: ${error.problem}`);
    throw error;
  }
}
