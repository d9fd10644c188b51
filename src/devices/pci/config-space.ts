import type { Width } from '../contract.ts';
import { load, store } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import { CAPABILITIES_POINTER, CONFIG_SIZE, DEVICE_SPECIFIC, STATUS, STATUS_CAPABILITIES } from './registers.ts';

/** A capability as a device brings it; the function places it in the list. */
export interface Capability {
  readonly id: number;
  /** What follows the identifier and next pointer. Offset 0 here is offset 2 of the capability. */
  readonly body: Uint8Array;
  /** Bits of `body` that the guest may change; missing bytes are read-only. */
  readonly writable: Uint8Array;
  /** The guest is about to read `width` bytes at `offset` of the body: bring it up to date. */
  reading?(offset: number, width: Width): void;
  /** The guest has written; `body` holds the result. */
  written?(offset: number, width: Width): void;
}

const CAPABILITY_HEADER = 2;

interface Placed {
  readonly capability: Capability;
  readonly offset: number;
  readonly end: number;
}

/** 256 bytes of registers, a mask of the bits that a guest may change, and the capability list. */
export class ConfigSpace {
  readonly #bytes = new Uint8Array(CONFIG_SIZE);
  readonly #writable = new Uint8Array(CONFIG_SIZE);
  readonly #capabilities: Placed[] = [];
  #free = DEVICE_SPECIFIC;

  /** Sets a register and, if given, which of its bits the guest may change. */
  define(offset: number, width: Width, value: number, writable = 0): void {
    store(this.#bytes, offset, width, value);
    store(this.#writable, offset, width, writable);
  }

  /** The register as it stands. */
  get(offset: number, width: Width): number {
    return load(this.#bytes, offset, width);
  }

  set(offset: number, width: Width, value: number): void {
    store(this.#bytes, offset, width, value);
  }

  /** Clears what a guest may have written outside capabilities. */
  clearWritable(): void {
    for (let i = 0; i < DEVICE_SPECIFIC; i++) this.#bytes[i]! &= ~this.#writable[i]!;
  }

  /** What a guest can change; the rest is the same on every machine, which refuses a snapshot of another function. */
  transferState(state: StateTransfer): void {
    const bytes = this.#bytes.slice();
    state.file('registers', bytes);
    const differs = bytes.findIndex(
      (byte, i) => i !== STATUS && ((byte ^ this.#bytes[i]!) & ~this.#writable[i]!) !== 0,
    );
    state.require(differs < 0, `register ${differs} is another device's`);
    this.#bytes.set(bytes);
    for (const { capability, offset } of this.#capabilities)
      state.file(`capability${offset.toString(16)}`, capability.body);
  }

  /** @throws RangeError when configuration space is full: a mistake of the device's author. */
  addCapability(capability: Capability): void {
    const offset = this.#free;
    const end = offset + CAPABILITY_HEADER + capability.body.length;
    if (end > CONFIG_SIZE) throw new RangeError('no room for another PCI capability');
    const previous = this.#capabilities.at(-1);
    this.#bytes[previous === undefined ? CAPABILITIES_POINTER : previous.offset + 1] = offset;
    this.#bytes[offset] = capability.id;
    this.#bytes[STATUS]! |= STATUS_CAPABILITIES;
    this.#capabilities.push({ capability, offset, end });
    this.#free = (end + 3) & ~3;
  }

  read(offset: number, width: Width): number {
    for (const { capability, body } of this.#touched(offset, width)) capability.reading?.(offset - body, width);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + this.#byte(offset + i);
    return value;
  }

  write(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.#setByte(offset + i, (value >>> (8 * i)) & 0xff);
    for (const { capability, body } of this.#touched(offset, width)) capability.written?.(offset - body, width);
  }

  /** Capabilities whose bodies an access touches; `body` is where the body begins. */
  #touched(offset: number, width: number): { capability: Capability; body: number }[] {
    return this.#capabilities
      .filter((c) => offset < c.end && offset + width > c.offset + CAPABILITY_HEADER)
      .map((c) => ({ capability: c.capability, body: c.offset + CAPABILITY_HEADER }));
  }

  #bodyOf(offset: number): Placed | undefined {
    return this.#capabilities.find((c) => offset >= c.offset + CAPABILITY_HEADER && offset < c.end);
  }

  #byte(offset: number): number {
    const placed = this.#bodyOf(offset);
    if (placed === undefined) return this.#bytes[offset] ?? 0;
    return placed.capability.body[offset - placed.offset - CAPABILITY_HEADER]!;
  }

  #setByte(offset: number, value: number): void {
    const placed = this.#bodyOf(offset);
    if (placed === undefined) {
      const mask = this.#writable[offset] ?? 0;
      if (mask !== 0) this.#bytes[offset] = (this.#bytes[offset]! & ~mask) | (value & mask);
      return;
    }
    const at = offset - placed.offset - CAPABILITY_HEADER;
    const { body, writable } = placed.capability;
    const mask = writable[at] ?? 0;
    body[at] = (body[at]! & ~mask) | (value & mask);
  }
}
