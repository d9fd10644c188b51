/** Floating-point bit patterns where things happen: zeros, ones, limits, denormals, infinities, NaNs, and numbers near each other. */
import type { Random } from './random.ts';

interface Format {
  readonly exponentBits: number;
  readonly fractionBits: number;
}
const SINGLE: Format = { exponentBits: 8, fractionBits: 23 };
const DOUBLE: Format = { exponentBits: 11, fractionBits: 52 };

function fraction(random: Random, bits: number): bigint {
  const all = (1n << BigInt(bits)) - 1n;
  switch (random.below(6)) {
    case 0:
      return 0n;
    case 1:
      return all;
    case 2:
      return 1n << BigInt(random.below(bits));
    case 3:
      return 1n;
    case 4:
      // Few significant bits: results are often exact.
      return (random.u64() & 0xfn) << BigInt(bits - 4);
    default:
      return random.u64() & all;
  }
}

function exponent(random: Random, bits: number): bigint {
  const max = 2 ** bits - 1;
  const bias = 2 ** (bits - 1) - 1;
  switch (random.below(8)) {
    case 0:
      return 0n;
    case 1:
      return BigInt(max);
    case 2:
      return BigInt(random.pick([1, 2, max - 1, max - 2]));
    case 3:
      return BigInt(random.below(max + 1));
    default:
      return BigInt(bias + random.below(70) - 35);
  }
}

function number(random: Random, { exponentBits, fractionBits }: Format): bigint {
  const sign = BigInt(random.below(2)) << BigInt(exponentBits + fractionBits);
  return sign | (exponent(random, exponentBits) << BigInt(fractionBits)) | fraction(random, fractionBits);
}

/** 16 bytes of an XMM register, or of memory. */
export function writeVector(random: Random, view: DataView, at: number): void {
  const kind = random.below(4);
  for (let i = 0; i < 16; i += kind === 1 ? 8 : 4) {
    if (kind === 0) view.setUint32(at + i, Number(number(random, SINGLE)), true);
    else if (kind === 1) view.setBigUint64(at + i, number(random, DOUBLE), true);
    else if (kind === 2) view.setUint32(at + i, random.u32(), true);
    else
      view.setUint32(
        at + i,
        random.pick([0, 1, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff, 0x80808080, 0x7f7f7f7f]),
        true,
      );
  }
}

/** 10 bytes in the extended format: mostly normal, also the encodings that no processor makes any more. */
export function writeExtended(random: Random, view: DataView, at: number): void {
  const e = exponent(random, 15);
  const integer = e === 0n ? 0n : 1n;
  const isOdd = random.chance(0.04);
  view.setBigUint64(at, ((integer ^ (isOdd ? 1n : 0n)) << 63n) | fraction(random, 63), true);
  view.setUint16(at + 8, Number(e) | (random.below(2) << 15), true);
}

/** An integer as a number of the extended format, which conversions and FPREM like. */
export function writeInteger(random: Random, view: DataView, at: number): void {
  const value = BigInt.asUintN(64, random.u64() >> BigInt(random.below(64))) | 1n;
  const length = value.toString(2).length;
  view.setBigUint64(at, value << BigInt(64 - length), true);
  view.setUint16(at + 8, (16383 + length - 1) | (random.below(2) << 15), true);
}
