import type { Device, Range, Width } from '../contract.ts';
import { allOnes } from '../little-endian.ts';

/** A device at an offset of a larger window. */
export interface Part extends Range {
  readonly device: Device;
}

/** A window made of others, such as the regions of a BAR. Accesses that lie in no part or straddle two read as all ones. */
export class CompositeWindow implements Device {
  readonly name: string;
  readonly #parts: readonly Part[];

  constructor(name: string, parts: readonly Part[]) {
    this.name = name;
    this.#parts = parts;
  }

  read(offset: number, width: Width): number {
    const part = this.#find(offset, width);
    return part === undefined ? allOnes(width) : part.device.read(offset - part.base, width);
  }

  write(offset: number, width: Width, value: number): void {
    const part = this.#find(offset, width);
    part?.device.write(offset - part.base, width, value);
  }

  reset(): void {
    for (const part of this.#parts) part.device.reset();
  }

  #find(offset: number, width: number): Part | undefined {
    for (const part of this.#parts) if (offset >= part.base && offset + width <= part.base + part.size) return part;
    return undefined;
  }
}
