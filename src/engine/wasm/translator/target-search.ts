/** Where computed jumps go that a region knows: a table of their targets, or bisection where those lie far from each other. */
import { type ByteWriter, OP } from '../encoder.ts';

/** Widest range of targets that gets a table. */
const WIDEST_TABLE = 4096;

/** Goes to the label that has the number of the target whose distance from the first is in a local, or behind all; `offsets` ascend. */
export function branchToTarget(code: ByteWriter, distance: number, offsets: readonly number[]): void {
  const size = offsets[offsets.length - 1] - offsets[0] + 1;
  if (size <= WIDEST_TABLE) branchByTable(code, distance, offsets, size);
  else new Search(code, distance, offsets).branch(0, offsets.length, 0);
}

function branchByTable(code: ByteWriter, distance: number, offsets: readonly number[], size: number): void {
  code.get(distance);
  code.i64(size);
  code.byte(OP.i64_ge_u);
  code.indexed(OP.br_if, offsets.length);
  code.get(distance);
  code.byte(OP.i32_wrap_i64);
  code.indexed(OP.br_table, size);
  let target = 0;
  for (let i = 0; i < size; i++) code.u32(i === offsets[target] - offsets[0] ? target++ : offsets.length);
  code.u32(offsets.length);
}

class Search {
  readonly #code: ByteWriter;
  readonly #distance: number;
  readonly #offsets: readonly number[];

  constructor(code: ByteWriter, distance: number, offsets: readonly number[]) {
    this.#code = code;
    this.#distance = distance;
    this.#offsets = offsets;
  }

  /** Among the targets `from` to `to`; `nested`: labels open around it. */
  branch(from: number, to: number, nested: number): void {
    if (to - from === 1) {
      this.#compare(OP.i64_eq, from);
      this.#code.indexed(OP.br_if, from + nested);
      this.#code.indexed(OP.br, this.#offsets.length + nested);
      return;
    }
    const middle = (from + to) >> 1;
    this.#compare(OP.i64_lt_s, middle);
    this.#code.open(OP.if);
    this.branch(from, middle, nested + 1);
    this.#code.byte(OP.else);
    this.branch(middle, to, nested + 1);
    this.#code.byte(OP.end);
  }
  #compare(op: number, i: number): void {
    this.#code.get(this.#distance);
    this.#code.i64(this.#offsets[i] - this.#offsets[0]);
    this.#code.byte(op);
  }
}
