/** Where decoded instructions are written: from the start of their memory to its end, then again where nothing is needed any more. */
import { RECORDS_BASE, RECORDS_END } from '../layout.ts';
import { RECORD_SIZE } from './record.ts';

/** The first records are the engine's own. */
const RESERVED_RECORDS = 4;
const START = RECORDS_BASE + RESERVED_RECORDS * RECORD_SIZE;
/** Smaller gaps wait until what is beside them is given back. */
const LEAST_EXTENT = 0x4000;
/** Gathering less than this would soon be followed by the next. */
const ENOUGH = (RECORDS_END - RECORDS_BASE) / 8;

type Extent = readonly [from: number, to: number];

export class RecordRoom {
  /** Where the next record goes. */
  next = START;
  #end = RECORDS_END;
  #extents: Extent[] = [];
  /** Given back, and not yet gathered: from, to, … */
  #freed: number[] = [];

  /** From now on everything is free. */
  reset(): void {
    this.next = START;
    this.#end = RECORDS_END;
    this.#extents = [];
    this.#freed = [];
  }

  /** Makes sure that so many bytes follow `next`; false where nothing is left that was gathered. */
  reserve(bytes: number): boolean {
    while (this.next + bytes > this.#end) {
      const extent = this.#extents.pop();
      if (extent === undefined) return false;
      this.free([this.next, this.#end]);
      [this.next, this.#end] = extent;
    }
    return true;
  }

  /** Gives runs of records back: from, to, … Something may lead to them until they are gathered. */
  free(runs: readonly number[]): void {
    for (let i = 0; i < runs.length; i += 2) {
      const last = this.#freed.length - 1;
      if (this.#freed[last] === runs[i]) this.#freed[last] = runs[i + 1];
      else if (runs[i] < runs[i + 1]) this.#freed.push(runs[i], runs[i + 1]);
    }
  }

  /** Takes what was given back into use; nothing may lead there. False where that is too little. */
  gather(): boolean {
    const joined = joinedRuns(this.#freed);
    const isLarge = ([from, to]: Extent): boolean => to - from >= LEAST_EXTENT;
    this.#extents = joined.filter(isLarge);
    this.#freed = joined.filter((extent) => !isLarge(extent)).flat();
    return this.#extents.reduce((total, [from, to]) => total + to - from, 0) >= ENOUGH;
  }
}

/** Runs in order of their addresses, those that touch joined. */
function joinedRuns(runs: readonly number[]): Extent[] {
  const sorted = Array.from({ length: runs.length / 2 }, (_, i): Extent => [runs[2 * i], runs[2 * i + 1]]);
  sorted.sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = joined.at(-1);
    if (last?.[1] === from) last[1] = to;
    else joined.push([from, to]);
  }
  return joined;
}
