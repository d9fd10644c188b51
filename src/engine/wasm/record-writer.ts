/** Writes records of decoded instructions into linear memory, as words of the host, which like WebAssembly has the lowest byte first. */
import type { Decoded } from '../../isa/x86/decoder.ts';
import { IP_BASE_AT } from '../../isa/x86/state.ts';
import { RECORD_AT, RECORD_SIZE } from './record.ts';

const [LENGTH_SHIFT, INDEX_SHIFT] = [8 * RECORD_AT.length, 8 * RECORD_AT.index];

export class RecordWriter {
  readonly #view: DataView;
  readonly #words: Uint32Array;
  /** Instructions written so far. */
  instructions = 0;

  constructor(memory: WebAssembly.Memory) {
    this.#view = new DataView(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
  }

  /** A record that is no instruction: `index` instructions of its block come before it, the last ends at `offset` of the page. */
  header(at: number, handler: number, index: number, offset: number): void {
    const words = this.#words;
    const first = at >> 2;
    words[first] = handler | (index << INDEX_SHIFT);
    words[first + 1] = offset;
    for (let i = first + 2; i < first + RECORD_SIZE / 4; i++) words[i] = 0;
  }

  /** The instruction at `offset` of its page, which `index` instructions of its block come before. */
  instruction(at: number, { fields, parameters }: Decoded, handler: number, index: number, offset: number): void {
    const words = this.#words;
    const first = at >> 2;
    words[first] = handler | (fields.length << LENGTH_SHIFT) | (index << INDEX_SHIFT);
    words[first + 1] = offset | (fields.segment << 16);
    words[first + 2] = fields.reg | (fields.rm << 16);
    words[first + 3] = fields.index | (fields.scale << 16);
    if (fields.immediate !== 0n) this.#view.setBigInt64(at + RECORD_AT.immediate, fields.immediate, true);
    else words[first + 4] = words[first + 5] = 0;
    // Relative to the start of the code page, which IP_BASE holds.
    const relative = parameters.memory && fields.rm === IP_BASE_AT ? offset + fields.length : 0;
    words[first + 6] = fields.displacement + relative;
    words[first + 7] = 0;
    this.instructions++;
  }
}
