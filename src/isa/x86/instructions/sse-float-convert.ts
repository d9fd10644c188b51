/** Conversions between integers and floating-point numbers in XMM, MMX and general registers (SDM vol. 1 §5.5.1.6, §5.6.1.6, §5.6.2). */
import type { Procedure } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { laneFromInteger, laneToInteger, laneTruncate } from '../procedures/softfloat-sse-convert.ts';
import {
  fromInteger,
  packedFromInteger,
  packedNarrow,
  packedToInteger,
  packedTruncate,
  packedWiden,
  scalarNarrow,
  scalarToInteger,
  scalarTruncate,
  scalarWiden,
} from '../procedures/sse-host-convert.ts';
import { lowFrom } from '../procedures/sse-host-float.ts';
import type { Inlinable } from '../x86-builder.ts';
import { enterMmx, requireMmx, setMmx } from './mmx-common.ts';
import { alignedGet, requireSse } from './sse-common.ts';
import { LaneCalls, readLanes, setWhole, wholeRegister, writeLanes } from './sse-float-common.ts';

type FormatName = 'f32' | 'f64';
const laneTypeOf = (format: FormatName): 'i32' | 'i64' => (format === 'f32' ? 'i32' : 'i64');

/** CVTSI2SS, CVTSI2SD. */
const scalarFromInteger =
  (format: FormatName): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const source = x.sext(src.get(), 'i64');
    // 32 bits fit into binary64.
    if (format === 'f64' && src.type === 'i32') {
      setWhole(x, dst, x.op('f64x2.replace', [wholeRegister(x, dst), x.op('convert.f64', [source])], [0]));
    } else dst.set(x.apply(fromInteger[format], source)[0]);
  };

/** CVTSS2SI and the like: to a general register of 32 or 64 bits. */
const toGeneral =
  (conversion: Readonly<Record<32 | 64, Inlinable>>): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const source = wholeRegister(x, src);
    dst.set(x.apply(conversion[dst.type === 'i64' ? 64 : 32], source)[0]);
  };

const scalarBetween =
  (to: FormatName, conversion: Inlinable): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const [result] = x.apply(conversion, wholeRegister(x, src));
    setWhole(x, dst, lowFrom(x, to, wholeRegister(x, dst), result));
  };

/** Whole vectors, or half a source. */
const packed =
  (conversion: Inlinable): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const source = src.type === 'i128' ? alignedGet(x, src) : wholeRegister(x, src);
    setWhole(x, dst, x.apply(conversion, source)[0]);
  };
/** CVTDQ2PD, which is exact. */
const integersToDoubles: Semantics = (x, dst, src) => {
  requireSse(x);
  dst.set(x.op('f64x2.convert_low_i32x4_s', [wholeRegister(x, src)]));
};

/** CVTPI2PS, CVTPI2PD: from an MMX register, which makes the x87 registers MMX ones, or from memory. */
const fromMmx =
  (format: FormatName): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    // A source in memory leaves the x87 state alone. (The SDM says so of CVTPI2PD only; AMD's processors do it for both.)
    if (!src.memory) requireMmx(x);
    const source = src.get();
    const calls = new LaneCalls(x);
    const results = [0, 32].map((shift) =>
      calls.call(laneFromInteger[format], x.sext(x.trunc(x.shrU(source, shift), 'i32'), 'i64')),
    );
    if (!src.memory) enterMmx(x);
    calls.commit();
    writeLanes(x, dst, results);
  };

/** CVTPS2PI, CVTPD2PI and the truncating ones. */
const toMmx =
  (procedure: Procedure, from: FormatName): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    requireMmx(x);
    const calls = new LaneCalls(x);
    const [low, high] = readLanes(x, src, laneTypeOf(from), 2).map((lane) =>
      calls.call(procedure, lane, x.const('i32', 32)),
    );
    // The x87 state changes even where an exception is raised.
    enterMmx(x);
    calls.commit();
    setMmx(x, dst, x.or(x.zext(x.trunc(low, 'i32'), 'i64'), x.shl(high, 32)));
  };

const ROWS: readonly (readonly [name: string, row: string, semantics: Semantics])[] = [
  ['CVTPI2PS', 'NP 0F 2A /r | Vx,Qq', fromMmx('f32')],
  ['CVTPI2PD', '66 0F 2A /r | Vx,Qq', fromMmx('f64')],
  ['CVTSI2SS', 'F3 0F 2A /r | Vd,Ey', scalarFromInteger('f32')],
  ['CVTSI2SD', 'F2 0F 2A /r | Vq,Ey', scalarFromInteger('f64')],
  ['CVTTPS2PI', 'NP 0F 2C /r | Pq,Wq', toMmx(laneTruncate.f32, 'f32')],
  ['CVTTPD2PI', '66 0F 2C /r | Pq,Wx', toMmx(laneTruncate.f64, 'f64')],
  ['CVTTSS2SI', 'F3 0F 2C /r | Gy,Wd', toGeneral(scalarTruncate.f32)],
  ['CVTTSD2SI', 'F2 0F 2C /r | Gy,Wq', toGeneral(scalarTruncate.f64)],
  ['CVTPS2PI', 'NP 0F 2D /r | Pq,Wq', toMmx(laneToInteger.f32, 'f32')],
  ['CVTPD2PI', '66 0F 2D /r | Pq,Wx', toMmx(laneToInteger.f64, 'f64')],
  ['CVTSS2SI', 'F3 0F 2D /r | Gy,Wd', toGeneral(scalarToInteger.f32)],
  ['CVTSD2SI', 'F2 0F 2D /r | Gy,Wq', toGeneral(scalarToInteger.f64)],
  ['CVTPS2PD', 'NP 0F 5A /r | Vx,Wq', packed(packedWiden)],
  ['CVTPD2PS', '66 0F 5A /r | Vx,Wx', packed(packedNarrow)],
  ['CVTSS2SD', 'F3 0F 5A /r | Vq,Wd', scalarBetween('f64', scalarWiden)],
  ['CVTSD2SS', 'F2 0F 5A /r | Vd,Wq', scalarBetween('f32', scalarNarrow)],
  ['CVTDQ2PS', 'NP 0F 5B /r | Vx,Wx', packed(packedFromInteger)],
  ['CVTPS2DQ', '66 0F 5B /r | Vx,Wx', packed(packedToInteger.f32)],
  ['CVTTPS2DQ', 'F3 0F 5B /r | Vx,Wx', packed(packedTruncate.f32)],
  ['CVTTPD2DQ', '66 0F E6 /r | Vx,Wx', packed(packedTruncate.f64)],
  ['CVTDQ2PD', 'F3 0F E6 /r | Vx,Wq', integersToDoubles],
  ['CVTPD2DQ', 'F2 0F E6 /r | Vx,Wx', packed(packedToInteger.f64)],
];

export const SSE_FLOAT_CONVERT: readonly Encoding[] = ROWS.flatMap(([name, row, semantics]) =>
  instruction({ name, rows: [row], semantics }),
);
