/** Writes WebAssembly binaries (WebAssembly Core Specification, chapter 5). */

export type WasmType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export const TYPE_CODE: Readonly<Record<WasmType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Opcodes by their names in the specification. */
export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  return_call_indirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  select_typed: 0x1c,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  global_get: 0x23,
  i32_load: 0x28,
  i64_load: 0x29,
  f32_load: 0x2a,
  f64_load: 0x2b,
  i32_load8_u: 0x2d,
  i32_load16_u: 0x2f,
  i32_store: 0x36,
  i64_store: 0x37,
  i32_store8: 0x3a,
  i32_store16: 0x3b,
  i32_const: 0x41,
  i64_const: 0x42,
  f32_const: 0x43,
  f64_const: 0x44,
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_le_s: 0x4c,
  i32_le_u: 0x4d,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_ge_s: 0x59,
  i64_ge_u: 0x5a,
  i64_le_s: 0x57,
  i64_le_u: 0x58,
  f32_eq: 0x5b,
  f32_lt: 0x5d,
  f32_le: 0x5f,
  f64_eq: 0x61,
  f64_lt: 0x63,
  f64_le: 0x65,
  i32_clz: 0x67,
  i32_ctz: 0x68,
  i32_popcnt: 0x69,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_div_s: 0x6d,
  i32_div_u: 0x6e,
  i32_rem_s: 0x6f,
  i32_rem_u: 0x70,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_s: 0x75,
  i32_shr_u: 0x76,
  i32_rotl: 0x77,
  i32_rotr: 0x78,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_popcnt: 0x7b,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_div_s: 0x7f,
  i64_div_u: 0x80,
  i64_rem_s: 0x81,
  i64_rem_u: 0x82,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  i64_rotl: 0x89,
  i64_rotr: 0x8a,
  f32_ceil: 0x8d,
  f32_floor: 0x8e,
  f32_trunc: 0x8f,
  f32_nearest: 0x90,
  f32_sqrt: 0x91,
  f32_add: 0x92,
  f32_sub: 0x93,
  f32_mul: 0x94,
  f32_div: 0x95,
  f64_ceil: 0x9b,
  f64_floor: 0x9c,
  f64_trunc: 0x9d,
  f64_nearest: 0x9e,
  f64_sqrt: 0x9f,
  f64_add: 0xa0,
  f64_sub: 0xa1,
  f64_mul: 0xa2,
  f64_div: 0xa3,
  i32_wrap_i64: 0xa7,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  f32_convert_i32_s: 0xb2,
  f32_convert_i64_s: 0xb4,
  f32_demote_f64: 0xb6,
  f64_convert_i32_s: 0xb7,
  f64_convert_i64_s: 0xb9,
  f64_promote_f32: 0xbb,
  i32_reinterpret_f32: 0xbc,
  i64_reinterpret_f64: 0xbd,
  f32_reinterpret_i32: 0xbe,
  f64_reinterpret_i64: 0xbf,
  i32_extend8_s: 0xc0,
  i32_extend16_s: 0xc1,
} as const;

/** Opcodes behind the prefix FC. */
export const OP_FC = {
  i32_trunc_sat_f32_s: 0,
  i32_trunc_sat_f64_s: 2,
  i64_trunc_sat_f32_s: 4,
  i64_trunc_sat_f64_s: 6,
  memory_copy: 10,
  memory_fill: 11,
} as const;

/** The type of a block without parameters and results. */
export const BLOCK_EMPTY = 0x40;

/**
 * Whether branches of a function's body are likely taken (proposal "branch hinting", section metadata.code.branch_hint): their places
 * doubled, plus 1 where they are.
 */
type BranchHints = readonly number[];
const hintsOf = new WeakMap<Uint8Array, BranchHints>();
export const hintsIn = (body: Uint8Array): BranchHints => hintsOf.get(body) ?? [];

/** More than an instruction with two numbers takes. */
const MOST_BYTES = 16;

/** A growing byte buffer with LEB128 numbers. */
export class ByteWriter {
  #bytes: Uint8Array;
  length = 0;
  readonly #hints: number[] = [];

  /** `size`: bytes that it will likely hold. */
  constructor(size = 256) {
    this.#bytes = new Uint8Array(size);
  }

  /** The `if` that is written next is likely taken, or hardly ever. */
  hint(likely: boolean): void {
    this.#hints.push(2 * this.length + (likely ? 1 : 0));
  }
  /** What another buffer holds, with its hints. */
  append(other: ByteWriter): void {
    for (const hint of other.#hints) this.#hints.push(2 * this.length + hint);
    this.bytes(other.view());
  }
  /** The body of a function, with its hints. */
  body(): Uint8Array {
    const body = this.view();
    hintsOf.set(body, this.#hints);
    return body;
  }

  #grow(n: number): void {
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + n));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
  byte(b: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = b;
  }

  // Instructions are written at once, not byte by byte: a region has a hundred thousand bytes, and this code is cold at first.

  /** An instruction with an index: of a local, a label, a function. */
  indexed(op: number, index: number): void {
    let at = this.length;
    if (at + MOST_BYTES > this.#bytes.length) this.#grow(MOST_BYTES);
    const bytes = this.#bytes;
    bytes[at++] = op;
    let rest = index;
    for (; rest >= 128; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest;
    this.length = at;
  }
  get(local: number): void {
    this.indexed(OP.local_get, local);
  }
  set(local: number): void {
    this.indexed(OP.local_set, local);
  }
  tee(local: number): void {
    this.indexed(OP.local_tee, local);
  }
  /** The begin of a block, a loop or an `if` with a type. */
  open(op: number, type = BLOCK_EMPTY): void {
    this.indexed(op, type);
  }
  /** A load or store at the address on the stack plus `offset`; unaligned. */
  memory(op: number, offset: number): void {
    let at = this.length;
    if (at + MOST_BYTES > this.#bytes.length) this.#grow(MOST_BYTES);
    const bytes = this.#bytes;
    bytes[at++] = op;
    bytes[at++] = 0;
    let rest = offset >>> 0;
    for (; rest >= 128; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest;
    this.length = at;
  }
  i32(n: number): void {
    this.#constant(OP.i32_const, n | 0);
  }
  i64(n: bigint | number): void {
    const small = typeof n === 'number' ? n : Number(BigInt.asIntN(64, n));
    if (small === (small | 0)) {
      this.#constant(OP.i64_const, small);
      return;
    }
    this.byte(OP.i64_const);
    this.s64(n);
  }
  #constant(op: number, n: number): void {
    let at = this.length;
    if (at + MOST_BYTES > this.#bytes.length) this.#grow(MOST_BYTES);
    const bytes = this.#bytes;
    bytes[at++] = op;
    let rest = n;
    for (; rest < -64 || rest > 63; rest >>= 7) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest & 127;
    this.length = at;
  }

  /** With operands on the stack: to, from, bytes. */
  memoryCopy(): void {
    this.byte(0xfc);
    this.u32(OP_FC.memory_copy);
    this.byte(0);
    this.byte(0);
  }
  /** With operands on the stack: to, value, bytes. */
  memoryFill(): void {
    this.byte(0xfc);
    this.u32(OP_FC.memory_fill);
    this.byte(0);
  }
  bytes(source: Uint8Array): void {
    if (this.length + source.length > this.#bytes.length) this.#grow(source.length);
    this.#bytes.set(source, this.length);
    this.length += source.length;
  }
  u32(n: number): void {
    let rest = n >>> 0;
    for (; rest >= 128; rest >>>= 7) this.byte((rest & 127) | 128);
    this.byte(rest);
  }
  s32(n: number): void {
    let rest = n | 0;
    for (; rest < -64 || rest > 63; rest >>= 7) this.byte((rest & 127) | 128);
    this.byte(rest & 127);
  }
  s64(n: bigint | number): void {
    const small = typeof n === 'number' ? n : Number(BigInt.asIntN(64, n));
    if (small === (small | 0)) {
      this.s32(small);
      return;
    }
    let rest = BigInt.asIntN(64, BigInt(n));
    for (;;) {
      const b = Number(rest & 127n);
      rest >>= 7n;
      if ((rest === 0n && (b & 64) === 0) || (rest === -1n && (b & 64) !== 0)) {
        this.byte(b);
        return;
      }
      this.byte(b | 128);
    }
  }
  name(text: string): void {
    this.u32(text.length);
    if (this.length + text.length > this.#bytes.length) this.#grow(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.length++] = text.charCodeAt(i);
  }
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}
