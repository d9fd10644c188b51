/** How often blocks are entered, as the records count it that they start with: down from some number to the next look at the block. */
import { PAGE_SIZE } from '../layout.ts';
import { COUNT_AT, RECORD_AT } from './record.ts';

/** Entries to a block before it is hot: to translate it takes as long as to interpret it some thousand times. */
const HOT_ENTRIES = 32000;
/** Entries to a block before it is first looked at, and so many times as many before it is again. */
const FIRST_LOOK = 1000;
/** The same where there may be regions of earlier runs, which it is looked for among. */
const FIRST_LOOK_KEPT = 250;
const NEXT_LOOK = 4;
/** A block that was entered so often is dense if it was once in so many instructions since it was looked at: a loop, which will go on. */
const DENSE_ENTRIES = 4000;
const DENSE_INSTRUCTIONS = 64;
/** Part of a region, it must be entered from elsewhere so many times as often: to have its code twice costs more than it gains. */
const COVERED = 2;
/** The same of regions of earlier runs, in which it did not become hot. */
const COVERED_KEPT = 8;
/** Other blocks are worth translating with a hot one if they were entered at least once for so many times that it was. */
const SELDOM = 32;
/** Stands for the entries of a block that is part of a region: more than are ever left. */
export const WAS_HOT = 2 ** 31;
/** Code that is rewritten while it is hot has to be entered twice as often each time, up to so many doublings, before it is translated again. */
export const MAX_PATIENCE = 4;

/** `dense`: not yet hot, but part of a loop that takes most of the time. */
export type Heat = 'cold' | 'dense' | 'hot';

export class BlockCounts {
  readonly #view: DataView;
  readonly #firstLook: number;
  readonly #retired: () => number;

  /** `kept`: there may be regions of earlier runs. `retired`: instructions so far. */
  constructor(memory: WebAssembly.Memory, kept: boolean, retired: () => number) {
    this.#view = new DataView(memory.buffer);
    this.#firstLook = kept ? FIRST_LOOK_KEPT : FIRST_LOOK;
    this.#retired = retired;
  }

  #set(record: number, left: number, whole: number): void {
    this.#view.setUint32(record + COUNT_AT.left, left, true);
    this.#view.setUint32(record + COUNT_AT.whole, whole, true);
  }
  #whole(record: number): number {
    return this.#view.getUint32(record + COUNT_AT.whole, true);
  }

  /** A block of a frame was decoded that no region has. */
  begin(record: number, frame: number, patience: number): void {
    const entries = this.#firstLook << patience;
    this.#set(record, entries, entries);
    this.#view.setUint32(record + COUNT_AT.frame, frame, true);
  }
  /** How hot the block is that a record starts, which was entered as often as it counts; it counts on from there, or again if it is hot. */
  heat(record: number, patience: number): Heat {
    const entered = this.#whole(record);
    const hot = HOT_ENTRIES << patience;
    if (entered >= hot) {
      this.restart(record, patience);
      return 'hot';
    }
    const next = Math.min(entered * NEXT_LOOK, hot);
    this.#set(record, next - entered, next);
    return this.#isDense(record, entered, patience) ? 'dense' : 'cold';
  }
  /** A block that was entered so often is looked at. */
  #isDense(record: number, entered: number, patience: number): boolean {
    const now = this.#retired() >>> 0;
    const passed = (now - this.#view.getUint32(record + COUNT_AT.looked, true)) >>> 0;
    this.#view.setUint32(record + COUNT_AT.looked, now, true);
    const since = entered - entered / NEXT_LOOK;
    return entered >= DENSE_ENTRIES << patience && passed <= since * DENSE_INSTRUCTIONS;
  }
  /** Counts the entries of a block that is part of a region from the start again: few of them pass that by. */
  cool(record: number, patience: number, kept: boolean): void {
    this.#set(record, ((kept ? COVERED_KEPT : COVERED) * HOT_ENTRIES) << patience, WAS_HOT);
  }
  /** The block is no region any more, or not yet. */
  restart(record: number, patience: number): void {
    this.#set(record, HOT_ENTRIES << patience, WAS_HOT);
  }

  /** How often the block was entered, as far as that is known. */
  entered(record: number): number {
    return this.#whole(record) - this.#view.getUint32(record + COUNT_AT.left, true);
  }
  /** How often other blocks are to have been entered that are translated with the hot one that a record starts. */
  leastBeside(record: number): number {
    return Math.min(this.entered(record), HOT_ENTRIES) / SELDOM;
  }
  frame(record: number): number {
    return this.#view.getUint32(record + COUNT_AT.frame, true);
  }
  /** The physical address of the block. */
  place(record: number): number {
    return this.frame(record) * PAGE_SIZE + this.#view.getUint16(record + RECORD_AT.offset, true);
  }
}
