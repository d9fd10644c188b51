/**
 * The person's terminal as the guest's: raw while a machine runs, and as it was before on every way out.
 * Also serves when input or output is a file or a pipe.
 */
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import type { TerminalSize } from '../host/node/index.ts';
import type { KeyAction } from './escape-keys.ts';
import { EscapeKeys } from './escape-keys.ts';

export interface TerminalListener {
  readonly action: (action: KeyAction) => void;
  readonly resized: (columns: number, rows: number) => void;
  /** Bytes that were sent and that the guest has not taken. */
  readonly waiting: () => number;
  /** Nobody reads what is printed any more (EPIPE), or it cannot be written. */
  readonly outputClosed: () => void;
}

const NEWLINE = 0x0a;
/** Bytes that may wait for the guest before no more are read. */
const MOST_WAITING = 65_536;
const RESUME_MS = 20;
/** Undoes what guests leave behind: colours, a hidden cursor, no wrapping at the margin. */
const RESTORE_SCREEN = '\x1b[0m\x1b[?25h\x1b[?7h';

/** The size of the terminal that shows the output; undefined when that is a file or a pipe. */
export function terminalSize(): TerminalSize | undefined {
  const { isTTY, columns, rows } = process.stdout;
  return isTTY === true && columns > 0 && rows > 0 ? { columns, rows } : undefined;
}

export class Terminal {
  readonly #listener: TerminalListener;
  readonly #keys = new EscapeKeys();
  #open = false;
  #outputClosed = false;
  #atLineStart = true;
  #resuming: NodeJS.Timeout | undefined;

  constructor(listener: TerminalListener) {
    this.#listener = listener;
  }

  /** Whether a person types here: only then Ctrl-A is special. */
  get interactive(): boolean {
    return process.stdin.isTTY === true;
  }

  open(): void {
    const { stdin, stdout } = process;
    this.#open = true;
    process.once('exit', this.#restore);
    process.on('SIGCONT', this.#enterRawMode);
    this.#enterRawMode();
    stdout.on('error', this.#outputFailed);
    stdout.on('resize', this.#resized);
    stdin.on('data', this.#typed);
    // A hung-up terminal or a directory as input is an end of input like any other.
    stdin.on('error', () => {});
  }

  close(): void {
    const { stdin, stdout } = process;
    process.off('exit', this.#restore);
    process.off('SIGCONT', this.#enterRawMode);
    stdout.off('resize', this.#resized);
    stdin.off('data', this.#typed);
    this.#restore();
    this.#stopResuming();
    // A pipe that stays open would keep the process alive.
    stdin.destroy();
  }

  print(bytes: Uint8Array): void {
    if (this.#outputClosed || bytes.length === 0) return;
    this.#atLineStart = bytes.at(-1) === NEWLINE;
    process.stdout.write(bytes);
  }

  /** Shows lines of Trapeze's own on stderr, never in the middle of a guest's line. */
  say(text: string): void {
    const lineEnd = this.#open && this.interactive ? '\r\n' : '\n';
    const start = this.#atLineStart || process.stdout.isTTY !== true ? '' : lineEnd;
    this.#atLineStart = true;
    process.stderr.write(start + text.replaceAll('\n', lineEnd) + lineEnd);
  }

  readonly #resized = (): void => {
    const size = terminalSize();
    if (size !== undefined) this.#listener.resized(size.columns, size.rows);
  };

  readonly #typed = (bytes: Uint8Array): void => {
    this.#pauseWhileGuestIsBehind();
    const actions: KeyAction[] = this.interactive ? this.#keys.feed(bytes) : [{ kind: 'send', bytes }];
    for (const action of actions) this.#listener.action(action);
  };

  /** A large file as input must not pile up in memory. (A terminal is read always: Ctrl-A must be heard.) */
  #pauseWhileGuestIsBehind(): void {
    if (this.interactive || this.#resuming !== undefined || this.#listener.waiting() < MOST_WAITING) return;
    process.stdin.pause();
    this.#resuming = setInterval(() => {
      if (this.#listener.waiting() >= MOST_WAITING) return;
      this.#stopResuming();
      process.stdin.resume();
    }, RESUME_MS);
  }

  #stopResuming(): void {
    clearInterval(this.#resuming);
    this.#resuming = undefined;
  }

  readonly #enterRawMode = (): void => {
    if (!this.#open || !this.interactive) return;
    process.stdin.setRawMode(true);
    // Node's raw mode still turns LF into CR LF, but a guest's LF may mean "one line down". Leaving raw mode undoes this too.
    spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  };

  readonly #restore = (): void => {
    if (!this.#open) return;
    this.#open = false;
    if (this.interactive) process.stdin.setRawMode(false);
    if (process.stdout.isTTY === true && !this.#outputClosed) process.stdout.write(RESTORE_SCREEN);
  };

  readonly #outputFailed = (): void => {
    this.#outputClosed = true;
    this.#listener.outputClosed();
  };
}
