import type { ByteSink, Width } from '../contract.ts';
import { store } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import type { Chain, VirtioDevice, VirtioDriver, VirtQueue } from './device.ts';

const F_SIZE = 1n << 0n;
const F_EMERG_WRITE = 1n << 2n;

/** struct virtio_console_config (§5.3.4). */
const CONFIG_COLS = 0;
const CONFIG_ROWS = 2;
const CONFIG_MAX_NR_PORTS = 4;
const CONFIG_EMERG_WR = 8;
const CONFIG_SIZE = 12;

const RECEIVE_QUEUE = 0;
const TRANSMIT_QUEUE = 1;

/** Input that waits for a driver; more is refused so that a paste cannot fill the host's memory. */
const MAXIMUM_BACKLOG = 65_536;
const MAXIMUM_PIECE = 65_536;
/** Far above what drivers send; bounds the work for one request. */
const MAXIMUM_OUTPUT = 1 << 20;

/** virtio 1.2 §5.3 with one port: a byte stream each way, the size of the terminal, and emergency output. */
export class ConsoleDevice implements VirtioDevice {
  readonly name = 'virtio-console';
  readonly type = 3;
  readonly features = F_SIZE | F_EMERG_WRITE;
  readonly queueSizes = [64, 64];
  readonly config = new Uint8Array(CONFIG_SIZE);
  readonly #output: ByteSink;
  readonly #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  #driver: VirtioDriver | undefined;

  constructor(output: ByteSink) {
    this.#output = output;
    store(this.config, CONFIG_COLS, 2, 80);
    store(this.config, CONFIG_ROWS, 2, 25);
    store(this.config, CONFIG_MAX_NR_PORTS, 4, 1);
  }

  /**
   * Bytes typed at the host. Returns how many were taken; offer the rest again later.
   * Input that no driver has asked for yet waits, also across a reset.
   */
  input(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, MAXIMUM_BACKLOG - this.#backlogBytes);
    if (taken > 0) this.#backlog.push(bytes.slice(0, taken));
    this.#backlogBytes += taken;
    this.#deliver();
    return taken;
  }

  /** The terminal has a new size. */
  resize(columns: number, rows: number): void {
    store(this.config, CONFIG_COLS, 2, columns);
    store(this.config, CONFIG_ROWS, 2, rows);
    if (this.#driver !== undefined && (this.#driver.features & F_SIZE) !== 0n) this.#driver.configChanged();
  }

  activate(driver: VirtioDriver): void {
    this.#driver = driver;
    this.#deliver();
  }

  notified(index: number, queue: VirtQueue): void {
    if (index === RECEIVE_QUEUE) this.#deliver();
    if (index === TRANSMIT_QUEUE) this.#print(queue);
  }

  /** §5.3.6.2: a byte printed without queues, for a guest that is about to die. */
  writeConfig(offset: number, _width: Width, value: number): void {
    if (offset === CONFIG_EMERG_WR) this.#output.write(Uint8Array.of(value));
  }

  transferState(state: StateTransfer): void {
    state.file('config', this.config);
    const backlog = new Uint8Array(this.#backlogBytes);
    let at = 0;
    for (const bytes of this.#backlog) {
      backlog.set(bytes, at);
      at += bytes.length;
    }
    const restored = state.bytes('backlog', backlog, MAXIMUM_BACKLOG);
    if (!state.restoring) return;
    this.#backlog.splice(0, this.#backlog.length, ...(restored.length > 0 ? [restored] : []));
    this.#backlogBytes = restored.length;
  }

  reset(): void {
    this.#driver = undefined;
  }

  #print(queue: VirtQueue): void {
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      if (chain.readableLength > MAXIMUM_OUTPUT) {
        queue.fail('more output at once than the console takes');
        return;
      }
      for (let at = 0; at < chain.readableLength; at += MAXIMUM_PIECE) {
        const piece = new Uint8Array(Math.min(MAXIMUM_PIECE, chain.readableLength - at));
        chain.read(at, piece);
        this.#output.write(piece);
      }
      chain.complete(0);
    }
  }

  #deliver(): void {
    const queue = this.#driver?.queue(RECEIVE_QUEUE);
    while (this.#backlogBytes > 0) {
      const chain = queue?.pop();
      if (chain === undefined) return;
      chain.complete(this.#fill(chain));
    }
  }

  /** Moves as much of the backlog as there is room for; returns how much. */
  #fill(chain: Chain): number {
    let done = 0;
    for (let head = this.#backlog[0]; head !== undefined && done < chain.writableLength; head = this.#backlog[0]) {
      const moved = chain.write(done, head.subarray(0, chain.writableLength - done));
      done += moved;
      if (moved === head.length) this.#backlog.shift();
      else this.#backlog[0] = head.subarray(moved);
    }
    this.#backlogBytes -= done;
    return done;
  }
}
