/** Finds readers that go through the disk in order, and how far ahead of them to fetch. */

interface Stream {
  /** The block behind the last one read. */
  next: number;
  /** The first block not asked for yet. */
  end: number;
  /** Blocks to be ahead; twice as many each time. */
  window: number;
}

const STREAMS = 8;

export class ReadAhead {
  readonly #longest: number;
  /** The one used last at the end. */
  readonly #streams: Stream[] = [];

  /** At most `longest` blocks ahead. */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** Blocks from `first` to `last` are read: which ones behind them to fetch now. */
  note(first: number, last: number): { readonly first: number; readonly end: number } {
    const at = this.#streams.findIndex(({ next }) => next === first || next === first + 1);
    const [stream] = at < 0 ? [undefined] : this.#streams.splice(at, 1);
    if (stream === undefined) {
      this.#streams.push({ next: last + 1, end: last + 1, window: 1 });
      if (this.#streams.length > STREAMS) this.#streams.shift();
      return { first: last + 1, end: last + 1 };
    }
    this.#streams.push(stream);
    // The same block again: small reads go through a block in pieces.
    const advanced = last >= stream.next;
    stream.next = Math.max(stream.next, last + 1);
    const start = Math.max(stream.end, stream.next);
    if (!advanced || start - stream.next > stream.window / 2) return { first: start, end: start };
    stream.end = stream.next + stream.window;
    stream.window = Math.min(this.#longest, stream.window * 2);
    return { first: start, end: stream.end };
  }
}
