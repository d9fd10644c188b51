/** A machine in a worker of the page, without anything to look at. */
import type { CommandResult } from '../api/console-command.ts';
import type { Port, Result } from '../api/machine.ts';
import type { TerminalSize } from '../api/options.ts';
import type { Profile } from '../api/profile.ts';
import type { Statistics } from '../api/statistics.ts';
import type { Progress } from '../host/browser/download.ts';
import { openWorker } from '../host/browser/open-worker.ts';
import type { Answers, Asked, Message, Request, VmOptions } from './protocol.ts';

/** How a machine ended: by itself, or by something that keeps it from running. */
export type Ending =
  | { readonly kind: 'ended'; readonly result: Result; readonly crashReport: string | undefined }
  /** `line`: for a person, when `expected`; otherwise a defect. */
  | { readonly kind: 'failed'; readonly line: string; readonly expected: boolean };

export interface VmListener {
  progress(progress: Progress): void;
  started(): void;
  /** Calls `shown` when the bytes were taken: a guest that prints faster waits. */
  output(bytes: Uint8Array<ArrayBuffer>, port: Port, shown: () => void): void;
  warning(line: string): void;
  /** Said once; the machine is gone then. */
  ended(ending: Ending): void;
}

interface Waiting {
  readonly about: Asked;
  readonly answered: (answer: unknown) => void;
  readonly refused: (error: Error) => void;
}

/** Milliseconds that a machine gets to end by itself. */
const PATIENCE_MS = 2000;
/** What `save`, `exec` and `profile` wait for, with the guest. */
const MISSING = 'memory that the guest waits for';
const PAGE = 4096;
/** And one whose guest waits for its memory. */
const SHORT_PATIENCE_MS = 30;

export class Vm {
  readonly #worker: Worker;
  readonly #listener: VmListener;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #started = false;
  #stopping = false;
  #over = false;
  /** The machine as it stands, while the guest waits for its memory: its worker hears nothing then. */
  #stands: Statistics | undefined;

  /** Starts a machine. `base`: the folder of the static build. */
  constructor(
    { options, base, terminal }: { options: VmOptions; base: string; terminal?: TerminalSize | undefined },
    listener: VmListener,
  ) {
    this.#listener = listener;
    this.#worker = openWorker(new URL('worker.js', base), 'trapeze');
    this.#worker.onmessage = ({ data }: MessageEvent<Message>) => this.#receive(data);
    this.#worker.onerror = ({ message }) =>
      this.#end({ kind: 'failed', line: message ?? `${base}worker.js cannot be loaded`, expected: false });
    this.#post({ kind: 'start', options, terminal, base });
  }

  write(input: string | Uint8Array): void {
    this.#post({ kind: 'write', input: typeof input === 'string' ? input : input.slice() });
  }
  resize(size: TerminalSize): void {
    this.#post({ kind: 'resize', size });
  }
  /** Resolves when the guest stands still, or waits: it goes no further then. */
  pause(): Promise<undefined> {
    return this.#ask('pause', {});
  }
  resume(): void {
    this.#post({ kind: 'resume' });
  }
  reset(): void {
    this.#post({ kind: 'reset' });
  }
  pressPowerButton(): void {
    this.#post({ kind: 'powerButton' });
  }
  /** Pulls the plug. */
  stop(): void {
    this.#post({ kind: 'stop' });
    this.#stopping = true;
    this.#endIfItStands();
    setTimeout(() => this.terminate(), this.#started ? PATIENCE_MS : 0);
  }
  /** At once, whatever the machine does. */
  terminate(): void {
    this.#end({ kind: 'ended', result: { kind: 'stopped' }, crashReport: undefined });
  }
  statistics(): Promise<Statistics> {
    return this.#ask('statistics', {});
  }
  save(changes: boolean): Promise<Blob> {
    return this.#ask('save', { changes });
  }
  exec(command: string, timeout: number): Promise<CommandResult> {
    return this.#ask('exec', { command, timeout });
  }
  profile(view: Answers['profile']['question']): Promise<Profile | undefined> {
    return this.#ask('profile', view);
  }

  #ask<K extends Asked>(about: K, question: Answers[K]['question']): Promise<Answers[K]['answer']> {
    if (this.#over) return Promise.reject(new Error('the machine has ended'));
    const id = this.#asked++;
    this.#post({ kind: 'ask', id, question: { about, ...question } as Extract<Request, { kind: 'ask' }>['question'] });
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { about, answered: (answer) => resolve(answer as Answers[K]['answer']), refused: reject });
      this.#answerWhileItStands();
    });
  }

  /** What the worker answers later is not needed then; what only it can answer waits, and is told for what. */
  #answerWhileItStands(): void {
    const statistics = this.#stands;
    if (statistics === undefined) return;
    for (const [id, { about }] of this.#waiting) {
      if (about === 'pause') this.#settle(id)?.answered(undefined);
      else if (about === 'statistics') this.#settle(id)?.answered(statistics);
    }
    const { arrival } = statistics;
    if (this.#waiting.size > 0 && arrival !== null)
      this.#listener.progress({ name: MISSING, loaded: PAGE * arrival.arrived, total: PAGE * arrival.pages });
  }

  /** After a wait that is short the machine ends in order. */
  #endIfItStands(): void {
    if (this.#stopping) setTimeout(() => this.#stands !== undefined && this.terminate(), SHORT_PATIENCE_MS);
  }

  #post(request: Request): void {
    if (!this.#over) this.#worker.postMessage(request);
  }

  #receive(message: Message): void {
    if (this.#over) return;
    switch (message.kind) {
      case 'progress':
        this.#listener.progress(message.progress);
        break;
      case 'started':
        this.#started = true;
        this.#listener.started();
        break;
      case 'output':
        this.#listener.output(message.bytes, message.port, () =>
          this.#post({ kind: 'shown', bytes: message.bytes.length }),
        );
        break;
      case 'warning':
        this.#listener.warning(message.line);
        break;
      case 'waits':
        this.#stands = message.statistics;
        this.#answerWhileItStands();
        this.#endIfItStands();
        break;
      case 'goesOn':
        this.#stands = undefined;
        break;
      case 'answer':
        this.#settle(message.id)?.answered(message.answer);
        break;
      case 'refused':
        this.#settle(message.id)?.refused(new Error(message.line));
        break;
      case 'ended':
      case 'failed':
        this.#end(message);
        break;
      default:
        message satisfies never;
    }
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** The worker goes with all its memory. */
  #end(ending: Ending): void {
    if (this.#over) return;
    this.#over = true;
    this.#worker.terminate();
    for (const { refused } of this.#waiting.values()) refused(new Error('the machine has ended'));
    this.#waiting.clear();
    this.#listener.ended(ending);
  }
}
