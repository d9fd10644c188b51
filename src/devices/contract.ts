/**
 * What devices are built from and what a machine may ask of them.
 *
 * A device knows nothing of its place: it gets wires, clocks, memory and back ends, never the machine.
 * Guest-physical addresses are numbers: an x86-64 or arm64 physical address has at most 52 bits, which a number holds exactly.
 */

/** A guest-physical address. */
export type PhysicalAddress = number;

/** Bytes of one register access. Wider accesses are split by the bus, low half first. */
export type Width = 1 | 2 | 4;

/** A wire. A level, not an edge: `set(true)` twice is one interrupt; the controller decides what an edge is. */
export interface IrqLine {
  set(asserted: boolean): void;
}

/** Where a message-signalled interrupt goes: a write of `data` to `address` as seen on the bus (PCI 3.0 §6.8). */
export interface MessageSink {
  message(address: PhysicalAddress, data: number): void;
}

/**
 * A window of registers. It does not know where it is mapped, who reads it, or what CPU is running.
 * `read` returns an unsigned value of `width` bytes; undefined offsets read as all ones and ignore writes. Neither throws.
 */
export interface Device {
  readonly name: string;
  read(offset: number, width: Width): number;
  write(offset: number, width: Width, value: number): void;
  /** Back to the state after power-on. */
  reset(): void;
}

/** An address range on a bus, in bytes. */
export interface Range {
  readonly base: number;
  readonly size: number;
}

/** One address space of devices: guest-physical memory-mapped I/O, or the 64 Ki x86 I/O ports. */
export interface Bus {
  /** @throws RangeError when the range overlaps one that is mapped. */
  map(range: Range, device: Device): void;
  unmap(range: Range): void;
  read(address: number, width: Width): number;
  write(address: number, width: Width, value: number): void;
  /** Who answers at an address, and where in its window that is; for those who watch. */
  deviceAt?(address: number): { readonly name: string; readonly offset: number } | undefined;
}

/** When an alarm rings: nanoseconds since power-on, and its place among those of the same time. */
export interface AlarmTime {
  readonly ns: bigint;
  readonly order: number;
}

export interface Alarm {
  /** Undefined once it has rung or was cancelled. */
  readonly due: AlarmTime | undefined;
  cancel(): void;
}

/** The only source of time. Real, stepped (tests) or virtual (retired instructions). */
export interface Clock {
  /** Nanoseconds since the machine was powered on; never goes back. */
  now(): bigint;
  /** Calls `ring` once, `ns` nanoseconds from now or as soon after as the host can. */
  after(ns: bigint, ring: () => void): Alarm;
  /** Sets an alarm as it was set on the machine that a snapshot was taken of. */
  at(due: AlarmTime, ring: () => void): Alarm;
  /** Wall-clock time for the real-time clock: milliseconds since 1970-01-01 UTC. */
  wallTime(): number;
}

/**
 * Guest RAM as devices see it. Ranges that are not wholly RAM give `undefined`: a guest's wrong address is a value, not an exception.
 * Views are valid until control returns to the event loop.
 */
export interface GuestMemory {
  /** Bytes of RAM; RAM starts at guest-physical 0. */
  readonly size: number;
  /** A view for reading. */
  readable(at: PhysicalAddress, length: number): Uint8Array | undefined;
  /** A view for writing. Ask at the time of the write: translated code of these pages is dropped now. */
  writable(at: PhysicalAddress, length: number): Uint8Array | undefined;
}

/** Pages of RAM that come later: with the first look at them, or before. Nobody sees one that has not come. */
export interface LatePages {
  /**
   * `pages`, by number, have not come; each comes by `fill`. Where one is looked at before, `bring` must see to it at once, and answers
   * whether it did: a device is told otherwise that there is no memory, and `bring` throws to stop the processor.
   */
  expect(pages: Iterable<number>, bring: (page: number) => boolean): void;
  /** A page comes; nothing happens where it has come already. */
  fill(page: number, bytes: Uint8Array): void;
}

/** Where bytes that a guest prints go (a serial port, a console). */
export interface ByteSink {
  write(bytes: Uint8Array): void;
}

/** A disk, in bytes; all offsets and lengths are multiples of 512. Rejections become guest I/O errors. */
export interface BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  read(offset: number, into: Uint8Array): Promise<void>;
  write(offset: number, from: Uint8Array): Promise<void>;
  /** Makes bytes zero cheaper than by writing them; may give up their space. Absent: cannot. */
  writeZeroes?(offset: number, length: number): Promise<void>;
  /** Resolves when everything written before is durable. */
  flush(): Promise<void>;
  close(): Promise<void>;
  /** What reading over a network cost so far; undefined where nothing is. */
  fetched?(): FetchFigures | undefined;
  /** Present where what is written is lost with the back end: a snapshot has to hold it. */
  readonly overlay?: DiskOverlay | undefined;
  /** Tells this disk with its present content from others, for snapshots. Absent: a few of its sectors do. */
  readonly identity?: string | undefined;
  /**
   * Gives the present content an `identity`, durably, until the next write: `id`, which nobody else has, unless it has one. Nothing is written
   * meanwhile. Present where changes are in a file of their own, which lasts.
   */
  pin?(id: string): Promise<void>;
  /** Takes the changes of a snapshot. Present where changes are in a file of their own, which lasts. */
  readonly filling?: OverlayFilling | undefined;
}

/** How changes that were saved elsewhere get into an overlay that lasts. */
export interface OverlayFilling {
  /** What lies below, and never changes. */
  readonly base: BlockBackend;
  /** `empty`: nothing was ever written. */
  readonly state: 'empty' | 'begun' | 'written';
  /** Changes follow, by writes. Until `end` has resolved nobody can open the overlay, wherever the host stops: some may be missing. */
  begin(): Promise<void>;
  /** All are there. */
  end(): Promise<void>;
}

/** What a disk fetched over a network. */
export interface FetchFigures {
  readonly requests: number;
  /** Bytes that came, those of no use included. */
  readonly bytes: number;
  /** Requests that had to be made again. */
  readonly retries: number;
  /** Reads that failed for good. */
  readonly failures: number;
  /** Blocks that were in memory or on their way when they were asked for. */
  readonly cacheHits: number;
  /** Blocks that an earlier run had kept. */
  readonly keptHits: number;
}

export interface DiskOverlay {
  /** What lies below, and never changes. */
  readonly base: BlockBackend;
  /** What was written since, in any order; without bytes: zeroes. The back end is left alone meanwhile. */
  changes(): AsyncIterable<DiskChange>;
}
export interface DiskChange {
  readonly offset: number;
  readonly length: number;
  readonly bytes?: Uint8Array | undefined;
}
