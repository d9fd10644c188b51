import type { Bus, Device, Range } from '../contract.ts';
import type { StateTransfer } from '../state.ts';
import type { ConfigSpace } from './config-space.ts';
import {
  BAR_IO,
  BAR_IO_FLAGS,
  BAR_MEMORY_64,
  BAR_MEMORY_FLAGS,
  BASE_ADDRESS_0,
  COMMAND,
  COMMAND_IO,
  COMMAND_MEMORY,
} from './registers.ts';

/** What a base address register decodes. */
export interface BarDescription {
  readonly kind: 'memory32' | 'memory64' | 'io';
  /** Bytes: a power of two, at least 16 (memory) or 4 (I/O), at most 2 GiB. */
  readonly size: number;
  /** Sees offsets within the BAR. */
  readonly device: Device;
}

const TWO_32 = 2 ** 32;
/** Physical addresses have at most 52 bits. */
const MEMORY_END = 2 ** 52;
const PORTS_END = 0x1_0000;

/** One base address register (PCI 3.0 §6.2.5): sizing comes from its read-only bits, decoding from COMMAND and its address. */
export class Bar {
  readonly description: BarDescription;
  readonly offset: number;
  readonly #config: ConfigSpace;
  #bus: Bus | undefined;
  #mapped: Range | undefined;
  #blocked = false;

  constructor(index: number, description: BarDescription, config: ConfigSpace) {
    const { kind, size } = description;
    const smallest = kind === 'io' ? 4 : 16;
    if (size < smallest || size > 2 ** 31 || 2 ** Math.round(Math.log2(size)) !== size)
      throw new RangeError(`a BAR cannot have ${size} bytes`);
    this.description = description;
    this.offset = BASE_ADDRESS_0 + 4 * index;
    this.#config = config;
    const type = kind === 'io' ? BAR_IO : kind === 'memory64' ? BAR_MEMORY_64 : 0;
    config.define(this.offset, 4, type, ~(size - 1) >>> 0);
    if (kind === 'memory64') config.define(this.offset + 4, 4, 0, 0xffff_ffff);
  }

  /** Where the BAR is decoded now. */
  get mapped(): Range | undefined {
    return this.#mapped;
  }

  connect(bus: Bus): void {
    this.#bus = bus;
  }

  /**
   * Follows the registers. True when an address range was given up that another BAR may be waiting for.
   * A BAR that the guest puts over another device stays undecoded until the place is free.
   */
  update(): boolean {
    const wanted = this.#wanted();
    const mapped = this.#mapped;
    if (wanted?.base === mapped?.base) {
      this.#blocked = false;
      return false;
    }
    if (mapped !== undefined) this.#bus?.unmap(mapped);
    this.#mapped = undefined;
    this.#map(wanted);
    return mapped !== undefined;
  }

  /** Gives up its address range, before the snapshot's are restored. */
  release(): void {
    if (this.#mapped !== undefined) this.#bus?.unmap(this.#mapped);
    this.#mapped = undefined;
    this.#blocked = false;
  }

  /** Whether the place that the registers name was had. */
  transferState(state: StateTransfer, index: number): void {
    const mapped = state.flag(`bar${index}`, this.#mapped !== undefined);
    if (!state.restoring) return;
    const wanted = this.#wanted();
    if (mapped) this.#map(wanted);
    else this.#blocked = wanted !== undefined;
    state.require(mapped === (this.#mapped !== undefined), `BAR ${index} has no place`);
  }

  /** Tries again to map a BAR whose place was taken. */
  retry(): void {
    if (this.#blocked) this.#map(this.#wanted());
  }

  #map(range: Range | undefined): void {
    this.#blocked = false;
    if (range === undefined || this.#bus === undefined) return;
    try {
      this.#bus.map(range, this.description.device);
      this.#mapped = range;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#blocked = true;
    }
  }

  /** The range that the registers ask for. Address 0 means unassigned. */
  #wanted(): Range | undefined {
    const { kind, size } = this.description;
    const enable = kind === 'io' ? COMMAND_IO : COMMAND_MEMORY;
    if ((this.#config.get(COMMAND, 2) & enable) === 0) return undefined;
    const low = this.#config.get(this.offset, 4);
    const high = kind === 'memory64' ? this.#config.get(this.offset + 4, 4) : 0;
    const flags = kind === 'io' ? BAR_IO_FLAGS : BAR_MEMORY_FLAGS;
    const base = high * TWO_32 + low - (low & flags);
    const end = kind === 'io' ? PORTS_END : MEMORY_END;
    return base === 0 || base + size > end ? undefined : { base, size };
  }
}
