/**
 * Floating-point numbers as IR values: formats, classes, packing and NaN rules (SDM vol. 1 §4.2, §4.8).
 *
 * One representation serves binary32, binary64 and the 80-bit extended format: the extended number itself, as sign and exponent in the
 * low 16 bits of an `i32` and a significand of 64 bits. It holds every number of the narrower formats exactly, their NaNs included.
 */
import { IrBuilder } from '../../ir/builder.ts';
import { procedure } from '../../ir/procedure.ts';
import type { Procedure, Type, Value } from '../../ir/types.ts';

/** Exception flags at their places in MXCSR and the x87 status word; `C1`: rounded away from zero; `SF`: stack fault. */
export const FLOAT_FLAG = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32, SF: 0x40, C1: 0x200 } as const;
/** Found before an operation computes: where such an exception is unmasked there is no result (SDM vol. 1 §4.9.2). */
export const PRE_COMPUTATION = FLOAT_FLAG.IE | FLOAT_FLAG.DE | FLOAT_FLAG.ZE;

/**
 * What an operation needs to know, in one `i32`: MXCSR bits 15:6 (DAZ, exception masks, RC, FTZ) at their places, the precision above
 * them. `denormal`: an operand was denormal in its own format.
 */
export const ENV = {
  denormal: FLOAT_FLAG.DE,
  DAZ: 1 << 6,
  maskShift: 7,
  UM: 1 << 11,
  OM: 1 << 10,
  RC: 3 << 13,
  rcNearest: 0,
  rcDown: 1 << 13,
  rcUp: 2 << 13,
  rcZero: 3 << 13,
  FTZ: 1 << 15,
  /** As the PC field of the x87 control word: 0 24 bits, 2 53, 3 64. */
  precision: 3 << 16,
  precision24: 0,
  precision53: 2 << 16,
  precision64: 3 << 16,
  /** The exponent has the range of binary32 or binary64 (by the precision) too. */
  narrow: 1 << 18,
  /** Two NaNs: the first operand wins, as in SSE; without it the x87 rule. */
  firstNan: 1 << 19,
  subtract: 1 << 20,
  /** A quiet NaN is invalid too (comparisons). */
  signalQuiet: 1 << 21,
  /** PE is not reported (ROUNDSD and the like). */
  noInexact: 1 << 22,
} as const;
/** The bits of MXCSR that an environment takes over. */
export const ENV_FROM_MXCSR = 0xffc0;

export interface Format {
  readonly name: 'f32' | 'f64';
  readonly type: 'i32' | 'i64';
  /** Bits of the significand, the implied one included. */
  readonly precision: number;
  /** Of the smallest normal number, with the bias of the extended format. */
  readonly minExponent: number;
  readonly env: number;
}
export const BINARY32: Format = {
  name: 'f32',
  type: 'i32',
  precision: 24,
  minExponent: 16257,
  env: ENV.narrow | ENV.precision24,
};
export const BINARY64: Format = {
  name: 'f64',
  type: 'i64',
  precision: 53,
  minExponent: 15361,
  env: ENV.narrow | ENV.precision53,
};

export const EXPONENT_BIAS = 16383;
export const EXPONENT_MAX = 0x7fff;
export const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;
/** Sign and exponent of the default NaN, whose significand is `INDEFINITE_SIGNIFICAND`. */
export const INDEFINITE_SE = 0xffff;
export const INDEFINITE_SIGNIFICAND = 0xc000000000000000n;

/** A number in the extended format. */
export interface Extended {
  /** `i32`: sign at bit 15, exponent below. */
  readonly se: Value;
  /** `i64`. */
  readonly significand: Value;
}

/** Bits of a class; 0 is a normal number. */
export const CLASS = { zero: 1, infinity: 2, quietNan: 4, signalingNan: 8, unsupported: 16, denormal: 32 } as const;
export const CLASS_NAN = CLASS.quietNan | CLASS.signalingNan | CLASS.unsupported;

/** A pure procedure on numbers. */
export function floatProcedure(
  name: string,
  parameters: readonly Type[],
  results: readonly Type[],
  build: (b: IrBuilder, ...parameters: Value[]) => void,
): Procedure {
  return procedure(() => new IrBuilder(), { name, parameters, results }, build);
}

/** `condition` ? `bit` : 0, as `i32`; `bit` is one power of two. */
export function flagIf(b: IrBuilder, condition: Value, flags: number): Value {
  return b.select(condition, b.const('i32', flags), 0);
}
export const has = (b: IrBuilder, word: Value, bits: number): Value => b.ne(b.and(word, bits), 0);
export const hasNone = (b: IrBuilder, word: Value, bits: number): Value => b.eq(b.and(word, bits), 0);
export const clz = (b: IrBuilder, v: Value): Value => b.op('clz', [v]);
/** The sign of a number at bit 15. */
export const signOf = (b: IrBuilder, se: Value): Value => b.and(se, 0x8000);
export const exponentOf = (b: IrBuilder, se: Value): Value => b.and(se, EXPONENT_MAX);

/** hi:lo shifted right by n ≥ 0; what falls off is kept as a one in the lowest bit. */
export const shiftRightJam = floatProcedure('shiftRightJam', ['i64', 'i64', 'i32'], ['i64', 'i64'], (b, hi, lo, n) => {
  const count = b.zext(n, 'i64');
  const jam = (v: Value): Value => b.zext(b.ne(v, 0), 'i64');
  b.if(b.eq(n, 0), () => b.return(hi, lo));
  const left = b.sub(b.const('i64', 64), count);
  b.if(b.ltU(n, 64), () => {
    const rest = b.or(b.or(b.shl(hi, left), b.shrU(lo, count)), jam(b.shl(lo, left)));
    b.return(b.shrU(hi, count), rest);
  });
  const none = b.const('i64', 0);
  b.if(b.eq(n, 64), () => b.return(none, b.or(hi, jam(lo))));
  b.if(b.ltU(n, 128), () => b.return(none, b.or(b.shrU(hi, count), jam(b.or(b.shl(hi, left), lo)))));
  b.return(none, jam(b.or(hi, lo)));
});

/** Class, exponent and significand of an extended number; denormals normalised, with exponents down to -62 (SDM vol. 1 table 4-3). */
export const floatClassify = floatProcedure(
  'floatClassify',
  ['i32', 'i64'],
  ['i32', 'i32', 'i64'],
  (b, se, significand) => {
    const exponent = exponentOf(b, se);
    const classed = (bits: number): void => b.return(b.const('i32', bits), exponent, significand);
    b.if(b.eq(exponent, 0), () => {
      b.if(b.eq(significand, 0), () => classed(CLASS.zero));
      const n = clz(b, significand);
      b.return(b.const('i32', CLASS.denormal), b.sub(b.const('i32', 1), b.trunc(n, 'i32')), b.shl(significand, n));
    });
    b.if(b.leS(b.const('i64', 0), significand), () => classed(CLASS.unsupported));
    b.if(b.eq(exponent, EXPONENT_MAX), () => {
      b.if(b.eq(significand, INTEGER_BIT), () => classed(CLASS.infinity));
      const quiet = b.ne(b.and(significand, QUIET_BIT), 0);
      b.return(b.select(quiet, b.const('i32', CLASS.quietNan), CLASS.signalingNan), exponent, significand);
    });
    classed(0);
  },
);

/** Classes of both operands at once: whether one is a NaN or an unsupported encoding decides what comes first. */
export function returnIndefinite(b: IrBuilder, flags: number = FLOAT_FLAG.IE): void {
  b.return(b.const('i32', INDEFINITE_SE), b.const('i64', INDEFINITE_SIGNIFICAND), b.const('i32', flags));
}

/** The result of an operation with a NaN: se, significand, class of both operands, environment (SDM vol. 1 table 4-7). */
export const floatPropagateNan = floatProcedure(
  'floatPropagateNan',
  ['i32', 'i64', 'i32', 'i32', 'i64', 'i32', 'i32'],
  ['i32', 'i64', 'i32'],
  (b, aSe, aSignificand, aClass, bSe, bSignificand, bClass, env) => {
    const either = b.or(aClass, bClass);
    b.if(has(b, either, CLASS.unsupported), () => returnIndefinite(b));
    const aNan = has(b, aClass, CLASS_NAN);
    const bNan = has(b, bClass, CLASS_NAN);
    const flags = flagIf(b, has(b, either, CLASS.signalingNan), FLOAT_FLAG.IE);
    // Two of the same kind: the larger significand, then the positive one. A quiet and a signaling one: the quiet one.
    const larger = b.or(b.ltU(bSignificand, aSignificand), b.and(b.eq(aSignificand, bSignificand), b.ltU(aSe, bSe)));
    const sameKind = b.eq(aClass, bClass);
    const x87 = b.select(sameKind, larger, has(b, aClass, CLASS.quietNan));
    const both = b.select(has(b, env, ENV.firstNan), b.const('i1', 1), x87);
    const takeA = b.and(aNan, b.or(b.eq(bNan, 0), both));
    b.return(b.select(takeA, aSe, bSe), b.or(b.select(takeA, aSignificand, bSignificand), QUIET_BIT), flags);
  },
);

const BITS_32 = { fraction: 23, exponentMax: 0xff } as const;
const BITS_64 = { fraction: 52, exponentMax: 0x7ff } as const;
const layoutOf = (f: Format): { fraction: number; exponentMax: number } => (f.name === 'f32' ? BITS_32 : BITS_64);

/**
 * A narrow number and an environment to an extended number and the environment, which notes a denormal operand. Denormals become zeros
 * with DAZ.
 */
const unpacker = (f: Format): Procedure =>
  floatProcedure(`unpack.${f.name}`, [f.type, 'i32'], ['i32', 'i64', 'i32'], (b, bits, env) => {
    const { fraction, exponentMax } = layoutOf(f);
    const wide = b.zext(bits, 'i64');
    const sign = b.trunc(b.shl(b.shrU(wide, f.type === 'i32' ? 31 : 63), 15), 'i32');
    const exponent = b.and(b.trunc(b.shrU(wide, fraction), 'i32'), exponentMax);
    const below = b.shl(b.and(wide, (1n << BigInt(fraction)) - 1n), 63 - fraction);
    b.if(b.eq(exponent, 0), () => {
      b.if(b.or(b.eq(below, 0), has(b, env, ENV.DAZ)), () => b.return(sign, b.const('i64', 0), env));
      const n = clz(b, below);
      const normalised = b.sub(b.const('i32', f.minExponent), b.trunc(n, 'i32'));
      b.return(b.or(sign, normalised), b.shl(below, n), b.or(env, ENV.denormal));
    });
    const biased = b.select(
      b.eq(exponent, exponentMax),
      b.const('i32', EXPONENT_MAX),
      b.add(exponent, f.minExponent - 1),
    );
    b.return(b.or(sign, biased), b.or(below, INTEGER_BIT), env);
  });
const unpackers = { f32: unpacker(BINARY32), f64: unpacker(BINARY64) };
export const unpackerOf = (f: Format): Procedure => unpackers[f.name];

/** The narrow number that an extended one is, after rounding to the format; a denormal has no integer bit and one exponent less. */
export function packNarrow(b: IrBuilder, f: Format, { se, significand }: Extended): Value {
  const { fraction, exponentMax } = layoutOf(f);
  const exponent = exponentOf(b, se);
  const rebiased = b.select(b.eq(exponent, 0), exponent, b.sub(exponent, f.minExponent - 1));
  const field = b.zext(b.select(b.eq(exponent, EXPONENT_MAX), b.const('i32', exponentMax), rebiased), 'i64');
  const sign = b.shl(b.shrU(b.zext(se, 'i64'), 15), f.type === 'i32' ? 31 : 63);
  const below = b.shrU(b.shl(significand, 1), 64 - fraction);
  return b.trunc(b.or(b.or(sign, b.shl(field, fraction)), below), f.type);
}
