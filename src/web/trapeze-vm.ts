/** `<trapeze-vm>`: a machine and its terminal in a page. */
import xtermStyle from '@xterm/xterm/css/xterm.css';
import type { CommandResult } from '../api/console-command.ts';
import type { Port, Result } from '../api/machine.ts';
import type { Profile } from '../api/profile.ts';
import type { Statistics } from '../api/statistics.ts';
import type { Progress } from '../host/browser/download.ts';
import { optionsFrom } from './attributes.ts';
import { Cover } from './cover.ts';
import { endingLine } from './ending.ts';
import type { Source, VmOptions } from './protocol.ts';
import { TerminalView } from './terminal-view.ts';
import ownStyle from './trapeze-vm.css';
import { type Ending, Vm } from './vm.ts';

export type { CommandResult } from '../api/console-command.ts';
export type { Port, Result } from '../api/machine.ts';
export type { BlockListing, InstructionListing, Profile, ProfileRow } from '../api/profile.ts';
export type { CodeFigures, Statistics, VcpuFigures } from '../api/statistics.ts';
export type { Progress } from '../host/browser/download.ts';
export type { DiskSource, Source, VmOptions } from './protocol.ts';

/** `off`: before a start and after an end. */
export type VmState = 'off' | 'starting' | 'running' | 'paused';

export interface TrapezeVmEvents {
  /** The guest printed something. */
  output: CustomEvent<{ readonly text: string; readonly bytes: Uint8Array; readonly port: Port }>;
  /** `result`: with `off`, how the machine ended, unless by an error. */
  statechange: CustomEvent<{ readonly state: VmState; readonly result: Result | undefined }>;
  /** How far a download is. */
  progress: CustomEvent<Progress>;
  /** A line for a person: what keeps the machine from running, or what is wrong while it does. */
  error: CustomEvent<{ readonly line: string }>;
}

export interface TrapezeVm {
  addEventListener<K extends keyof TrapezeVmEvents>(
    type: K,
    listener: (this: TrapezeVm, event: TrapezeVmEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

interface Starting {
  readonly started: () => void;
  readonly failed: (error: Error) => void;
}

const EXEC_SECONDS = 60;

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface gives listeners their events' types
export class TrapezeVm extends HTMLElement {
  static readonly observedAttributes = ['theme', 'screen-reader', 'label'];
  readonly #terminalPlace = document.createElement('div');
  /** Behind the terminal: Tab goes on from here. */
  readonly #exit = document.createElement('div');
  readonly #cover = new Cover(() => void this.start().catch(() => {}));
  readonly #preference = matchMedia('(prefers-color-scheme: dark)');
  readonly #decoders: Record<Port, TextDecoder> = { serial: new TextDecoder(), console: new TextDecoder() };
  #terminal: TerminalView | undefined;
  #vm: Vm | undefined;
  #state: VmState = 'off';
  #starting: Starting | undefined;
  #ended: (() => void)[] = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    const style = document.createElement('style');
    style.textContent = `${xtermStyle}\n${ownStyle}`;
    this.#terminalPlace.className = 'place';
    this.#exit.className = 'exit';
    this.#exit.tabIndex = -1;
    root.append(style, this.#terminalPlace, this.#exit, this.#cover.element);
  }

  connectedCallback(): void {
    if (this.#terminal !== undefined) return;
    this.#terminal = new TerminalView(this.#terminalPlace, {
      typed: (text) => this.#vm?.write(text),
      typedBytes: (bytes) => this.#vm?.write(bytes),
      resized: (size) => this.#vm?.resize(size),
      left: () => this.#exit.focus(),
    });
    this.#preference.addEventListener('change', this.#applyLook);
    this.#applyLook();
    if (this.hasAttribute('autostart')) void this.start().catch(() => {});
  }

  /** A machine survives being moved in the page, and goes with the element. */
  disconnectedCallback(): void {
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#preference.removeEventListener('change', this.#applyLook);
      this.#vm?.terminate();
      this.#terminal?.dispose();
      this.#terminal = undefined;
    });
  }

  attributeChangedCallback(): void {
    this.#applyLook();
  }

  get state(): VmState {
    return this.#state;
  }

  /** The folder of the static build: attribute `base`, or where this script came from. */
  get base(): string {
    const given = this.getAttribute('base');
    return given === null ? new URL('.', import.meta.url).href : new URL(given, document.baseURI).href;
  }

  /**
   * Starts the machine that the attributes describe; `options` go before them. Resolves when it runs, rejects with a line for a person
   * when it cannot.
   */
  async start(options: VmOptions = {}): Promise<void> {
    if (this.#vm !== undefined) throw new Error('the machine runs already: stop it first');
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const asked = optionsFrom((name) => this.getAttribute(name), document.baseURI);
    // A base belongs to the snapshot beside which it is named.
    const snapshotBase = options.snapshot === undefined ? asked.snapshotBase : undefined;
    const merged = { ...asked, snapshotBase, ...given };
    this.#terminal?.clear();
    this.#cover.loading();
    const running = new Promise<void>((started, failed) => (this.#starting = { started, failed }));
    this.#vm = new Vm(
      { options: merged, base: this.base, terminal: this.#terminal?.size },
      {
        progress: (progress) => {
          if (this.#state === 'starting') this.#cover.progress(progress);
          this.#tell('progress', progress);
        },
        started: () => this.#started(),
        output: (bytes, port, shown) => this.#print(bytes, port, shown),
        warning: (line) => this.#warn(line),
        ended: (ending) => this.#end(ending),
      },
    );
    this.#enter('starting');
    return running;
  }

  /** Pulls the plug; resolves when the machine is gone. */
  async stop(): Promise<void> {
    const vm = this.#vm;
    if (vm === undefined) return;
    const gone = new Promise<void>((resolve) => this.#ended.push(resolve));
    vm.stop();
    await gone;
  }

  /** Lets the guest stand still, its time too. */
  async pause(): Promise<void> {
    if (this.#state !== 'running') return;
    await this.#running().pause();
    this.#enter('paused');
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#running().resume();
    this.#enter('running');
  }

  /**
   * The whole machine as a snapshot; it stands still until its memory was copied and then goes on. `changes`: only what differs from the snapshot that it was
   * started from, or from that one's base.
   */
  save({ changes = false }: { readonly changes?: boolean } = {}): Promise<Blob> {
    return this.#running().save(changes);
  }

  /** Starts a machine as a snapshot has it, in place of the one that there may be. */
  async restore(snapshot: Source, options: VmOptions = {}): Promise<void> {
    await this.stop();
    await this.start({ ...options, snapshot });
  }

  /** Presses the reset button: the guest starts anew. */
  reset(): void {
    this.#running().reset();
  }

  /** Asks the guest to shut itself down, if it listens. */
  pressPowerButton(): void {
    this.#vm?.pressPowerButton();
  }

  /** Types at the guest's console. */
  write(input: string | Uint8Array): void {
    this.#running().write(input);
  }

  /** Runs a command at the shell that waits on the console; `timeout` is in seconds. */
  exec(command: string, { timeout = EXEC_SECONDS }: { readonly timeout?: number } = {}): Promise<CommandResult> {
    return this.#running().exec(command, timeout);
  }

  statistics(): Promise<Statistics> {
    return this.#running().statistics();
  }

  /** The hottest regions of translated code, or the code of the one with the physical address `entry`; needs a start with `profile: true`. */
  profile(view: { readonly top: number; readonly entry?: string | undefined }): Promise<Profile | undefined> {
    return this.#running().profile(view);
  }

  override focus(options?: FocusOptions): void {
    if (this.#state === 'off') this.#cover.focus(options);
    else this.#terminal?.focus();
  }

  #running(): Vm {
    if (this.#vm === undefined) throw new Error('the machine is off: start it first');
    return this.#vm;
  }

  #started(): void {
    this.#cover.hide();
    this.#enter('running');
    this.#starting?.started();
    this.#starting = undefined;
  }

  #print(bytes: Uint8Array<ArrayBuffer>, port: Port, shown: () => void): void {
    const text = this.#decoders[port].decode(bytes, { stream: true });
    if (this.#terminal === undefined) shown();
    else this.#terminal.print(bytes, shown);
    this.#tell('output', { text, bytes, port });
  }

  #warn(line: string): void {
    this.#terminal?.note(line);
    this.#tell('error', { line });
  }

  #end(ending: Ending): void {
    this.#vm = undefined;
    const line = endingLine(ending);
    if (ending.kind === 'failed') {
      this.#cover.failed(line);
      this.#tell('error', { line });
    } else {
      if (ending.crashReport !== undefined)
        this.#terminal?.print(`\r\n${ending.crashReport.replaceAll('\n', '\r\n')}\r\n`);
      this.#terminal?.note(line);
      this.#cover.hide();
    }
    this.#starting?.failed(new Error(line));
    this.#starting = undefined;
    this.#enter('off', ending.kind === 'ended' ? ending.result : undefined);
    for (const resolve of this.#ended.splice(0)) resolve();
  }

  #enter(state: VmState, result?: Result): void {
    this.#state = state;
    this.#tell('statechange', { state, result });
  }

  #tell<K extends keyof TrapezeVmEvents>(type: K, detail: TrapezeVmEvents[K]['detail']): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #applyLook = (): void => {
    const theme = this.getAttribute('theme');
    const dark = theme === 'dark' || (theme !== 'light' && this.#preference.matches);
    this.classList.toggle('dark', dark);
    if (this.#terminal === undefined) return;
    this.#terminal.dark = dark;
    this.#terminal.screenReader = this.hasAttribute('screen-reader');
  };
}

if (customElements.get('trapeze-vm') === undefined) customElements.define('trapeze-vm', TrapezeVm);

declare global {
  interface HTMLElementTagNameMap {
    'trapeze-vm': TrapezeVm;
  }
}
