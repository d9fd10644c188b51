/** One machine in a worker: made as the page asks, and joined with it. */
import { consoleCommand } from '../api/console-command.ts';
import type { Machine, Port } from '../api/machine.ts';
import type { Profile, ProfileView } from '../api/profile.ts';
import type { Progress } from '../host/browser/download.ts';
import { browserHost } from '../host/browser/host.ts';
import { OutputQueue } from '../host/browser/output-queue.ts';
import { streamOf } from '../host/browser/snapshot-source.ts';
import type { ByteSource } from '../snapshot/streams.ts';
import { UserError } from '../user-error.ts';
import { withImage } from './images.ts';
import { makeMachine, saved } from './make-machine.ts';
import type { Answers, Asked, Message, Request, Source } from './protocol.ts';

type Start = Extract<Request, { kind: 'start' }>;
/** What is for the machine alone, and waits until there is one. */
type Given = Exclude<Request, { kind: 'start' | 'stop' | 'shown' | 'ask' }>;
type Ask = Extract<Request, { kind: 'ask' }>;
type Question = Ask['question'];

export class Session {
  readonly #post: (message: Message) => void;
  readonly #output: OutputQueue<Port>;
  #machine: Machine | undefined;
  /** The complete snapshot that the machine was started from, alone or with another. */
  #base: Source | undefined;
  #profile: ((view: ProfileView) => Profile | undefined) | undefined;
  /** Asked for before there was a machine. */
  readonly #early: Given[] = [];

  constructor(post: (message: Message) => void) {
    this.#post = post;
    this.#output = new OutputQueue((bytes, port) => post({ kind: 'output', bytes, port }));
  }

  receive(request: Request): void {
    switch (request.kind) {
      case 'start':
        void this.#run(request);
        break;
      case 'stop':
        this.#machine?.stop();
        break;
      case 'shown':
        this.#output.shown(request.bytes);
        break;
      case 'ask':
        void this.#answer(request);
        break;
      default:
        if (this.#machine === undefined) this.#early.push(request);
        else give(this.#machine, request);
    }
  }

  async #run(start: Start): Promise<void> {
    try {
      const machine = await this.#create(start);
      machine.onOutput((bytes, port) => this.#output.add(bytes, port));
      machine.onWait(this.#waiting(machine));
      this.#machine = machine;
      for (const request of this.#early) give(machine, request);
      this.#post({ kind: 'started' });
      const result = await machine.run();
      this.#output.flush();
      const crashReport = result.kind === 'shutdown' ? machine.crashReport() : undefined;
      this.#post({ kind: 'ended', result, crashReport });
    } catch (error) {
      this.#output.flush();
      this.#post({ kind: 'failed', line: messageOf(error), expected: error instanceof UserError });
    }
  }

  async #create({ options: asked, terminal, base }: Start): Promise<Machine> {
    const options = await withImage(asked);
    this.#base = options.snapshotBase ?? options.snapshot;
    const progress = (progress: Progress): void => this.#post({ kind: 'progress', progress });
    const host = await browserHost({
      assets: TRAPEZE_ASSETS,
      base,
      embedded: options.kernel === undefined && options.snapshot === undefined,
      progress,
      hold: () => this.#output.hold(),
    });
    const { machine, profile } = await makeMachine(host, options, {
      base,
      terminal,
      progress,
      warning: (line) => this.#post({ kind: 'warning', line }),
    });
    this.#profile = profile;
    return machine;
  }

  /** Says once that the guest goes on, and only if it was said that it waits. */
  #waiting(machine: Machine): (waits: boolean) => void {
    let told = false;
    return (waits) => {
      if (waits) this.#post({ kind: 'waits', statistics: machine.statistics() });
      else if (told) this.#post({ kind: 'goesOn' });
      told = waits;
    };
  }

  async #answer({ id, question }: Ask): Promise<void> {
    try {
      if (this.#machine === undefined) throw new UserError('the machine has not started yet');
      this.#post({ kind: 'answer', id, answer: await this.#find(this.#machine, question) });
    } catch (error) {
      this.#post({ kind: 'refused', id, line: messageOf(error) });
    }
  }

  async #changesFrom(wanted: boolean): Promise<ByteSource | undefined> {
    if (!wanted) return undefined;
    if (this.#base === undefined) throw new UserError('the machine was not started from a snapshot: save all of it');
    return streamOf(this.#base);
  }

  async #find(machine: Machine, question: Question): Promise<Answers[Asked]['answer']> {
    switch (question.about) {
      case 'pause':
        await machine.pause();
        return undefined;
      case 'statistics':
        return machine.statistics();
      case 'save':
        return saved(machine, await this.#changesFrom(question.changes), (progress) =>
          this.#post({ kind: 'progress', progress }),
        );
      case 'exec':
        return consoleCommand(machine, question.command, { timeout: question.timeout, mark: newMark() });
      case 'profile': {
        if (this.#profile === undefined) throw new UserError('the machine was started without profile: true');
        const entry = question.entry === undefined ? undefined : BigInt(question.entry);
        return this.#profile({ top: question.top, listings: entry === undefined ? 0 : 1, entry });
      }
      default:
        return question satisfies never;
    }
  }
}

function give(machine: Machine, request: Given): void {
  switch (request.kind) {
    case 'write':
      machine.write(request.input);
      break;
    case 'resize':
      machine.resize(request.size.columns, request.size.rows);
      break;
    case 'resume':
      machine.resume();
      break;
    case 'reset':
      machine.reset();
      break;
    case 'powerButton':
      machine.pressPowerButton();
      break;
    default:
      request satisfies never;
  }
}

/** What no command prints by chance. */
const newMark = (): string => crypto.getRandomValues(new Uint32Array(3)).join('-');

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
