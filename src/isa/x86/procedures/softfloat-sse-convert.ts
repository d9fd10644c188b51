/** SSE conversions of one lane, in the manner of `softfloat-sse.ts`. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Value } from '../../ir/types.ts';
import { MXCSR } from '../state.ts';
import { floatConvert, floatFromInteger, floatRoundToIntegral, floatToInteger } from './softfloat-convert.ts';
import { BINARY32, BINARY64, ENV, FLOAT_FLAG, type Format, floatProcedure, packNarrow } from './softfloat-format.ts';
import { isFastMode, isOrdinary, perFormat, sseEnvironment, unpackAll } from './softfloat-sse.ts';

const EXCEPTIONS = 0x3f;
const asFloat = (b: IrBuilder, f: Format, bits: Value): Value => b.op(`float.${f.name}`, [bits]);
const asBits = (b: IrBuilder, f: Format, v: Value): Value => b.op(`bits.${f.type}`, [v]);

/** A signed `i64` to a number: bits and flags. */
export const laneFromInteger = perFormat((f) =>
  floatProcedure(`sse.fromInteger.${f.name}`, ['i64'], [f.type, 'i32'], (b, value) => {
    // So many bits are exact in any case.
    const exactLimit = 1n << BigInt(f.precision);
    const isExact = b.leU(b.add(value, exactLimit), b.const('i64', exactLimit << 1n));
    b.if(b.or(isExact, isFastMode(b)), () => {
      b.return(asBits(b, f, b.op(`convert.${f.name}`, [value])), b.const('i32', 0));
    });
    const [se, significand] = b.call(floatFromInteger, value);
    const [roundedSe, rounded, flags] = b.call(floatConvert, se, significand, sseEnvironment(b, f));
    b.return(packNarrow(b, f, { se: roundedSe, significand: rounded }), b.and(flags, EXCEPTIONS));
  }),
);

/** Bits, the width of the integer and 0 or `ENV.rcZero` for truncation; results: the integer extended to 64 bits, and flags. */
const toIntegerExact = perFormat((f) =>
  floatProcedure(
    `sse.toInteger.${f.name}.exact`,
    [f.type, 'i32', 'i32'],
    ['i64', 'i32'],
    (b, bits, width, rounding) => {
      const { numbers, env } = unpackAll(b, f, [bits], b.or(sseEnvironment(b, f), rounding));
      const [value, flags] = b.call(floatToInteger, ...numbers, env, width);
      b.return(value, b.and(flags, EXCEPTIONS));
    },
  ),
);

/** PM and PE of MXCSR: inexact results change nothing. */
const INEXACT_IGNORED = 0x1020;

function toInteger(
  name: string,
  rounding: number,
  hostOp: string | undefined,
): Readonly<Record<Format['name'], Procedure>> {
  return perFormat((f) =>
    floatProcedure(`sse.${name}.${f.name}`, [f.type, 'i32'], ['i64', 'i32'], (b, bits, width) => {
      const source = asFloat(b, f, bits);
      const rounded = hostOp === undefined ? source : b.op(hostOp, [source]);
      const value = b.op('truncate_sat.i64', [rounded]);
      const spare = b.zext(b.sub(b.const('i32', 64), width), 'i64');
      const fits = b.eq(b.shrS(b.shl(value, spare), spare), value);
      // Saturated values are at the ends of the range.
      const saturated = b.leU(b.add(value, 1n << 63n), b.const('i64', 0));
      const saturatedAbove = b.eq(value, (1n << 63n) - 1n);
      const inRange = b.and(fits, b.eq(b.or(saturated, saturatedAbove), 0));
      const isExact = b.op('feq', [b.op(`convert.${f.name}`, [value]), source]);
      const mxcsr = b.get(MXCSR);
      const ignored = b.eq(b.and(mxcsr, INEXACT_IGNORED), INEXACT_IGNORED);
      const nearest = hostOp === undefined ? b.const('i1', 1) : b.eq(b.and(mxcsr, ENV.RC), ENV.rcNearest);
      const inexactFast = b.and(b.and(ignored, nearest), isOrdinary(b, f, bits));
      b.if(b.and(inRange, b.or(isExact, inexactFast)), () => b.return(value, b.const('i32', 0)));
      b.return(...b.call(toIntegerExact[f.name], bits, width, b.const('i32', rounding)));
    }),
  );
}
/** Bits and the width of the integer (32 or 64); results: the integer extended to 64 bits, and flags. */
export const laneToInteger = toInteger('toInteger', 0, 'fnearest');
export const laneTruncate = toInteger('truncate', ENV.rcZero, undefined);

function between(from: Format, to: Format, hostOp: string, isFast: (b: IrBuilder, bits: Value) => Value): Procedure {
  return floatProcedure(`sse.${from.name}.to.${to.name}`, [from.type], [to.type, 'i32'], (b, bits) => {
    b.if(isFast(b, bits), () => {
      b.return(asBits(b, to, b.op(hostOp, [asFloat(b, from, bits)])), b.const('i32', 0));
    });
    const { numbers, env } = unpackAll(b, from, [bits], sseEnvironment(b, to));
    const [se, significand, flags] = b.call(floatConvert, ...numbers, env);
    b.return(packNarrow(b, to, { se, significand }), b.and(flags, EXCEPTIONS));
  });
}
export const lane32To64 = between(BINARY32, BINARY64, 'promote.f64', (b, bits) => isOrdinary(b, BINARY32, bits));
/** Exponents of binary64 that are well inside the range of binary32, as their upper twelve bits without the sign. */
const NARROWABLE = { first: 1023 - 125, count: 250 } as const;
export const lane64To32 = between(BINARY64, BINARY32, 'demote.f32', (b, bits) => {
  const exponent = b.shrU(b.shl(bits, 1), 53);
  const inside = b.ltU(b.sub(exponent, NARROWABLE.first), b.const('i64', NARROWABLE.count));
  return b.and(inside, isFastMode(b));
});

/** Bits of the immediate of ROUNDPS (SDM vol. 2, ROUNDPD, table 4-23). */
const ROUND = { control: 3, fromMxcsr: 4, noInexact: 8 } as const;
const HOST_ROUNDING = ['fnearest', 'ffloor', 'fceil', 'ftrunc'] as const;

const roundExact = perFormat((f) =>
  floatProcedure(`sse.round.${f.name}.exact`, [f.type, 'i32'], [f.type, 'i32'], (b, bits, rc) => {
    const own = b.or(b.and(sseEnvironment(b, f), ~ENV.RC), rc);
    const { numbers, env } = unpackAll(b, f, [bits], own);
    const [se, significand, flags] = b.call(floatRoundToIntegral, ...numbers, env);
    b.return(packNarrow(b, f, { se, significand }), b.and(flags, FLOAT_FLAG.IE | FLOAT_FLAG.PE));
  }),
);

/** Bits and the immediate of ROUNDPS; results: bits and flags. */
export const laneRound = perFormat((f) =>
  floatProcedure(`sse.round.${f.name}`, [f.type, 'i32'], [f.type, 'i32'], (b, bits, immediate) => {
    const own = b.shl(b.and(immediate, ROUND.control), 13);
    const rc = b.select(b.ne(b.and(immediate, ROUND.fromMxcsr), 0), b.and(b.get(MXCSR), ENV.RC), own);
    const reported = b.select(b.ne(b.and(immediate, ROUND.noInexact), 0), b.const('i32', ~FLOAT_FLAG.PE), -1n);
    b.if(isOrdinary(b, f, bits), () => {
      const source = asFloat(b, f, bits);
      for (const [mode, op] of HOST_ROUNDING.entries()) {
        b.if(b.eq(rc, mode << 13), () => {
          const result = b.op(op, [source]);
          const inexact = b.select(b.op('feq', [result, source]), b.const('i32', 0), FLOAT_FLAG.PE);
          b.return(asBits(b, f, result), b.and(inexact, reported));
        });
      }
    });
    const [result, flags] = b.call(roundExact[f.name], bits, rc);
    b.return(result, b.and(flags, reported));
  }),
);
