/** IEEE 754 arithmetic on fractions of BigInt: an oracle of few lines for rounding. */

export interface FloatFormat {
  readonly bits: number;
  /** Bits of the significand, the implied one included. */
  readonly precision: number;
}
export const F32: FloatFormat = { bits: 32, precision: 24 };
export const F64: FloatFormat = { bits: 64, precision: 53 };

/** As the RC field of MXCSR has them. */
export const ROUNDING = ['nearest', 'down', 'up', 'zero'] as const;
export type Rounding = (typeof ROUNDING)[number];

/** numerator / denominator, which is positive. */
export interface Fraction {
  readonly n: bigint;
  readonly d: bigint;
}

const fractionBits = (f: FloatFormat): bigint => BigInt(f.precision - 1);
const maxField = (f: FloatFormat): bigint => (1n << BigInt(f.bits - f.precision)) - 1n;
/** The exponent of the least significant bit of denormals. */
const lowest = (f: FloatFormat): bigint => 2n - (1n << BigInt(f.bits - f.precision - 1)) - fractionBits(f);
const magnitude = (v: bigint): bigint => (v < 0n ? -v : v);

/** The value of finite bits. */
export function fractionOf(bits: bigint, f: FloatFormat): Fraction {
  const field = (bits >> fractionBits(f)) & maxField(f);
  const below = bits & ((1n << fractionBits(f)) - 1n);
  const significand = field === 0n ? below : below | (1n << fractionBits(f));
  const exponent = lowest(f) + (field === 0n ? 0n : field - 1n);
  const n = bits >> BigInt(f.bits - 1) ? -significand : significand;
  return exponent < 0n ? { n, d: 1n << -exponent } : { n: n << exponent, d: 1n };
}
export const isFiniteBits = (bits: bigint, f: FloatFormat): boolean =>
  ((bits >> fractionBits(f)) & maxField(f)) !== maxField(f);

const log2 = (v: bigint): bigint => BigInt(v.toString(2).length - 1);

function roundsUp(quotient: bigint, twiceRest: bigint, d: bigint, negative: boolean, rounding: Rounding): boolean {
  if (twiceRest === 0n) return false;
  if (rounding === 'nearest') return twiceRest > d || (twiceRest === d && (quotient & 1n) === 1n);
  return rounding === (negative ? 'down' : 'up');
}

/** Rounds a fraction other than 0; results: bits and whether they are inexact. Infinities and the largest numbers as overflow asks. */
export function round({ n, d }: Fraction, f: FloatFormat, rounding: Rounding): { bits: bigint; inexact: boolean } {
  const negative = n < 0n;
  const sign = negative ? 1n << BigInt(f.bits - 1) : 0n;
  const size = magnitude(n);
  let exponent = log2(size) - log2(d) - fractionBits(f) - 1n;
  const scaled = (e: bigint): bigint => (e < 0n ? (size << -e) / d : size / (d << e));
  // So far as much as one bit too long.
  while (scaled(exponent) >= 1n << BigInt(f.precision)) exponent += 1n;
  if (exponent < lowest(f)) exponent = lowest(f);
  const [top, bottom] = exponent < 0n ? [size << -exponent, d] : [size, d << exponent];
  const quotient = top / bottom;
  const rest = top - quotient * bottom;
  const significand = quotient + (roundsUp(quotient, 2n * rest, bottom, negative, rounding) ? 1n : 0n);
  // A carry out of the significand moves the exponent by itself.
  const field = (exponent - lowest(f)) << fractionBits(f);
  const bits = significand < 1n << fractionBits(f) ? significand : field + significand;
  const infinity = maxField(f) << fractionBits(f);
  if (bits < infinity) return { bits: sign | bits, inexact: rest !== 0n };
  const isInfinite = rounding === 'nearest' || rounding === (negative ? 'down' : 'up');
  return { bits: sign | (isInfinite ? infinity : infinity - 1n), inexact: true };
}
