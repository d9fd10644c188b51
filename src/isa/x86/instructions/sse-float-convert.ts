/** Conversions between integers and floating-point numbers in XMM, MMX and general registers (SDM vol. 1 §5.5.1.6, §5.6.1.6, §5.6.2). */
import type { IntegerType, Procedure, Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import {
  lane32To64,
  lane64To32,
  laneFromInteger,
  laneToInteger,
  laneTruncate,
} from '../procedures/softfloat-sse-convert.ts';
import type { X86Builder } from '../x86-builder.ts';
import { enterMmx, requireMmx, setMmx } from './mmx-common.ts';
import { requireSse } from './sse-common.ts';
import { LaneCalls, readLanes, writeLanes } from './sse-float-common.ts';

type FormatName = 'f32' | 'f64';
const laneTypeOf = (format: FormatName): 'i32' | 'i64' => (format === 'f32' ? 'i32' : 'i64');

/** CVTSI2SS, CVTSI2SD. */
const scalarFromInteger =
  (format: FormatName): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const calls = new LaneCalls(x);
    const result = calls.call(laneFromInteger[format], x.sext(src.get(), 'i64'));
    calls.commit();
    dst.set(result);
  };

/** CVTSS2SI and the like: to a general register of 32 or 64 bits. */
const scalarToInteger =
  (procedure: Procedure): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const calls = new LaneCalls(x);
    const width = x.const('i32', dst.type === 'i64' ? 64 : 32);
    const result = calls.call(procedure, src.get(), width);
    calls.commit();
    dst.set(x.trunc(result, dst.type as IntegerType));
  };

const scalarBetween =
  (procedure: Procedure): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const calls = new LaneCalls(x);
    const result = calls.call(procedure, src.get());
    calls.commit();
    dst.set(result);
  };

/** Fills what results leave of the 128 bits with zeros. */
function writeWhole(x: X86Builder, dst: Parameters<typeof writeLanes>[1], results: readonly Value[]): void {
  const type = results[0].type as 'i32' | 'i64';
  const count = type === 'i32' ? 4 : 2;
  writeLanes(x, dst, [...results, ...Array.from({ length: count - results.length }, () => x.const(type, 0))]);
}

/** Lanes of `from` to as many lanes of the destination. */
const packed =
  (from: 'i32' | 'i64', convert: (x: X86Builder, calls: LaneCalls, lane: Value) => Value): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    // A source of half a vector has two lanes.
    const count = src.type === 'i64' || from === 'i64' ? 2 : 4;
    const calls = new LaneCalls(x);
    const results = readLanes(x, src, from, count).map((lane) => convert(x, calls, lane));
    calls.commit();
    writeWhole(x, dst, results);
  };
const packedBetween = (from: 'i32' | 'i64', procedure: Procedure): Semantics =>
  packed(from, (_x, calls, lane) => calls.call(procedure, lane));
const packedFromInteger = (format: FormatName): Semantics =>
  packed('i32', (x, calls, lane) => calls.call(laneFromInteger[format], x.sext(lane, 'i64')));
const packedToInteger = (procedure: Procedure, from: FormatName): Semantics =>
  packed(laneTypeOf(from), (x, calls, lane) => x.trunc(calls.call(procedure, lane, x.const('i32', 32)), 'i32'));

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

const ROWS: readonly (readonly [name: string, row: string, semantics: Semantics, hot?: boolean])[] = [
  ['CVTPI2PS', 'NP 0F 2A /r | Vx,Qq', fromMmx('f32')],
  ['CVTPI2PD', '66 0F 2A /r | Vx,Qq', fromMmx('f64')],
  ['CVTSI2SS', 'F3 0F 2A /r | Vd,Ey', scalarFromInteger('f32'), true],
  ['CVTSI2SD', 'F2 0F 2A /r | Vq,Ey', scalarFromInteger('f64'), true],
  ['CVTTPS2PI', 'NP 0F 2C /r | Pq,Wq', toMmx(laneTruncate.f32, 'f32')],
  ['CVTTPD2PI', '66 0F 2C /r | Pq,Wx', toMmx(laneTruncate.f64, 'f64')],
  ['CVTTSS2SI', 'F3 0F 2C /r | Gy,Wd', scalarToInteger(laneTruncate.f32), true],
  ['CVTTSD2SI', 'F2 0F 2C /r | Gy,Wq', scalarToInteger(laneTruncate.f64), true],
  ['CVTPS2PI', 'NP 0F 2D /r | Pq,Wq', toMmx(laneToInteger.f32, 'f32')],
  ['CVTPD2PI', '66 0F 2D /r | Pq,Wx', toMmx(laneToInteger.f64, 'f64')],
  ['CVTSS2SI', 'F3 0F 2D /r | Gy,Wd', scalarToInteger(laneToInteger.f32)],
  ['CVTSD2SI', 'F2 0F 2D /r | Gy,Wq', scalarToInteger(laneToInteger.f64)],
  ['CVTPS2PD', 'NP 0F 5A /r | Vx,Wq', packedBetween('i32', lane32To64)],
  ['CVTPD2PS', '66 0F 5A /r | Vx,Wx', packedBetween('i64', lane64To32)],
  ['CVTSS2SD', 'F3 0F 5A /r | Vq,Wd', scalarBetween(lane32To64), true],
  ['CVTSD2SS', 'F2 0F 5A /r | Vd,Wq', scalarBetween(lane64To32), true],
  ['CVTDQ2PS', 'NP 0F 5B /r | Vx,Wx', packedFromInteger('f32')],
  ['CVTPS2DQ', '66 0F 5B /r | Vx,Wx', packedToInteger(laneToInteger.f32, 'f32')],
  ['CVTTPS2DQ', 'F3 0F 5B /r | Vx,Wx', packedToInteger(laneTruncate.f32, 'f32')],
  ['CVTTPD2DQ', '66 0F E6 /r | Vx,Wx', packedToInteger(laneTruncate.f64, 'f64')],
  ['CVTDQ2PD', 'F3 0F E6 /r | Vx,Wq', packedFromInteger('f64')],
  ['CVTPD2DQ', 'F2 0F E6 /r | Vx,Wx', packedToInteger(laneToInteger.f64, 'f64')],
];

export const SSE_FLOAT_CONVERT: readonly Encoding[] = ROWS.flatMap(([name, row, semantics, hot = false]) =>
  instruction({ name, rows: [row], hot, semantics }),
);
