/** Floating point of SSE to SSE4.1: rounding, dot products, MXCSR; with `sse-float-arithmetic.ts` and `sse-float-convert.ts`. */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { LANE } from '../procedures/softfloat-sse.ts';
import { laneRound } from '../procedures/softfloat-sse-convert.ts';
import { MXCSR } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { immediate8, requireSse } from './sse-common.ts';
import { SSE_FLOAT_ARITHMETIC } from './sse-float-arithmetic.ts';
import { commitFlags, LaneCalls, readLanes, writeLanes } from './sse-float-common.ts';
import { SSE_FLOAT_CONVERT } from './sse-float-convert.ts';

type FormatName = 'f32' | 'f64';
const LANE_TYPE = { f32: 'i32', f64: 'i64' } as const;

const round =
  (format: FormatName): Semantics =>
  (x, dst, src, immediate) => {
    requireSse(x);
    const lanes = src.type === 'i128' ? readLanes(x, src, LANE_TYPE[format]) : [src.get()];
    const calls = new LaneCalls(x);
    const control = immediate8(x, immediate);
    const results = lanes.map((lane) => calls.call(laneRound[format], lane, control));
    calls.commit();
    writeLanes(x, dst, results);
  };
const ROUND = (
  [
    ['ROUNDPS', '66 0F 3A 08 /r | Vx,Wx,Ib', 'f32'],
    ['ROUNDPD', '66 0F 3A 09 /r | Vx,Wx,Ib', 'f64'],
    ['ROUNDSS', '66 0F 3A 0A /r | Vd,Wd,Ib', 'f32'],
    ['ROUNDSD', '66 0F 3A 0B /r | Vq,Wq,Ib', 'f64'],
  ] as const
).flatMap(([name, row, format]) => instruction({ name, rows: [row], semantics: round(format) }));

/**
 * The products that immediate bits 7:4 choose, summed pairwise, into the lanes that bits 3:0 choose; other lanes are zero. The products
 * report their exceptions together, then the sums of pairs, then the sum of those.
 */
const dotProduct =
  (format: FormatName): Semantics =>
  (x, dst, src, immediate) => {
    requireSse(x);
    const type = LANE_TYPE[format];
    const right = readLanes(x, src, type);
    const left = readLanes(x, dst, type);
    const control = immediate8(x, immediate);
    let sums = chosenProducts(x, format, left, right, control);
    while (sums.length > 1) sums = sumsOfPairs(x, format, sums);
    const zero = x.const(type, 0);
    writeLanes(
      x,
      dst,
      left.map((_, i) => x.select(x.bit(control, i), sums[0], zero)),
    );
  };

function chosenProducts(
  x: X86Builder,
  format: FormatName,
  left: readonly Value[],
  right: readonly Value[],
  control: Value,
): readonly Value[] {
  const flags = x.variable(x.const('i32', 0));
  const products = left.map((v, i) => {
    const product = x.variable(x.const(LANE_TYPE[format], 0));
    x.if(x.bit(control, 4 + i), () => {
      const [result, more] = x.call(LANE.multiply[format], v, right[i]);
      product.set(result);
      flags.set(x.or(flags.get(), more));
    });
    return product.get();
  });
  commitFlags(x, flags.get());
  return products;
}

function sumsOfPairs(x: X86Builder, format: FormatName, values: readonly Value[]): readonly Value[] {
  const calls = new LaneCalls(x);
  const sums = Array.from({ length: values.length / 2 }, (_, i) =>
    calls.call(LANE.add[format], values[2 * i], values[2 * i + 1]),
  );
  calls.commit();
  return sums;
}

const DOT_PRODUCT = [
  ...instruction({ name: 'DPPS', rows: ['66 0F 3A 40 /r | Vx,Wx,Ib'], semantics: dotProduct('f32') }),
  ...instruction({ name: 'DPPD', rows: ['66 0F 3A 41 /r | Vx,Wx,Ib'], semantics: dotProduct('f64') }),
];

const MXCSR_RESERVED = 0xffff0000;
const CONTROL = [
  ...instruction({
    name: 'LDMXCSR',
    rows: ['NP 0F AE /2 | Md'],
    semantics: (x, src) => {
      requireSse(x);
      const value = src.get();
      x.raiseIf(x.ne(x.and(value, MXCSR_RESERVED), 0), VECTOR.GP, 0);
      x.set(MXCSR, value);
    },
  }),
  ...instruction({
    name: 'STMXCSR',
    rows: ['NP 0F AE /3 | Md'],
    semantics: (x, dst) => {
      requireSse(x);
      dst.set(x.get(MXCSR));
    },
  }),
];

export const SSE_FLOAT: readonly Encoding[] = [
  ...SSE_FLOAT_ARITHMETIC,
  ...SSE_FLOAT_CONVERT,
  ...ROUND,
  ...DOT_PRODUCT,
  ...CONTROL,
];
