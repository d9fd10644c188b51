/** Reads WebAssembly binaries (WebAssembly Core Specification, §5.2). */

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  get done(): boolean {
    return this.at >= this.#bytes.length;
  }
  byte(): number {
    return this.#view.getUint8(this.at++);
  }
  bytes(length: number): Uint8Array {
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const b = this.byte();
      value |= (b & 127) << shift;
      if (b < 128) return value >>> 0;
    }
  }
  signed(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const b = this.byte();
      value |= BigInt(b & 127) << shift;
      if (b < 128) return (b & 64) !== 0 ? value - (1n << (shift + 7n)) : value;
    }
  }
  /** A floating-point number as the text format writes it. */
  float(bytes: 4 | 8): string {
    const at = this.at;
    this.at += bytes;
    const value = bytes === 4 ? this.#view.getFloat32(at, true) : this.#view.getFloat64(at, true);
    const sign = this.#view.getInt8(this.at - 1) < 0 ? '-' : '';
    if (!Number.isNaN(value)) return sign + String(Math.abs(value)).replace('Infinity', 'inf');
    const bits = bytes === 4 ? BigInt(this.#view.getUint32(at, true)) : this.#view.getBigUint64(at, true);
    return `${sign}nan:0x${BigInt.asUintN(bytes === 4 ? 23 : 52, bits).toString(16)}`;
  }
  /** A fixed-width word. */
  word(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }
  /** `each` once for each element of a vector. */
  vector<T>(each: () => T): T[] {
    return Array.from({ length: this.u32() }, each);
  }
  name(): string {
    return String.fromCharCode(...this.bytes(this.u32()));
  }
}
