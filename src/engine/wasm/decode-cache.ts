/**
 * Decoded instructions by physical address. A page's records live until a store reaches bytes that were decoded; then they are made stale
 * in place, so that whoever is walking them notices at the next one.
 */
import { type Decoded, decode } from '../../isa/x86/decoder.ts';
import { MAX_LENGTH } from '../../isa/x86/instruction-reader.ts';
import type { CodeSize } from '../../isa/x86/prefixes.ts';
import { TOO_LONG, UNDEFINED } from '../bodies.ts';
import { PAGE_FLAG, PAGE_FLAGS_BASE, PAGE_SIZE, RAM_BASE, RECORDS_BASE } from '../layout.ts';
import { type BlockCounts, type Heat, MAX_PATIENCE, WAS_HOT } from './block-counts.ts';
import { type CodePage, cover, type InstalledRegion, isCovered, newPage } from './code-page.ts';
import type { Handlers } from './handlers.ts';
import { COUNT_AT, CROSSES_PAGE, IS_REGION, PSEUDO, RECORD_AT, RECORD_SIZE } from './record.ts';
import { RecordRoom } from './record-room.ts';
import { RecordWriter } from './record-writer.ts';
import type { KnownPage } from './translator/known-code.ts';

/** Who must hear what happens to code. */
export interface CodeEvents {
  /** The bytes of a page are about to be read: its physical address. */
  reached(physical: number): void;
  /** From now on stores to another page must be seen: its physical address. */
  newPage(physical: number): void;
  /** Code became stale, and with it some regions, whose functions nothing leads to any more. */
  dropped(regions: readonly InstalledRegion[]): void;
  /** Records are gone: their places will be others'. */
  cleared(): void;
}

/** A guest-physical place of code and how it is to be decoded. */
export interface CodePlace {
  readonly physical: number;
  readonly size: CodeSize;
  /** An indirect jump leads there. */
  readonly indirect: boolean;
  /** Where the next page lies, for an instruction that goes on there; asked at need, undefined where that faults. */
  nextPage(): number | undefined;
}

const MAX_BLOCK = 64;
/** Of the records of a block, with those at its start and end that are no instructions. */
const MOST_BYTES = (MAX_BLOCK + 2) * RECORD_SIZE;
/**
 * A page whose code was dropped stays watched for so many stores, because what is rewritten is rewritten again: to watch a page anew
 * costs about as much as they do.
 */
const MAX_IDLE_STORES = 128;
const SIZE_CODE = { 16: 0, 32: 1, 64: 2 } as const;
const frameOf = (physical: number): number => Math.floor(physical / PAGE_SIZE);
/** By which a page knows a start. */
const keyOf = (physical: number, size: CodeSize): number => (physical % PAGE_SIZE) * 4 + SIZE_CODE[size];
/** A failure's bytes still cover the page: overwriting them may mend the instruction. */
const badInstruction = (failure: 'invalid' | 'tooLong', size: CodeSize): Decoded => ({
  encoding: failure === 'invalid' ? UNDEFINED : TOO_LONG,
  // Handlers are numbered for each mode.
  parameters: { operandSize: 32, addressSize: 32, long: size === 64, memory: false, segmented: false, rep: 'none' },
  fields: { length: 1, segment: 0, scale: 0, reg: 0, rm: 0, index: 0, displacement: 0, immediate: 0n },
  prefixes: { rex: 0, lock: false, operandSize: false, addressSize: false, repeat: 'none', segment: undefined },
});

export class DecodeCache {
  readonly #memory: Uint8Array;
  readonly #view: DataView;
  readonly #writer: RecordWriter;
  readonly #ramSize: number;
  readonly #handlers: Handlers;
  readonly #events: CodeEvents;
  readonly #counts: BlockCounts | undefined;
  #pages = new Map<number, CodePage>();
  readonly #room = new RecordRoom();

  /** Without `counts` blocks do not start with a record that counts how often they are entered. */
  constructor(
    memory: WebAssembly.Memory,
    ramSize: number,
    handlers: Handlers,
    events: CodeEvents,
    counts: BlockCounts | undefined,
  ) {
    this.#memory = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#writer = new RecordWriter(memory);
    this.#ramSize = ramSize;
    this.#handlers = handlers;
    this.#events = events;
    this.#counts = counts;
    for (const [i, handler] of [PSEUDO.start, PSEUDO.fault].entries())
      this.#writer.header(RECORDS_BASE + i * RECORD_SIZE, handler, 0, 0);
  }

  static readonly start = RECORDS_BASE;
  static readonly fault = RECORDS_BASE + RECORD_SIZE;

  /** Instructions decoded so far. */
  get decoded(): number {
    return this.#writer.instructions;
  }

  /** The record of a block that was decoded before. */
  known(physical: number, size: CodeSize): number | undefined {
    return this.#pages.get(frameOf(physical))?.starts.get(keyOf(physical, size));
  }

  /** The record of the instruction at `place`, in a block of at most `most`; undefined where fetching its second page faults. */
  find(place: CodePlace, most: number = MAX_BLOCK): number | undefined {
    const frame = Math.floor(place.physical / PAGE_SIZE);
    const offset = place.physical % PAGE_SIZE;
    const page = this.#pages.get(frame);
    const key = keyOf(offset, place.size);
    const known = most < MAX_BLOCK ? page?.short.get(key * MAX_BLOCK + most) : page?.starts.get(key);
    if (known !== undefined) return known;
    if (!this.#room.reserve(MOST_BYTES)) this.#makeRoom();
    const start = this.#decodeBlock(frame, offset, place, most);
    // An instruction on two pages is not kept under its address, because the second page may be mapped anew.
    if (start === undefined || this.#memory[start + RECORD_AT.flags] & CROSSES_PAGE) return start;
    const { starts, short, indirect } = this.#page(frame);
    if (most < MAX_BLOCK) short.set(key * MAX_BLOCK + most, start);
    else starts.set(key, start);
    if (most === MAX_BLOCK && place.indirect) indirect.add(key);
    return start;
  }

  #decodeBlock(frame: number, offset: number, place: CodePlace, most: number): number | undefined {
    const start = this.#room.next;
    const bytes = this.#pageBytes(frame);
    const page = this.#page(frame);
    if (this.#counts !== undefined && most === MAX_BLOCK) this.#writeEnter(page, frame, offset);
    let limit = most;
    let at = offset;
    let alone = 0;
    for (let index = 0; index < limit; index++) {
      const result = decode(bytes, place.size, at);
      if (result === 'truncated' && PAGE_SIZE - at < MAX_LENGTH) {
        if (index === 0) {
          this.#room.next = start;
          return this.#decodeCrossing(frame, offset, place);
        }
        return this.#finish(page, start, index, at);
      }
      const decoded =
        typeof result === 'string' ? badInstruction(result === 'truncated' ? 'tooLong' : result, place.size) : result;
      const handler = this.#handlers.handlerOf(decoded);
      this.#writer.instruction(this.#room.next, decoded, handler.number, index, at);
      alone = this.#pair(alone, handler.number, decoded.parameters.long);
      cover(page, at, typeof result === 'string' ? Math.min(MAX_LENGTH, PAGE_SIZE - at) : decoded.fields.length);
      at += decoded.fields.length;
      this.#room.next += RECORD_SIZE;
      const { end } = handler;
      if (decoded.encoding.definition.holdsInterrupts) limit = index + 1;
      if (end === 'jump') {
        page.runs.push(start, this.#room.next);
        return start;
      }
      if (end === 'block' || at >= PAGE_SIZE) return this.#finish(page, start, index + 1, at);
    }
    return this.#finish(page, start, limit, at);
  }

  /** `first`: handler of the record before the newest, 0 where that is part of a pair. Returns that of the newest. */
  #pair(first: number, second: number, long: boolean): number {
    const pair = this.#handlers.pairOf(first, second, long);
    if (pair === undefined) return second;
    this.#view.setUint16(this.#room.next - RECORD_SIZE + RECORD_AT.handler, pair, true);
    return 0;
  }

  #writeEnter(page: CodePage, frame: number, offset: number): void {
    this.#writer.header(this.#room.next, PSEUDO.enter, 0, offset);
    this.#counts!.begin(this.#room.next, frame, page.patience);
    this.#room.next += RECORD_SIZE;
  }
  /** As `BlockCounts`. */
  heat(record: number): Heat {
    return this.#counts!.heat(record, this.#patience(record));
  }
  #patience(record: number): number {
    return this.#pages.get(this.#counts!.frame(record))?.patience ?? 0;
  }
  #entered(record: number): number {
    if (this.#counts === undefined || this.#memory[record + RECORD_AT.flags] & IS_REGION) return WAS_HOT;
    return this.#counts.entered(record);
  }
  /** As `BlockCounts`. */
  leastBeside(record: number): number {
    return this.#counts!.leastBeside(record);
  }
  /** The physical address of the block that a counting record starts. */
  placeOf(record: number): number {
    return this.#counts!.place(record);
  }

  #finish(page: CodePage, start: number, index: number, at: number): number {
    this.#writer.header(this.#room.next, PSEUDO.fallThrough, index, at);
    this.#room.next += RECORD_SIZE;
    page.runs.push(start, this.#room.next);
    return start;
  }

  /** An instruction on two pages: a block of its own. */
  #decodeCrossing(frame: number, offset: number, place: CodePlace): number | undefined {
    const second = place.nextPage();
    if (second === undefined) return undefined;
    const bytes = new Uint8Array(MAX_LENGTH);
    const here = PAGE_SIZE - offset;
    bytes.set(this.#pageBytes(frame).subarray(offset), 0);
    const next = Math.floor(second / PAGE_SIZE);
    bytes.set(this.#pageBytes(next).subarray(0, MAX_LENGTH - here), here);
    const result = decode(bytes, place.size);
    const decoded =
      typeof result === 'string' ? badInstruction(result === 'truncated' ? 'tooLong' : result, place.size) : result;
    const page = this.#page(frame);
    const start = this.#room.next;
    const handler = this.#handlers.handlerOf(decoded);
    this.#writer.instruction(start, decoded, handler.number, 0, offset);
    this.#memory[start + RECORD_AT.flags] = CROSSES_PAGE;
    cover(page, offset, here);
    const other = this.#page(next);
    cover(other, 0, Math.max(1, decoded.fields.length - here));
    other.leaders.add(frame);
    this.#room.next += RECORD_SIZE;
    if (handler.end === 'jump') page.runs.push(start, this.#room.next);
    else this.#finish(page, start, 1, offset + decoded.fields.length);
    return start;
  }

  /** The bytes of a frame; what is not RAM reads as all ones. */
  #pageBytes(frame: number): Uint8Array {
    const at = frame * PAGE_SIZE;
    if (at + PAGE_SIZE > this.#ramSize) return new Uint8Array(PAGE_SIZE).fill(0xff);
    this.#events.reached(at);
    return this.#memory.subarray(RAM_BASE + at, RAM_BASE + at + PAGE_SIZE);
  }

  /** The numbers of pages with decoded code. */
  pages(): readonly number[] {
    return [...this.#pages.keys()].filter((frame) => (frame + 1) * PAGE_SIZE <= this.#ramSize);
  }

  #page(frame: number): CodePage {
    const known = this.#pages.get(frame);
    if (known !== undefined) return known;
    const page = newPage();
    this.#pages.set(frame, page);
    if (this.#setFlag(frame, true)) this.#events.newPage(frame * PAGE_SIZE);
    return page;
  }
  /** Code may lie beyond RAM, whose pages alone have flags; false there. */
  #setFlag(frame: number, holdsCode: boolean): boolean {
    if ((frame + 1) * PAGE_SIZE > this.#ramSize) return false;
    // Its bytes have come: they were decoded.
    this.#memory[PAGE_FLAGS_BASE + frame] = holdsCode ? PAGE_FLAG.code : 0;
    return true;
  }

  /** Bytes of RAM were or will be written: instructions decoded from them become stale. */
  written(physical: number, length: number): void {
    const first = frameOf(physical);
    const last = Math.floor((physical + length - 1) / PAGE_SIZE);
    for (let frame = first; frame <= last; frame++) {
      if (this.#memory[PAGE_FLAGS_BASE + frame] === 0) continue;
      const from = Math.max(physical - frame * PAGE_SIZE, 0);
      const to = Math.min(physical + length - frame * PAGE_SIZE, PAGE_SIZE);
      const page = this.#pages.get(frame);
      if (page === undefined) continue;
      if (isCovered(page, from, to)) this.#drop(page);
      else if (page.runs.length + page.leaders.size === 0 && ++page.idleStores > MAX_IDLE_STORES) this.#unwatch(frame);
    }
  }
  /** Makes a page's records stale. */
  #drop(page: CodePage): void {
    const regions = [...page.regions.values(), ...page.foreign];
    for (const frame of new Set(regions.map(({ physical }) => frameOf(physical)))) {
      const start = this.#pages.get(frame)!;
      start.patience = Math.min(start.patience + 1, MAX_PATIENCE);
    }
    for (const region of page.foreign) this.uninstall(region);
    for (const region of page.regions.values()) this.#forget(region);
    this.#events.dropped(regions);
    for (let i = 0; i < page.runs.length; i += 2)
      for (let at = page.runs[i]; at < page.runs[i + 1]; at += RECORD_SIZE) {
        this.#view.setUint16(at + RECORD_AT.handler, PSEUDO.stale, true);
        this.#memory[at + RECORD_AT.flags] = 0;
      }
    const leaders = [...page.leaders];
    this.#room.free(page.runs);
    page.runs = [];
    page.covered.fill(0);
    for (const known of [page.starts, page.short, page.leaders, page.regions, page.indirect]) known.clear();
    page.idleStores = 0;
    for (const leader of leaders) {
      const crossing = this.#pages.get(leader);
      if (crossing !== undefined) this.#drop(crossing);
    }
  }
  /** Forgets the pages without regions, and where that is not enough, everything. */
  #makeRoom(): void {
    for (const [frame, page] of this.#pages) {
      if (page.regions.size + page.foreign.size > 0) continue;
      this.#room.free(page.runs);
      this.#unwatch(frame);
    }
    if (this.#room.gather() && this.#room.reserve(MOST_BYTES)) this.#events.cleared();
    else this.clear();
  }
  #unwatch(frame: number): void {
    this.#pages.delete(frame);
    this.#setFlag(frame, false);
  }

  /** What is known of the page of a start whose record a region may replace; undefined where there is none. */
  regionAt(physical: number, size: CodeSize): KnownPage | undefined {
    const frame = frameOf(physical);
    const page = this.#pages.get(frame);
    const key = keyOf(physical, size);
    if (page === undefined || !page.starts.has(key) || page.regions.has(key)) return undefined;
    return this.#known(frame, page, size);
  }
  /** The page of the block that a record starts; undefined where it starts none. */
  pageOf(record: number, size: CodeSize): KnownPage | undefined {
    const frame = this.#view.getUint32(record + COUNT_AT.frame, true);
    const offset = this.#view.getUint16(record + RECORD_AT.offset, true);
    const page = this.#pages.get(frame);
    return page?.starts.get(keyOf(offset, size)) === record ? this.#known(frame, page, size) : undefined;
  }
  #known(frame: number, page: CodePage, size: CodeSize): KnownPage {
    const code = SIZE_CODE[size];
    return {
      frame,
      bytes: this.#pageBytes(frame),
      indirect: () => [...page.indirect].filter((k) => (k & 3) === code).map((k) => k >> 2),
      record: (offset) => page.starts.get(keyOf(offset, size)),
      entered: (record) => this.#entered(record),
      target: (start, index) => this.#target(start, index),
    };
  }
  /** Where the computed jump went last that is an instruction of a block; 0 where it did not. */
  #target(start: number, index: number): bigint {
    if (this.#counts === undefined) return 0n;
    return this.#view.getBigUint64(start + (1 + index) * RECORD_SIZE + RECORD_AT.target, true);
  }
  /** From now on the record of the start at `physical` has the handler of a region that covers some ranges of memory. */
  install(
    physical: number,
    size: CodeSize,
    handler: number,
    ranges: readonly (readonly [physical: number, length: number])[],
  ): InstalledRegion {
    const frames = new Set(ranges.map(([at]) => frameOf(at)));
    for (const [at, length] of ranges) cover(this.#pages.get(frameOf(at))!, at % PAGE_SIZE, length);
    const before = this.#view.getUint16(this.known(physical, size)! + RECORD_AT.handler, true);
    const region = { physical, size, handler, before, frames: [...frames] };
    this.reinstall(region);
    return region;
  }
  /** A region that was uninstalled, while nothing was dropped. */
  reinstall(region: InstalledRegion): void {
    const { physical, size, handler, frames } = region;
    const [home, record] = [frameOf(physical), this.known(physical, size)!];
    this.#view.setUint16(record + RECORD_AT.handler, handler, true);
    this.#memory[record + RECORD_AT.flags] |= IS_REGION;
    this.#pages.get(home)!.regions.set(keyOf(physical, size), region);
    for (const frame of frames) if (frame !== home) this.#pages.get(frame)!.foreign.add(region);
  }
  #forget(region: InstalledRegion): void {
    for (const frame of region.frames) this.#pages.get(frame)?.foreign.delete(region);
  }
  /** The regions that start on the page of a physical address, the oldest first. */
  regionsOn(physical: number): readonly InstalledRegion[] {
    return [...(this.#pages.get(frameOf(physical))?.regions.values() ?? [])];
  }
  /** Counts the entries of a block that is part of a region from the start again: few of them pass that by. `kept`: of an earlier run. */
  cool(physical: number, size: CodeSize, kept: boolean): void {
    const record = this.known(physical, size);
    if (record !== undefined) this.#counts?.cool(record, this.#patience(record), kept);
  }
  /** The block of a region is interpreted again. */
  uninstall(region: InstalledRegion): void {
    const { physical, size, before } = region;
    this.#forget(region);
    const page = this.#pages.get(frameOf(physical))!;
    const record = this.known(physical, size)!;
    page.regions.delete(keyOf(physical, size));
    this.#view.setUint16(record + RECORD_AT.handler, before, true);
    this.#memory[record + RECORD_AT.flags] &= ~IS_REGION;
    if (before === PSEUDO.enter) this.#counts?.restart(record, page.patience);
  }

  /** Drops everything. Not while a record is being executed other than to look the next one up. */
  clear(): void {
    const regions: InstalledRegion[] = [];
    for (const [frame, page] of this.#pages) {
      this.#setFlag(frame, false);
      regions.push(...page.regions.values());
    }
    this.#pages = new Map();
    this.#room.reset();
    this.#events.dropped(regions);
    this.#events.cleared();
  }
}
