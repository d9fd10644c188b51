import type { Device, MessageSink, Width } from '../contract.ts';
import { allOnes, load, store } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import type { Capability } from './config-space.ts';
import { CAPABILITY_MSIX } from './registers.ts';

/** Message Control, relative to the capability's body (PCI 3.0 §6.8.2.3). */
const MESSAGE_CONTROL = 0;
const CONTROL_ENABLE = 0x8000;
const CONTROL_FUNCTION_MASK = 0x4000;

const ENTRY_SIZE = 16;
const ENTRY_ADDRESS = 0;
const ENTRY_UPPER_ADDRESS = 4;
const ENTRY_DATA = 8;
const ENTRY_VECTOR_CONTROL = 12;
const VECTOR_MASKED = 1;
const MAXIMUM_VECTORS = 2048;

/** What MSI-X asks of the function it belongs to. */
export interface MsixFunction extends MessageSink {
  /** A message is a memory write: without bus mastering it waits. */
  readonly busMaster: boolean;
  /** MSI-X was switched on or off. */
  interruptModeChanged(): void;
}

/** Where in which BAR the two structures lie. */
export interface MsixLayout {
  readonly vectors: number;
  readonly bar: number;
  readonly tableOffset: number;
  readonly pendingOffset: number;
}

/** The MSI-X capability, vector table and pending-bit array of one function (PCI 3.0 §6.8.2). */
export class Msix {
  readonly vectors: number;
  readonly table: Device;
  /** The pending-bit array: read-only. */
  readonly pending: Device;
  readonly capability: Capability;
  readonly #function: MsixFunction;
  readonly #entries: Uint8Array;
  readonly #pendingBits: Uint8Array;

  constructor(layout: MsixLayout, pciFunction: MsixFunction) {
    if (layout.vectors < 1 || layout.vectors > MAXIMUM_VECTORS)
      throw new RangeError(`MSI-X has 1 to ${MAXIMUM_VECTORS} vectors, not ${layout.vectors}`);
    this.vectors = layout.vectors;
    this.#function = pciFunction;
    this.#entries = new Uint8Array(layout.vectors * ENTRY_SIZE);
    this.#pendingBits = new Uint8Array(Math.ceil(layout.vectors / 64) * 8);
    this.capability = this.#describe(layout);
    this.table = this.#tableWindow();
    this.pending = this.#pendingWindow();
    this.reset();
  }

  get enabled(): boolean {
    return (this.#control() & CONTROL_ENABLE) !== 0;
  }

  /** Sends the vector's message, or remembers it while masked. Vectors that do not exist are ignored. */
  notify(vector: number): void {
    if (!this.enabled || vector >= this.vectors) return;
    if (this.#maySend(vector)) this.#send(vector);
    else this.#pendingBits[vector >>> 3]! |= 1 << (vector & 7);
  }

  /** Sends what waited and may go now. */
  flush(): void {
    if (!this.enabled) return;
    for (let vector = 0; vector < this.vectors; vector++) this.#flushVector(vector);
  }

  /** The capability is saved with the configuration space. */
  transferState(state: StateTransfer): void {
    state.file('entries', this.#entries);
    state.file('pending', this.#pendingBits);
  }

  reset(): void {
    this.#entries.fill(0);
    for (let vector = 0; vector < this.vectors; vector++)
      store(this.#entries, vector * ENTRY_SIZE + ENTRY_VECTOR_CONTROL, 4, VECTOR_MASKED);
    this.#pendingBits.fill(0);
    store(this.capability.body, MESSAGE_CONTROL, 2, this.vectors - 1);
  }

  #describe({ bar, tableOffset, pendingOffset }: MsixLayout): Capability {
    const body = new Uint8Array(10);
    store(body, 2, 4, tableOffset | bar);
    store(body, 6, 4, pendingOffset | bar);
    const writable = new Uint8Array(2);
    store(writable, MESSAGE_CONTROL, 2, CONTROL_ENABLE | CONTROL_FUNCTION_MASK);
    const written = (offset: number) => {
      if (offset >= MESSAGE_CONTROL + 2) return;
      this.#function.interruptModeChanged();
      this.flush();
    };
    return { id: CAPABILITY_MSIX, body, writable, written };
  }

  #tableWindow(): Device {
    return {
      name: 'msix-table',
      read: (offset, width) =>
        offset + width <= this.#entries.length ? load(this.#entries, offset, width) : allOnes(width),
      write: (offset, width, value) => {
        store(this.#entries, offset, width, value);
        this.#flushVector(Math.floor(offset / ENTRY_SIZE));
      },
      reset: () => this.reset(),
    };
  }

  #pendingWindow(): Device {
    return {
      name: 'msix-pending',
      read: (offset: number, width: Width) =>
        offset + width <= this.#pendingBits.length ? load(this.#pendingBits, offset, width) : allOnes(width),
      write: () => {},
      reset: () => this.reset(),
    };
  }

  #control(): number {
    return load(this.capability.body, MESSAGE_CONTROL, 2);
  }

  #maySend(vector: number): boolean {
    const masked = load(this.#entries, vector * ENTRY_SIZE + ENTRY_VECTOR_CONTROL, 4) & VECTOR_MASKED;
    return masked === 0 && (this.#control() & CONTROL_FUNCTION_MASK) === 0 && this.#function.busMaster;
  }

  #flushVector(vector: number): void {
    if (vector >= this.vectors || !this.enabled) return;
    const bit = 1 << (vector & 7);
    if ((this.#pendingBits[vector >>> 3]! & bit) === 0 || !this.#maySend(vector)) return;
    this.#pendingBits[vector >>> 3]! &= ~bit;
    this.#send(vector);
  }

  #send(vector: number): void {
    const entry = vector * ENTRY_SIZE;
    const upper = load(this.#entries, entry + ENTRY_UPPER_ADDRESS, 4);
    const address = upper * 2 ** 32 + load(this.#entries, entry + ENTRY_ADDRESS, 4);
    this.#function.message(address, load(this.#entries, entry + ENTRY_DATA, 4));
  }
}
