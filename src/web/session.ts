/** One machine in a worker: made as the page asks, and joined with it. */
import { consoleCommand } from '../api/console-command.ts';
import { createMachine, type Machine, type Port } from '../api/machine.ts';
import type { MachineOptions } from '../api/options.ts';
import { createProfilingMachine, type Profile, type ProfileView } from '../api/profile.ts';
import { blobDisk } from '../host/browser/blob-disk.ts';
import { browserHost } from '../host/browser/host.ts';
import { UserError } from '../user-error.ts';
import { OutputQueue } from './output-queue.ts';
import type { Answers, Asked, DiskSource, Message, Request, Source, VmOptions } from './protocol.ts';

const DEFAULT_MEMORY = '256M';

type Start = Extract<Request, { kind: 'start' }>;
type Ask = Extract<Request, { kind: 'ask' }>;
type Question = Ask['question'];

export class Session {
  readonly #post: (message: Message) => void;
  readonly #output: OutputQueue<Port>;
  #machine: Machine | undefined;
  #profile: ((view: ProfileView) => Profile | undefined) | undefined;
  /** Asked for before there was a machine. */
  #stopped = false;

  constructor(post: (message: Message) => void) {
    this.#post = post;
    this.#output = new OutputQueue((bytes, port) => post({ kind: 'output', bytes, port }));
  }

  receive(request: Request): void {
    switch (request.kind) {
      case 'start':
        void this.#run(request);
        break;
      case 'write':
        this.#machine?.write(request.input);
        break;
      case 'resize':
        this.#machine?.resize(request.size.columns, request.size.rows);
        break;
      case 'stop':
        this.#stopped = true;
        this.#machine?.stop();
        break;
      case 'resume':
        this.#machine?.resume();
        break;
      case 'reset':
        this.#machine?.reset();
        break;
      case 'powerButton':
        this.#machine?.pressPowerButton();
        break;
      case 'shown':
        this.#output.shown(request.bytes);
        break;
      case 'ask':
        void this.#answer(request);
        break;
      default:
        request satisfies never;
    }
  }

  async #run(start: Start): Promise<void> {
    try {
      const machine = await this.#create(start);
      machine.onOutput((bytes, port) => this.#output.add(bytes, port));
      this.#machine = machine;
      if (this.#stopped) machine.stop();
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

  async #create({ options, terminal, base }: Start): Promise<Machine> {
    const host = await browserHost({
      assets: TRAPEZE_ASSETS,
      base,
      progress: (progress) => this.#post({ kind: 'progress', progress }),
      hold: () => this.#output.hold(),
    });
    const machineOptions: MachineOptions = {
      ...(await sources(options)),
      terminal,
      onWarning: (line) => this.#post({ kind: 'warning', line }),
    };
    if (options.profile !== true) return createMachine(host, machineOptions);
    const { machine, profile } = await createProfilingMachine(host, machineOptions);
    this.#profile = profile;
    return machine;
  }

  async #answer({ id, question }: Ask): Promise<void> {
    try {
      if (this.#machine === undefined) throw new UserError('the machine has not started yet');
      this.#post({ kind: 'answer', id, answer: await this.#find(this.#machine, question) });
    } catch (error) {
      this.#post({ kind: 'refused', id, line: messageOf(error) });
    }
  }

  async #find(machine: Machine, question: Question): Promise<Answers[Asked]['answer']> {
    switch (question.about) {
      case 'pause':
        await machine.pause();
        return undefined;
      case 'statistics':
        return machine.statistics();
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

/** What no command prints by chance. */
const newMark = (): string => crypto.getRandomValues(new Uint32Array(3)).join('-');

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function sources({ kernel, initrd, append, disks, memory }: VmOptions): Promise<MachineOptions> {
  return {
    kernel: await source(kernel),
    initrd: await source(initrd),
    append,
    memory: memory ?? DEFAULT_MEMORY,
    disks: (disks ?? []).map(disk),
  };
}

async function source(image: Source | undefined): Promise<string | Uint8Array | undefined> {
  if (!(image instanceof Blob)) return image;
  try {
    return new Uint8Array(await image.arrayBuffer());
  } catch {
    throw new UserError(`${image instanceof File ? image.name : 'the file'} cannot be read: choose it again`);
  }
}

function disk({ image, name, mode = 'cow' }: DiskSource): NonNullable<MachineOptions['disks']>[number] {
  if (typeof image === 'string') return { path: image, mode };
  return blobDisk(name ?? (image instanceof File ? image.name : 'of the page'), image, mode);
}
