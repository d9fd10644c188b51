/** Packing, unpacking and shuffling of vectors (SDM vol. 1 §5.4.2, §5.5.1.5, §5.6.1.5, §5.6.3, §5.7). */
import type { Value } from '../../ir/types.ts';
import { type Compute, type Encoding, instruction, type Semantics } from '../definition.ts';
import type { X86Builder } from '../x86-builder.ts';
import { requireMmx, setMmx } from './mmx-common.ts';
import { alignedGet, immediate8, lanes, requireSse } from './sse-common.ts';
import { half, inBothHalves, joinHalves, type PackedOptions, type PackedRow, packed, vectorOp } from './sse-packed.ts';
import { IDENTITY_BYTES, shiftBytesLeft, shiftBytesRight } from './sse-shift.ts';

const JOINED: PackedOptions = { mmx: 'joined' };
const LOW_MMX: PackedOptions = { mmxSource: 'Qd' };
const HIGH_MMX: PackedOptions = { mmx: 'high' };
const XMM_ONLY: PackedOptions = { mmx: 'none' };

/** The lanes of one half of `a` and of `b` in turn. */
const interleave =
  (width: 8 | 16 | 32 | 64, which: 'low' | 'high'): Compute =>
  (x, a, b) => {
    const bytes = width / 8;
    const first = which === 'low' ? 0 : 8;
    const indices = Array.from({ length: 16 }, (_, i) => {
      const lane = Math.floor(i / bytes);
      return (lane & 1 ? 16 : 0) + first + (lane >> 1) * bytes + (i % bytes);
    });
    return x.op('i8x16.shuffle', [a, b], indices);
  };

/** Bit 7 of an index gives zero, its low four bits the byte. */
const shuffleBytes: Compute = (x, a, b) =>
  x.op('i8x16.swizzle', [a, x.op('v128.and', [b, lanes(x, 8, Array(16).fill(0x8f))])]);

const PACKED_ROWS: readonly PackedRow[] = [
  ['PUNPCKLBW', '0F 60', interleave(8, 'low'), LOW_MMX],
  ['PUNPCKLWD', '0F 61', interleave(16, 'low'), LOW_MMX],
  ['PUNPCKLDQ', '0F 62', interleave(32, 'low'), LOW_MMX],
  ['PUNPCKLQDQ', '0F 6C', interleave(64, 'low'), XMM_ONLY],
  ['PUNPCKHBW', '0F 68', interleave(8, 'high'), HIGH_MMX],
  ['PUNPCKHWD', '0F 69', interleave(16, 'high'), HIGH_MMX],
  ['PUNPCKHDQ', '0F 6A', interleave(32, 'high'), HIGH_MMX],
  ['PUNPCKHQDQ', '0F 6D', interleave(64, 'high'), XMM_ONLY],
  ['PACKSSWB', '0F 63', vectorOp('i8x16.narrow_i16x8_s'), JOINED],
  ['PACKUSWB', '0F 67', vectorOp('i8x16.narrow_i16x8_u'), JOINED],
  ['PACKSSDW', '0F 6B', vectorOp('i16x8.narrow_i32x4_s'), JOINED],
  ['PACKUSDW', '0F 38 2B', vectorOp('i16x8.narrow_i32x4_u'), { mmx: 'none' }],
  ['PSHUFB', '0F 38 00', shuffleBytes],
];

const xmmBinary =
  (compute: Compute): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const source = alignedGet(x, src);
    dst.set(compute(x, dst.get(), source));
  };

const UNPACK = (
  [
    ['UNPCKLPS', 'NP 0F 14', interleave(32, 'low')],
    ['UNPCKLPD', '66 0F 14', interleave(64, 'low')],
    ['UNPCKHPS', 'NP 0F 15', interleave(32, 'high')],
    ['UNPCKHPD', '66 0F 15', interleave(64, 'high')],
  ] as const
).flatMap(([name, opcode, compute]) =>
  instruction({ name, rows: [`${opcode} /r | Vx,Wx`], semantics: xmmBinary(compute) }),
);

// --- shuffles by immediate ----------------------------------------------------------------------------------------------------------

/** The four 2-bit selectors of `order` (`i32`) in the low four bytes of a vector. */
function selectors(x: X86Builder, order: Value): Value {
  const spread = x.or(x.or(order, x.shl(order, 6)), x.or(x.shl(order, 12), x.shl(order, 18)));
  return x.op('i32x4.splat', [x.and(spread, 0x03030303)]);
}

/** Byte indices that take 32-bit lanes by the selectors of `order`. */
function dwordIndices(x: X86Builder, order: Value): Value {
  const chosen = selectors(x, order);
  const repeated = x.op('i8x16.shuffle', [chosen, chosen], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
  const scaled = x.op('i32x4.shl', [repeated, x.const('i32', 2)]);
  return x.op('v128.or', [scaled, lanes(x, 32, Array(4).fill(0x03020100))]);
}

/** Byte indices that take four 16-bit lanes of the half that starts at byte `first`, for both halves of the result. */
function wordIndices(x: X86Builder, order: Value, first: 0 | 8): Value {
  const chosen = selectors(x, order);
  const repeated = x.op('i8x16.shuffle', [chosen, chosen], [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1, 2, 2, 3, 3]);
  const scaled = x.op('i16x8.shl', [repeated, x.const('i32', 1)]);
  return x.op('v128.or', [scaled, lanes(x, 16, Array(8).fill(0x0100 + first * 0x0101))]);
}

const LOW_OF_FIRST_HIGH_OF_SECOND = [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31];
const HIGH_OF_FIRST_LOW_OF_SECOND = [16, 17, 18, 19, 20, 21, 22, 23, 8, 9, 10, 11, 12, 13, 14, 15];

const shuffleInto =
  (compute: (x: X86Builder, source: Value, order: Value) => Value): Semantics =>
  (x, dst, src, order) => {
    requireSse(x);
    dst.set(compute(x, alignedGet(x, src), immediate8(x, order)));
  };

const PSHUFD = instruction({
  name: 'PSHUFD',
  rows: ['66 0F 70 /r | Vx,Wx,Ib'],
  semantics: shuffleInto((x, source, order) => x.op('i8x16.swizzle', [source, dwordIndices(x, order)])),
});
const PSHUFLW = instruction({
  name: 'PSHUFLW',
  rows: ['F2 0F 70 /r | Vx,Wx,Ib'],
  semantics: shuffleInto((x, source, order) => {
    const shuffled = x.op('i8x16.swizzle', [source, wordIndices(x, order, 0)]);
    return x.op('i8x16.shuffle', [shuffled, source], LOW_OF_FIRST_HIGH_OF_SECOND);
  }),
});
const PSHUFHW = instruction({
  name: 'PSHUFHW',
  rows: ['F3 0F 70 /r | Vx,Wx,Ib'],
  semantics: shuffleInto((x, source, order) => {
    const shuffled = x.op('i8x16.swizzle', [source, wordIndices(x, order, 8)]);
    return x.op('i8x16.shuffle', [shuffled, source], HIGH_OF_FIRST_LOW_OF_SECOND);
  }),
});
const PSHUFW = instruction({
  name: 'PSHUFW',
  rows: ['NP 0F 70 /r | Pq,Qq,Ib'],
  semantics: (x, dst, src, order) => {
    requireMmx(x);
    const source = inBothHalves(x, src.get());
    const shuffled = x.op('i8x16.swizzle', [source, wordIndices(x, immediate8(x, order), 0)]);
    setMmx(x, dst, half(x, shuffled, 'low'));
  },
});

/** The upper half in both halves. */
const upperHalf = (x: X86Builder, v: Value): Value => interleave(64, 'high')(x, v, v);

/** Two lanes of the destination, then two of the source. */
const SHUFPS = instruction({
  name: 'SHUFPS',
  rows: ['NP 0F C6 /r | Vx,Wx,Ib'],
  semantics: (x, dst, src, order) => {
    requireSse(x);
    const source = alignedGet(x, src);
    const indices = dwordIndices(x, immediate8(x, order));
    const low = x.op('i8x16.swizzle', [dst.get(), indices]);
    const high = x.op('i8x16.swizzle', [source, indices]);
    dst.set(x.op('i8x16.shuffle', [low, high], LOW_OF_FIRST_HIGH_OF_SECOND));
  },
});
const SHUFPD = instruction({
  name: 'SHUFPD',
  rows: ['66 0F C6 /r | Vx,Wx,Ib'],
  semantics: (x, dst, src, order) => {
    requireSse(x);
    const source = alignedGet(x, src);
    const target = dst.get();
    const choice = immediate8(x, order);
    const [low, high] = [target, source].map((v, i) => x.select(x.bit(choice, i), upperHalf(x, v), v));
    dst.set(interleave(64, 'low')(x, low, high));
  },
});

const PALIGNR = instruction({
  name: 'PALIGNR',
  rows: ['66 0F 3A 0F /r | Vx,Wx,Ib'],
  semantics: (x, dst, src, count) => {
    requireSse(x);
    const source = alignedGet(x, src);
    const by = immediate8(x, count);
    // Beyond 16 only bytes of the destination are left.
    const within = x.ltU(by, 16);
    const low = shiftBytesRight(x, x.select(within, source, dst.get()), x.select(within, by, x.sub(by, 16)));
    const high = x.select(within, shiftBytesLeft(x, dst.get(), x.sub(x.const('i32', 16), by)), x.const('i128', 0));
    dst.set(x.op('v128.or', [low, high]));
  },
});
const PALIGNR_MMX = instruction({
  name: 'PALIGNR',
  rows: ['NP 0F 3A 0F /r | Pq,Qq,Ib'],
  semantics: (x, dst, src, count) => {
    requireMmx(x);
    const both = joinHalves(x, src.get(), dst.get());
    setMmx(x, dst, half(x, shiftBytesRight(x, both, immediate8(x, count)), 'low'));
  },
});

/** The bytes of the second argument's 32-bit lane `block` in every lane. */
function broadcastDword(x: X86Builder, vector: Value, block: Value): Value {
  const first = x.op('i8x16.splat', [x.trunc(x.shl(block, 2), 'i8')]);
  const within = lanes(
    x,
    8,
    IDENTITY_BYTES.map((i) => i & 3),
  );
  return x.op('i8x16.swizzle', [vector, x.op('i8x16.add', [first, within])]);
}

/** Eight sums of four differences: windows of the destination against one block of the source. */
const MPSADBW = instruction({
  name: 'MPSADBW',
  rows: ['66 0F 3A 42 /r | Vx,Wx,Ib'],
  semantics: (x, dst, src, control) => {
    requireSse(x);
    const source = alignedGet(x, src);
    const choice = immediate8(x, control);
    const windows = shiftBytesRight(x, dst.get(), x.and(choice, 4));
    const block = broadcastDword(x, source, x.and(choice, 3));
    const zero = x.const('i128', 0);
    const differences = [0, 1, 2, 3].map((k) => {
      const window = x.op(
        'i8x16.shuffle',
        [windows, zero],
        IDENTITY_BYTES.map((i) => (i & 1 ? 16 : (i >> 1) + k)),
      );
      const byte = x.op(
        'i8x16.shuffle',
        [block, zero],
        IDENTITY_BYTES.map((i) => (i & 1 ? 16 : k)),
      );
      return x.op('i16x8.abs', [x.op('i16x8.sub', [window, byte])]);
    });
    dst.set(differences.reduce((sum, difference) => x.op('i16x8.add', [sum, difference])));
  },
});

export const SSE_SHUFFLE: readonly Encoding[] = [
  ...packed(PACKED_ROWS),
  ...UNPACK,
  ...PSHUFD,
  ...PSHUFLW,
  ...PSHUFHW,
  ...PSHUFW,
  ...SHUFPS,
  ...SHUFPD,
  ...PALIGNR,
  ...PALIGNR_MMX,
  ...MPSADBW,
];
