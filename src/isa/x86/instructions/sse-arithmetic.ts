/** Packed integer arithmetic of MMX, SSE2, SSSE3 and SSE4 (SDM vol. 1 §5.4.3, §5.6.3, §5.7, §5.10). */
import type { Value } from '../../ir/types.ts';
import type { Compute, Encoding } from '../definition.ts';
import type { X86Builder } from '../x86-builder.ts';
import { lanes } from './sse-common.ts';
import { type PackedOptions, type PackedRow, packed, vectorOp } from './sse-packed.ts';

const XMM_ONLY: PackedOptions = { mmx: 'none' };
const JOINED: PackedOptions = { mmx: 'joined' };

/** The lanes of `width` bits with even or odd numbers, of `a` and then of `b`. */
function everySecond(x: X86Builder, width: 16 | 32, parity: 0 | 1, a: Value, b: Value): Value {
  const bytes = width / 8;
  const indices = Array.from({ length: 16 }, (_, i) => (2 * Math.floor(i / bytes) + parity) * bytes + (i % bytes));
  return x.op('i8x16.shuffle', [a, b], indices);
}

/** PHADD*, PHSUB*: each even lane with its odd neighbour. */
const horizontal =
  (op: string, width: 16 | 32): Compute =>
  (x, a, b) =>
    x.op(op, [everySecond(x, width, 0, a, b), everySecond(x, width, 1, a, b)]);

/** The upper halves of the eight 32-bit products. */
const multiplyHigh =
  (sign: 's' | 'u'): Compute =>
  (x, a, b) =>
    everySecond(
      x,
      16,
      1,
      x.op(`i32x4.extmul_low_i16x8_${sign}`, [a, b]),
      x.op(`i32x4.extmul_high_i16x8_${sign}`, [a, b]),
    );

/** Products of the even 32-bit lanes. */
const multiplyEven =
  (sign: 's' | 'u'): Compute =>
  (x, a, b) =>
    x.op(`i64x2.extmul_low_i32x4_${sign}`, [everySecond(x, 32, 0, a, a), everySecond(x, 32, 0, b, b)]);

/** The one product that WebAssembly saturates, -1 times -1, wraps here. */
const multiplyRound: Compute = (x, a, b) => {
  const least = lanes(x, 16, Array(8).fill(0x8000));
  const both = x.op('v128.and', [x.op('i16x8.eq', [a, least]), x.op('i16x8.eq', [b, least])]);
  return x.op('v128.xor', [x.op('i16x8.q15mulr_sat_s', [a, b]), both]);
};

/** Unsigned bytes of `a` times signed bytes of `b`, neighbours added with saturation. */
const multiplyAddBytes: Compute = (x, a, b) => {
  const eight = x.const('i32', 8);
  const evenA = x.op('v128.and', [a, lanes(x, 16, Array(8).fill(0xff))]);
  const evenB = x.op('i16x8.shr_s', [x.op('i16x8.shl', [b, eight]), eight]);
  const even = x.op('i16x8.mul', [evenA, evenB]);
  const odd = x.op('i16x8.mul', [x.op('i16x8.shr_u', [a, eight]), x.op('i16x8.shr_s', [b, eight])]);
  return x.op('i16x8.add_sat_s', [even, odd]);
};

const sumOfDifferences: Compute = (x, a, b) => {
  const difference = x.op('v128.or', [x.op('i8x16.sub_sat_u', [a, b]), x.op('i8x16.sub_sat_u', [b, a])]);
  const sums = x.op('i32x4.extadd_pairwise_i16x8_u', [x.op('i16x8.extadd_pairwise_i8x16_u', [difference])]);
  const total = x.op('i32x4.add', [sums, x.op('i64x2.shr_u', [sums, x.const('i32', 32)])]);
  return x.op('v128.and', [total, lanes(x, 64, [0xffffffff, 0xffffffff])]);
};

/** `a` negated, cleared or kept by the sign of `b`. */
const sign =
  (shape: string, width: number): Compute =>
  (x, a, b) => {
    const negative = x.op(`${shape}.shr_s`, [b, x.const('i32', width - 1)]);
    const negated = x.op(`${shape}.sub`, [x.op('v128.xor', [a, negative]), negative]);
    return x.op('v128.andnot', [negated, x.op(`${shape}.eq`, [b, x.const('i128', 0)])]);
  };

const absolute =
  (shape: string): Compute =>
  (x, _a, b) =>
    x.op(`${shape}.abs`, [b]);

/** The least of eight words and the number of the first that has it. */
const leastWord: Compute = (x, _a, b) => {
  let least = b;
  for (const distance of [8, 4, 2]) {
    const rotated = x.op(
      'i8x16.shuffle',
      [least, least],
      Array.from({ length: 16 }, (_, i) => (i + distance) % 16),
    );
    least = x.op('i16x8.min_u', [least, rotated]);
  }
  const first = x.op('ctz', [x.op('i16x8.bitmask', [x.op('i16x8.eq', [b, least])])]);
  const word = x.zext(x.op('i16x8.extract', [least], [0]), 'i32');
  return x.op('i32x4.replace', [x.const('i128', 0), x.or(word, x.shl(first, 16))], [0]);
};

const ARITHMETIC_ROWS: readonly PackedRow[] = [
  ['PADDB', '0F FC', vectorOp('i8x16.add')],
  ['PADDW', '0F FD', vectorOp('i16x8.add')],
  ['PADDD', '0F FE', vectorOp('i32x4.add')],
  ['PADDQ', '0F D4', vectorOp('i64x2.add')],
  ['PADDSB', '0F EC', vectorOp('i8x16.add_sat_s')],
  ['PADDSW', '0F ED', vectorOp('i16x8.add_sat_s')],
  ['PADDUSB', '0F DC', vectorOp('i8x16.add_sat_u')],
  ['PADDUSW', '0F DD', vectorOp('i16x8.add_sat_u')],
  ['PSUBB', '0F F8', vectorOp('i8x16.sub')],
  ['PSUBW', '0F F9', vectorOp('i16x8.sub')],
  ['PSUBD', '0F FA', vectorOp('i32x4.sub')],
  ['PSUBQ', '0F FB', vectorOp('i64x2.sub')],
  ['PSUBSB', '0F E8', vectorOp('i8x16.sub_sat_s')],
  ['PSUBSW', '0F E9', vectorOp('i16x8.sub_sat_s')],
  ['PSUBUSB', '0F D8', vectorOp('i8x16.sub_sat_u')],
  ['PSUBUSW', '0F D9', vectorOp('i16x8.sub_sat_u')],
  ['PMULLW', '0F D5', vectorOp('i16x8.mul')],
  ['PMULHW', '0F E5', multiplyHigh('s')],
  ['PMULHUW', '0F E4', multiplyHigh('u')],
  ['PMULUDQ', '0F F4', multiplyEven('u')],
  ['PMADDWD', '0F F5', vectorOp('i32x4.dot_i16x8_s')],
  ['PSADBW', '0F F6', sumOfDifferences],
  ['PAVGB', '0F E0', vectorOp('i8x16.avgr_u')],
  ['PAVGW', '0F E3', vectorOp('i16x8.avgr_u')],
  ['PMINUB', '0F DA', vectorOp('i8x16.min_u')],
  ['PMINSW', '0F EA', vectorOp('i16x8.min_s')],
  ['PMAXUB', '0F DE', vectorOp('i8x16.max_u')],
  ['PMAXSW', '0F EE', vectorOp('i16x8.max_s')],
  ['PHADDW', '0F 38 01', horizontal('i16x8.add', 16), JOINED],
  ['PHADDD', '0F 38 02', horizontal('i32x4.add', 32), JOINED],
  ['PHADDSW', '0F 38 03', horizontal('i16x8.add_sat_s', 16), JOINED],
  ['PMADDUBSW', '0F 38 04', multiplyAddBytes],
  ['PHSUBW', '0F 38 05', horizontal('i16x8.sub', 16), JOINED],
  ['PHSUBD', '0F 38 06', horizontal('i32x4.sub', 32), JOINED],
  ['PHSUBSW', '0F 38 07', horizontal('i16x8.sub_sat_s', 16), JOINED],
  ['PSIGNB', '0F 38 08', sign('i8x16', 8)],
  ['PSIGNW', '0F 38 09', sign('i16x8', 16)],
  ['PSIGND', '0F 38 0A', sign('i32x4', 32)],
  ['PMULHRSW', '0F 38 0B', multiplyRound],
  ['PABSB', '0F 38 1C', absolute('i8x16')],
  ['PABSW', '0F 38 1D', absolute('i16x8')],
  ['PABSD', '0F 38 1E', absolute('i32x4')],
  ['PMULDQ', '0F 38 28', multiplyEven('s'), XMM_ONLY],
  ['PMINSB', '0F 38 38', vectorOp('i8x16.min_s'), XMM_ONLY],
  ['PMINSD', '0F 38 39', vectorOp('i32x4.min_s'), XMM_ONLY],
  ['PMINUW', '0F 38 3A', vectorOp('i16x8.min_u'), XMM_ONLY],
  ['PMINUD', '0F 38 3B', vectorOp('i32x4.min_u'), XMM_ONLY],
  ['PMAXSB', '0F 38 3C', vectorOp('i8x16.max_s'), XMM_ONLY],
  ['PMAXSD', '0F 38 3D', vectorOp('i32x4.max_s'), XMM_ONLY],
  ['PMAXUW', '0F 38 3E', vectorOp('i16x8.max_u'), XMM_ONLY],
  ['PMAXUD', '0F 38 3F', vectorOp('i32x4.max_u'), XMM_ONLY],
  ['PMULLD', '0F 38 40', vectorOp('i32x4.mul'), XMM_ONLY],
  ['PHMINPOSUW', '0F 38 41', leastWord, XMM_ONLY],
];

const COMPARE_ROWS: readonly PackedRow[] = [
  ['PCMPGTB', '0F 64', vectorOp('i8x16.gt_s')],
  ['PCMPGTW', '0F 65', vectorOp('i16x8.gt_s')],
  ['PCMPGTD', '0F 66', vectorOp('i32x4.gt_s')],
  ['PCMPEQB', '0F 74', vectorOp('i8x16.eq')],
  ['PCMPEQW', '0F 75', vectorOp('i16x8.eq')],
  ['PCMPEQD', '0F 76', vectorOp('i32x4.eq')],
  ['PCMPEQQ', '0F 38 29', vectorOp('i64x2.eq'), XMM_ONLY],
  ['PCMPGTQ', '0F 38 37', vectorOp('i64x2.gt_s'), XMM_ONLY],
];

export const SSE_ARITHMETIC: readonly Encoding[] = packed([...ARITHMETIC_ROWS, ...COMPARE_ROWS]);
