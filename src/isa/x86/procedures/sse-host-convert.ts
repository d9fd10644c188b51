/** SSE conversions in the manner of `sse-host-float.ts`. */
import type { IrBuilder } from '../../ir/builder.ts';
import type { Procedure, Type, Value } from '../../ir/types.ts';
import { type Inlinable, inlinable, type X86Builder, x86Procedure } from '../x86-builder.ts';
import { lane32To64, lane64To32, laneFromInteger, laneToInteger, laneTruncate } from './softfloat-sse-convert.ts';
import { areSafe, commitLanes, isOrdinary, lanesOf, lowestTwice, unless, withLanes } from './sse-host-float.ts';
import { FLOAT_SHAPE, type FloatFormat, hostMode, INTEGER_SHAPE, LANES, pick } from './sse-ranges.ts';

/** One value to one, with the procedure that does it exactly where that is not certain. */
interface Conversion {
  readonly name: string;
  readonly from: Type;
  readonly to: Type;
  readonly exact: (x: X86Builder, source: Value) => readonly Value[];
  readonly host: (x: X86Builder, source: Value) => { certain: Value; value: Value };
}

/** `exact` gives a result and flags for each lane. */
function conversion({ name, from, to, exact, host }: Conversion): Inlinable {
  const signature = { parameters: [from], results: [to], mayFault: true };
  const exactProcedure = x86Procedure({ name: `${name}.exact`, ...signature }, (x, source) => {
    x.return(...exact(x, source));
  });
  return inlinable({ name, ...signature }, (x, source) => {
    const { certain, value } = host(x, source);
    return [unless(x, certain, value, () => x.call(exactProcedure, source)[0])];
  });
}

const perFormat = (make: (format: FloatFormat) => Inlinable): Readonly<Record<FloatFormat, Inlinable>> => ({
  f32: make('f32'),
  f64: make('f64'),
});
const PRECISION = { f32: 24, f64: 53 } as const;
const asBits = (b: IrBuilder, format: FloatFormat, v: Value): Value =>
  b.op(format === 'f32' ? 'bits.i32' : 'bits.i64', [v]);

/** A signed `i64` to the bits of a number. */
export const fromInteger = perFormat((format) =>
  conversion({
    name: `sse.convert.integer.${format}`,
    from: 'i64',
    to: format === 'f32' ? 'i32' : 'i64',
    exact: (x, source) => commitLanes(x, [x.call(laneFromInteger[format], source)]),
    host: (x, source) => {
      const limit = 1n << BigInt(PRECISION[format]);
      const isExact = x.leU(x.add(source, limit), x.const('i64', limit << 1n));
      return {
        certain: x.or(isExact, hostMode(x)),
        value: asBits(x, format, x.op(`convert.${format}`, [source])),
      };
    },
  }),
);

/** The lowest lane of a vector to a signed integer of `width` bits. */
function toInteger(
  name: string,
  lane: Readonly<Record<FloatFormat, Procedure>>,
  rounding: 'fnearest' | undefined,
): (format: FloatFormat, width: 32 | 64) => Inlinable {
  return (format, width) => {
    const type = width === 32 ? 'i32' : 'i64';
    return conversion({
      name: `sse.${name}.${format}.${width}`,
      from: 'i128',
      to: type,
      exact: (x, source) => {
        const [bits] = lanesOf(x, format, source, 1);
        return commitLanes(x, [x.call(lane[format], bits, x.const('i32', width))]).map((v) => x.trunc(v, type));
      },
      host: (x, source) => {
        const number = x.op(`${FLOAT_SHAPE[format]}.extract`, [source], [0]);
        const value = x.op(`truncate_sat.${type}`, [rounding === undefined ? number : x.op(rounding, [number])]);
        // Neither end of the range, where what is too large ends up.
        const inside = x.leU(x.const(type, 2), x.add(value, (1n << BigInt(width - 1)) + 1n));
        return { certain: x.and(x.and(hostMode(x), inside), x.op('feq', [number, number])), value };
      },
    });
  };
}
const integers = (
  name: string,
  lane: Readonly<Record<FloatFormat, Procedure>>,
  rounding: 'fnearest' | undefined,
): Readonly<Record<FloatFormat, Readonly<Record<32 | 64, Inlinable>>>> => {
  const make = toInteger(name, lane, rounding);
  return {
    f32: { 32: make('f32', 32), 64: make('f32', 64) },
    f64: { 32: make('f64', 32), 64: make('f64', 64) },
  };
};
export const scalarToInteger = integers('toInteger', laneToInteger, 'fnearest');
export const scalarTruncate = integers('truncate', laneTruncate, undefined);

/** The lanes of a vector, results in order from the lowest lane, zeros above. */
const laneByLane =
  (format: FloatFormat, to: FloatFormat, count: number, lane: (x: X86Builder, bits: Value) => readonly Value[]) =>
  (x: X86Builder, source: Value): readonly Value[] => {
    const results = lanesOf(x, format, source, count).map((bits) => lane(x, bits));
    return [withLanes(x, to, x.const('i128', 0), commitLanes(x, results))];
  };

const VECTORS = { from: 'i128', to: 'i128' } as const;
const lowHalfTwice = (b: IrBuilder, v: Value): Value => b.op('i64x2.splat', [b.op('i64x2.extract', [v], [0])]);

/** `count` lanes of binary32 to binary64. */
const widen = (name: string, count: 1 | 2): Conversion => ({
  name,
  ...VECTORS,
  exact: laneByLane('f32', 'f64', count, (x, bits) => x.call(lane32To64, bits)),
  host: (x, source) => ({
    certain: isOrdinary(x, 'f32', count === 1 ? lowestTwice(x, 'f32', source) : lowHalfTwice(x, source)),
    value: x.op('f64x2.promote_low_f32x4', [source]),
  }),
});
/** `count` lanes of binary64 to binary32. */
const narrow = (name: string, count: 1 | 2): Conversion => ({
  name,
  ...VECTORS,
  exact: laneByLane('f64', 'f32', count, (x, bits) => x.call(lane64To32, bits)),
  host: (x, source) => {
    const used = count === 1 ? lowestTwice(x, 'f64', source) : source;
    const value = x.op('f32x4.demote_f64x2_zero', [used]);
    return {
      certain: areSafe(x, [
        ['f64', pick(x, used, used, [1, 3, 1, 3])],
        ['f32', lowHalfTwice(x, value)],
      ]),
      value,
    };
  },
});
/** In their lowest lanes: CVTSS2SD, CVTSD2SS and the packed ones. */
export const scalarWiden = conversion(widen('sse.widen.scalar', 1));
export const scalarNarrow = conversion(narrow('sse.narrow.scalar', 1));
export const packedWiden = conversion(widen('sse.widen.packed', 2));
export const packedNarrow = conversion(narrow('sse.narrow.packed', 2));

/** CVTDQ2PS. */
export const packedFromInteger = conversion({
  name: 'sse.convert.integer.packed',
  ...VECTORS,
  exact: laneByLane('f32', 'f32', 4, (x, bits) => x.call(laneFromInteger.f32, x.sext(bits, 'i64'))),
  host: (x, source) => ({ certain: hostMode(x), value: x.op('f32x4.convert_i32x4_s', [source]) }),
});

/** Magnitudes below these stay inside the range of 32 bits, rounded or not. */
const INTEGER_LIMIT = { f32: 0x4f000000n, f64: 0x41dfffffffc00000n } as const;
const SIGN = { f32: 1n << 31n, f64: 1n << 63n } as const;
const TRUNCATION = { f32: 'i32x4.trunc_sat_f32x4_s', f64: 'i32x4.trunc_sat_f64x2_s_zero' } as const;

function packedInteger(
  name: string,
  format: FloatFormat,
  lane: Readonly<Record<FloatFormat, Procedure>>,
  rounding: 'nearest' | undefined,
): Inlinable {
  const shape = FLOAT_SHAPE[format];
  const splat = (x: X86Builder, bits: bigint): Value =>
    x.op(`${INTEGER_SHAPE[format]}.splat`, [x.const(format === 'f32' ? 'i32' : 'i64', bits)]);
  return conversion({
    name: `sse.${name}.${format}.packed`,
    ...VECTORS,
    exact: laneByLane(format, 'f32', LANES[format], (x, bits) => {
      const [value, flags] = x.call(lane[format], bits, x.const('i32', 32));
      return [x.trunc(value, 'i32'), flags];
    }),
    host: (x, source) => {
      const magnitude = x.op('v128.andnot', [source, splat(x, SIGN[format])]);
      const inside = x.op(`${shape}.lt`, [magnitude, splat(x, INTEGER_LIMIT[format])]);
      const rounded = rounding === undefined ? source : x.op(`${shape}.${rounding}`, [source]);
      return {
        certain: x.and(hostMode(x), x.op(`${INTEGER_SHAPE[format]}.all_true`, [inside])),
        value: x.op(TRUNCATION[format], [rounded]),
      };
    },
  });
}
export const packedToInteger = perFormat((f) => packedInteger('toInteger', f, laneToInteger, 'nearest'));
export const packedTruncate = perFormat((f) => packedInteger('truncate', f, laneTruncate, undefined));
