/** One address space of devices: finds the device of an address, splits what straddles two, counts accesses. */
import type { Bus, Device, Range, Width } from '../devices/contract.ts';

/** Accesses of all windows of one device since the bus was made. */
export interface AccessCount {
  readonly reads: number;
  readonly writes: number;
}

interface Counter {
  reads: number;
  writes: number;
}

interface Mapping {
  readonly base: number;
  /** The first address behind the range. */
  readonly end: number;
  readonly device: Device;
  readonly count: Counter;
}

const ALL_ONES: Readonly<Record<Width, number>> = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff };

export class AddressBus implements Bus {
  readonly name: string;
  /** Sorted by base, disjoint. */
  readonly #mappings: Mapping[] = [];
  readonly #counts = new Map<string, Counter>();
  readonly #unmapped: Counter;
  /** Drivers poll one register: the mapping of the last access is tried first. */
  #last: Mapping | undefined;

  /** `name` labels accesses that no device answers, in the statistics: `unmapped <name>`. */
  constructor(name: string) {
    this.name = name;
    this.#unmapped = this.#counter(`unmapped ${name}`);
  }

  map(range: Range, device: Device): void {
    const end = range.base + range.size;
    if (range.size <= 0) throw new RangeError(`${device.name}: an empty range cannot be mapped`);
    const other = this.#overlapping(range);
    if (other !== undefined)
      throw new RangeError(`${device.name} at 0x${range.base.toString(16)} overlaps ${other.device.name}`);
    this.#mappings.splice(this.#firstBehind(range.base), 0, {
      base: range.base,
      end,
      device,
      count: this.#counter(device.name),
    });
    this.#last = undefined;
  }

  /** Nothing is mapped in any part of a range. */
  isFree(range: Range): boolean {
    return this.#overlapping(range) === undefined;
  }
  #overlapping({ base, size }: Range): Mapping | undefined {
    const at = this.#firstBehind(base);
    return [this.#mappings[at - 1], this.#mappings[at]].find((m) => m && m.base < base + size && base < m.end);
  }

  unmap(range: Range): void {
    const at = this.#mappings.findIndex((m) => m.base === range.base && m.end === range.base + range.size);
    if (at >= 0) this.#mappings.splice(at, 1);
    this.#last = undefined;
  }

  read(address: number, width: Width): number {
    const mapping = this.#find(address);
    if (mapping !== undefined && address + width <= mapping.end) {
      mapping.count.reads += 1;
      return mapping.device.read(address - mapping.base, width);
    }
    if (mapping === undefined && !this.#startsInside(address, width)) {
      this.#unmapped.reads += 1;
      return ALL_ONES[width];
    }
    const half = (width / 2) as Width;
    const low = this.read(address, half);
    return (low | (this.read(address + half, half) << (8 * half))) >>> 0;
  }

  write(address: number, width: Width, value: number): void {
    const mapping = this.#find(address);
    if (mapping !== undefined && address + width <= mapping.end) {
      mapping.count.writes += 1;
      mapping.device.write(address - mapping.base, width, value);
      return;
    }
    if (mapping === undefined && !this.#startsInside(address, width)) {
      this.#unmapped.writes += 1;
      return;
    }
    const half = (width / 2) as Width;
    this.write(address, half, (value & ALL_ONES[half]) >>> 0);
    this.write(address + half, half, (value >>> (8 * half)) & ALL_ONES[half]);
  }

  deviceAt(address: number): { readonly name: string; readonly offset: number } | undefined {
    const mapping = this.#find(address);
    return mapping && { name: mapping.device.name, offset: address - mapping.base };
  }

  /** Accesses by device name; several windows of one name add up. */
  accesses(): ReadonlyMap<string, AccessCount> {
    return this.#counts;
  }

  /** Whether a range begins inside an access whose first byte no device has. */
  #startsInside(address: number, width: Width): boolean {
    const next = this.#mappings[this.#firstBehind(address)];
    return next !== undefined && next.base < address + width;
  }

  #find(address: number): Mapping | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.base && address < last.end) return last;
    const mapping = this.#mappings[this.#firstBehind(address) - 1];
    if (mapping === undefined || address >= mapping.end) return undefined;
    return (this.#last = mapping);
  }

  /** Index of the first mapping whose base is above `address`. */
  #firstBehind(address: number): number {
    let low = 0;
    let high = this.#mappings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#mappings[middle]!.base <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #counter(name: string): Counter {
    let counter = this.#counts.get(name);
    if (counter === undefined) this.#counts.set(name, (counter = { reads: 0, writes: 0 }));
    return counter;
  }
}
