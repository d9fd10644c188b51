import type { BlockBackend } from '../contract.ts';
import { load, store } from '../little-endian.ts';
import type { Chain, VirtioDevice, VirtioDriver, VirtQueue } from './device.ts';

/** §5.2.3. */
const F_SIZE_MAX = 1n << 1n;
const F_SEG_MAX = 1n << 2n;
const F_RO = 1n << 5n;
const F_BLK_SIZE = 1n << 6n;
const F_FLUSH = 1n << 9n;
const F_DISCARD = 1n << 13n;
const F_WRITE_ZEROES = 1n << 14n;

/** struct virtio_blk_config (§5.2.4). */
const CONFIG_CAPACITY = 0;
const CONFIG_SIZE_MAX = 8;
const CONFIG_SEG_MAX = 12;
const CONFIG_BLK_SIZE = 20;
const CONFIG_MAX_DISCARD_SECTORS = 36;
const CONFIG_MAX_DISCARD_SEG = 40;
const CONFIG_DISCARD_SECTOR_ALIGNMENT = 44;
const CONFIG_MAX_WRITE_ZEROES_SECTORS = 48;
const CONFIG_MAX_WRITE_ZEROES_SEG = 52;
const CONFIG_WRITE_ZEROES_MAY_UNMAP = 56;
const CONFIG_SIZE = 60;

/** Request types and status (§5.2.6). */
const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const T_DISCARD = 11;
const T_WRITE_ZEROES = 13;
const S_OK = 0;
const S_IOERR = 1;
const S_UNSUPP = 2;

const HEADER_SIZE = 16;
const HEADER_SECTOR = 8;
const STATUS_SIZE = 1;
const ID_SIZE = 20;

/** struct virtio_blk_discard_write_zeroes. */
const ZEROES_SIZE = 16;
const ZEROES_NUM_SECTORS = 8;
const ZEROES_FLAGS = 12;
const ZEROES_UNMAP = 1;

const SECTOR = 512;
const QUEUE_SIZE = 256;
/** Two descriptors of each request are its header and its status. */
const SEG_MAX = QUEUE_SIZE - 2;
const SIZE_MAX = 65_536;
const MAXIMUM_REQUEST = SEG_MAX * SIZE_MAX;
const MAXIMUM_ZEROES_SECTORS = 1 << 22;
const MAXIMUM_ZEROES_SEGMENTS = 1;

/** Requests at the back end at once, and the bytes of each that are in the host's memory. */
const MAXIMUM_IN_FLIGHT = 32;
const PIECE = 1 << 20;

type Status = typeof S_OK | typeof S_IOERR | typeof S_UNSUPP;

interface Answer {
  readonly status: Status;
  /** Bytes written at the start of the writable part. */
  readonly written: number;
}

const OK: Answer = { status: S_OK, written: 0 };
const IO_ERROR: Answer = { status: S_IOERR, written: 0 };
const UNSUPPORTED: Answer = { status: S_UNSUPP, written: 0 };

const sectorAt = (bytes: Uint8Array, offset: number): number =>
  load(bytes, offset + 4, 4) * 2 ** 32 + load(bytes, offset, 4);

/** virtio 1.2 §5.2 with one queue over a back end. Requests run at the back end at the same time and finish in any order. */
export class BlockDevice implements VirtioDevice {
  readonly name = 'virtio-block';
  readonly type = 2;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(CONFIG_SIZE);
  readonly #backend: BlockBackend;
  readonly #id: Uint8Array;
  #driver: VirtioDriver | undefined;
  #inFlight = 0;
  /** Requests of a driver that has reset the device since: the next driver's wait until they are done. */
  #stale = 0;
  #generation = 0;
  #idleWaiters: (() => void)[] = [];

  /** `id` is what the guest reads as serial number: at most 20 ASCII characters. */
  constructor(backend: BlockBackend, id: string) {
    this.#backend = backend;
    this.#id = Uint8Array.from({ length: ID_SIZE }, (_, i) => id.charCodeAt(i) & 0x7f);
    let features = F_SIZE_MAX | F_SEG_MAX | F_BLK_SIZE | F_FLUSH;
    if (backend.readOnly) features |= F_RO;
    else if (backend.writeZeroes !== undefined) features |= F_DISCARD | F_WRITE_ZEROES;
    this.features = features;
    this.#describe();
  }

  activate(driver: VirtioDriver): void {
    this.#driver = driver;
  }

  notified(): void {
    this.#pump();
  }

  reset(): void {
    this.#driver = undefined;
    this.#generation += 1;
    this.#stale = this.#inFlight;
  }

  /** Resolves when no request is at the back end: before the disk is closed, or where time must not depend on the host's. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #describe(): void {
    const sectors = this.#backend.size / SECTOR;
    store(this.config, CONFIG_CAPACITY, 4, sectors % 2 ** 32);
    store(this.config, CONFIG_CAPACITY + 4, 4, Math.floor(sectors / 2 ** 32));
    store(this.config, CONFIG_SIZE_MAX, 4, SIZE_MAX);
    store(this.config, CONFIG_SEG_MAX, 4, SEG_MAX);
    store(this.config, CONFIG_BLK_SIZE, 4, SECTOR);
    if ((this.features & F_DISCARD) === 0n) return;
    store(this.config, CONFIG_MAX_DISCARD_SECTORS, 4, MAXIMUM_ZEROES_SECTORS);
    store(this.config, CONFIG_MAX_DISCARD_SEG, 4, MAXIMUM_ZEROES_SEGMENTS);
    store(this.config, CONFIG_DISCARD_SECTOR_ALIGNMENT, 4, 1);
    store(this.config, CONFIG_MAX_WRITE_ZEROES_SECTORS, 4, MAXIMUM_ZEROES_SECTORS);
    store(this.config, CONFIG_MAX_WRITE_ZEROES_SEG, 4, MAXIMUM_ZEROES_SEGMENTS);
    store(this.config, CONFIG_WRITE_ZEROES_MAY_UNMAP, 1, 1);
  }

  /** Starts requests while there are any and the back end has room for more. */
  #pump(): void {
    const queue = this.#driver?.queue(0);
    while (queue !== undefined && this.#stale === 0 && this.#inFlight < MAXIMUM_IN_FLIGHT) {
      const chain = queue.pop();
      if (chain === undefined) return;
      this.#start(chain, queue);
    }
  }

  #start(chain: Chain, queue: VirtQueue): void {
    const header = new Uint8Array(HEADER_SIZE);
    if (chain.read(0, header) < HEADER_SIZE || chain.writableLength < STATUS_SIZE) {
      queue.fail('a request has no header or no room for its status');
      return;
    }
    const generation = this.#generation;
    this.#inFlight += 1;
    void this.#answer(load(header, 0, 4), sectorAt(header, HEADER_SECTOR), chain)
      .catch(() => IO_ERROR)
      .then((answer) => this.#finish(chain, answer, generation));
  }

  #finish(chain: Chain, { status, written }: Answer, generation: number): void {
    const statusAt = chain.writableLength - STATUS_SIZE;
    chain.write(statusAt, Uint8Array.of(status));
    chain.complete(written === statusAt ? written + STATUS_SIZE : written);
    this.#inFlight -= 1;
    if (generation !== this.#generation) this.#stale -= 1;
    if (this.#inFlight === 0) for (const wake of this.#idleWaiters.splice(0)) wake();
    this.#pump();
  }

  /** Requests are at the back end, which are in no snapshot. */
  get busy(): boolean {
    return this.#inFlight > 0;
  }

  async #answer(type: number, sector: number, chain: Chain): Promise<Answer> {
    const room = chain.writableLength - STATUS_SIZE;
    switch (type) {
      case T_IN:
        return this.#transferable(sector, room) ? this.#read(sector * SECTOR, room, chain) : IO_ERROR;
      case T_OUT:
        return this.#write(sector, chain);
      case T_FLUSH:
        await this.#backend.flush();
        return OK;
      case T_GET_ID:
        return { status: S_OK, written: chain.write(0, this.#id.subarray(0, room)) };
      case T_DISCARD:
      case T_WRITE_ZEROES:
        return this.#zero(type, chain);
      default:
        return UNSUPPORTED;
    }
  }

  #fits(sector: number, length: number): boolean {
    return length % SECTOR === 0 && sector * SECTOR + length <= this.#backend.size;
  }

  /** Whether so much can be transferred by one request. */
  #transferable(sector: number, length: number): boolean {
    return length <= MAXIMUM_REQUEST && this.#fits(sector, length);
  }

  async #read(offset: number, length: number, chain: Chain): Promise<Answer> {
    const buffer = new Uint8Array(Math.min(length, PIECE));
    for (let done = 0; done < length; done += PIECE) {
      const piece = buffer.subarray(0, length - done);
      await this.#backend.read(offset + done, piece);
      if (chain.write(done, piece) < piece.length) return IO_ERROR;
    }
    return { status: S_OK, written: length };
  }

  async #write(sector: number, chain: Chain): Promise<Answer> {
    const length = chain.readableLength - HEADER_SIZE;
    if (this.#backend.readOnly || !this.#transferable(sector, length)) return IO_ERROR;
    const buffer = new Uint8Array(Math.min(length, PIECE));
    for (let done = 0; done < length; done += PIECE) {
      const piece = buffer.subarray(0, length - done);
      if (chain.read(HEADER_SIZE + done, piece) < piece.length) return IO_ERROR;
      await this.#backend.write(sector * SECTOR + done, piece);
    }
    return OK;
  }

  /** §5.2.6.2: after a discard the data may be anything; here it is zero as well. */
  async #zero(type: typeof T_DISCARD | typeof T_WRITE_ZEROES, chain: Chain): Promise<Answer> {
    if ((this.features & F_DISCARD) === 0n) return UNSUPPORTED;
    const segment = new Uint8Array(ZEROES_SIZE);
    if (chain.readableLength !== HEADER_SIZE + ZEROES_SIZE || chain.read(HEADER_SIZE, segment) < ZEROES_SIZE)
      return IO_ERROR;
    const allowed = type === T_WRITE_ZEROES ? ZEROES_UNMAP : 0;
    if ((load(segment, ZEROES_FLAGS, 4) & ~allowed) !== 0) return UNSUPPORTED;
    const sectors = load(segment, ZEROES_NUM_SECTORS, 4);
    const sector = sectorAt(segment, 0);
    if (sectors > MAXIMUM_ZEROES_SECTORS || !this.#fits(sector, sectors * SECTOR)) return IO_ERROR;
    await this.#backend.writeZeroes?.(sector * SECTOR, sectors * SECTOR);
    return OK;
  }
}
