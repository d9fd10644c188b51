/** The bytes of an instruction, in order. */

/** An instruction with more bytes is none. */
export const MAX_LENGTH = 15;

class Truncated extends Error {}
/** Thrown where the bytes end inside the instruction. */
export const TRUNCATED = new Truncated();

/** Reads an instruction's bytes in order. */
export class InstructionReader {
  at = 0;
  start = 0;
  /** Behind the last byte that may be read. */
  end = 0;
  bytes: Uint8Array = new Uint8Array();

  open(bytes: Uint8Array, start: number): void {
    this.bytes = bytes;
    this.at = start;
    this.start = start;
    this.end = Math.min(start + MAX_LENGTH, bytes.length);
  }
  get length(): number {
    return this.at - this.start;
  }
  u8(): number {
    if (this.at >= this.end) throw TRUNCATED;
    return this.bytes[this.at++];
  }
  u16(): number {
    return this.u8() | (this.u8() << 8);
  }
  u32(): number {
    return (this.u16() | (this.u16() << 16)) >>> 0;
  }
  s8(): number {
    return (this.u8() << 24) >> 24;
  }
  s16(): number {
    return (this.u16() << 16) >> 16;
  }
  s32(): number {
    return this.u16() | (this.u16() << 16);
  }
  u64(): bigint {
    return BigInt(this.u32()) | (BigInt(this.u32()) << 32n);
  }
}
