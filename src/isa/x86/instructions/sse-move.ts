/** Moves of vectors and of their parts (SDM vol. 1 §5.5.1.1, §5.6.1.1, §5.6.3, §5.7, §5.10.4). */
import type { StateType, Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import type { BoundOperand } from '../operands.ts';
import { XMM } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { alignedGet, alignedSet, requireSse, zeroExtended } from './sse-common.ts';
import { half, inBothHalves } from './sse-packed.ts';

const HIGH_HALF_AT = 8;

const aligned: Semantics = (x, dst, src) => {
  requireSse(x);
  alignedSet(x, dst, alignedGet(x, src));
};
const unaligned: Semantics = (x, dst, src) => {
  requireSse(x);
  dst.set(src.get());
};
/** The rest of the destination register becomes zero. */
const zeroing: Semantics = (x, dst, src) => {
  requireSse(x);
  dst.set(zeroExtended(x, src.get()));
};

const HALF = { low: [0, 1, 2, 3, 4, 5, 6, 7], high: [8, 9, 10, 11, 12, 13, 14, 15] } as const;
const ofSource = (bytes: readonly number[]): number[] => bytes.map((i) => i + 16);
/** Bytes of the destination (0–15) and of the source register (16–31). */
const join =
  (bytes: readonly number[]): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const [target, source] = [dst, src].map((operand) => x.getAt(XMM, operand.number(), 'i128'));
    x.setAt(XMM, dst.number(), x.op('i8x16.shuffle', [target, source], bytes));
  };
const LOW_OF_SOURCE = {
  d: [16, 17, 18, 19, 4, 5, 6, 7, ...HALF.high],
  q: [...ofSource(HALF.low), ...HALF.high],
} as const;

/** Both directions of a move of whole vectors. */
function whole(name: string, prefix: string, load: string, store: string, semantics: Semantics): readonly Encoding[] {
  const rows = [`${prefix} 0F ${load} /r | Vx,Wx`, `${prefix} 0F ${store} /r | Wx,Vx`];
  return instruction({ name, rows, semantics });
}

const WHOLE = [
  ...whole('MOVUPS', 'NP', '10', '11', unaligned),
  ...whole('MOVUPD', '66', '10', '11', unaligned),
  ...whole('MOVAPS', 'NP', '28', '29', aligned),
  ...whole('MOVAPD', '66', '28', '29', aligned),
  ...whole('MOVDQA', '66', '6F', '7F', aligned),
  ...whole('MOVDQU', 'F3', '6F', '7F', unaligned),
  ...instruction({ name: 'LDDQU', rows: ['F2 0F F0 /r | Vx,Mx'], semantics: unaligned }),
];

const STREAMING = [
  ...instruction({ name: 'MOVNTPS', rows: ['NP 0F 2B /r | Mx,Vx'], semantics: aligned }),
  ...instruction({ name: 'MOVNTPD', rows: ['66 0F 2B /r | Mx,Vx'], semantics: aligned }),
  ...instruction({ name: 'MOVNTDQ', rows: ['66 0F E7 /r | Mx,Vx'], semantics: aligned }),
  ...instruction({ name: 'MOVNTDQA', rows: ['66 0F 38 2A /r | Vx,Mx'], semantics: aligned }),
  // General registers: no check of the SSE state (SDM vol. 2, MOVNTI).
  ...instruction({ name: 'MOVNTI', rows: ['NP 0F C3 /r | My,Gy'], semantics: (_x, dst, src) => dst.set(src.get()) }),
];

/** Scalars: a load clears the rest of the register, a move between registers and a store do not. */
const SCALAR = (
  [
    ['MOVSS', 'F3', 'd'],
    ['MOVSD', 'F2', 'q'],
  ] as const
).flatMap(([name, prefix, size]) => [
  ...instruction({ name, rows: [`${prefix} 0F 10 /r | Vx,M${size}`], semantics: zeroing }),
  ...instruction({
    name,
    rows: [`${prefix} 0F 10 /r | V${size},U${size}`, `${prefix} 0F 11 /r | W${size},V${size}`],
    semantics: (x, dst, src) => {
      if (dst.memory) unaligned(x, dst, src);
      else join(LOW_OF_SOURCE[size])(x, dst, src);
    },
  }),
]);

/** MOVD and MOVQ between general registers, memory and vectors. */
const NARROW = [
  ...instruction({ name: 'MOVD', rows: ['66 0F 6E /r | Vx,Ed'], semantics: zeroing }),
  ...instruction({
    name: 'MOVQ',
    rows: ['66 0F 6E /r | Vx,Eq | w1', 'F3 0F 7E /r | Vx,Wq'],
    semantics: zeroing,
  }),
  ...instruction({ name: 'MOVD', rows: ['66 0F 7E /r | Ed,Vd'], semantics: unaligned }),
  ...instruction({
    name: 'MOVQ',
    rows: ['66 0F 7E /r | Eq,Vq | w1', '66 0F D6 /r | Mq,Vq'],
    semantics: unaligned,
  }),
  ...instruction({ name: 'MOVQ', rows: ['66 0F D6 /r | Ux,Vq'], semantics: zeroing }),
];

// --- halves -------------------------------------------------------------------------------------------------------------------------

const setHighHalf = (x: X86Builder, dst: BoundOperand, value: Value): void =>
  x.setAt(XMM, x.add(dst.number(), HIGH_HALF_AT), value);
const getHighHalf = (x: X86Builder, src: BoundOperand, type: StateType = 'i64'): Value =>
  x.getAt(XMM, x.add(src.number(), HIGH_HALF_AT), type);

const HALVES = [
  ...instruction({ name: 'MOVLPS', rows: ['NP 0F 12 /r | Vq,Mq', 'NP 0F 13 /r | Mq,Vq'], semantics: unaligned }),
  ...instruction({ name: 'MOVLPD', rows: ['66 0F 12 /r | Vq,Mq', '66 0F 13 /r | Mq,Vq'], semantics: unaligned }),
  ...(
    [
      ['MOVHPS', 'NP'],
      ['MOVHPD', '66'],
    ] as const
  ).flatMap(([name, prefix]) => [
    ...instruction({
      name,
      rows: [`${prefix} 0F 16 /r | Vx,Mq`],
      semantics: (x, dst, src) => {
        requireSse(x);
        setHighHalf(x, dst, src.get());
      },
    }),
    ...instruction({
      name,
      rows: [`${prefix} 0F 17 /r | Mq,Vx`],
      semantics: (x, dst, src) => {
        requireSse(x);
        dst.set(getHighHalf(x, src));
      },
    }),
  ]),
  ...instruction({
    name: 'MOVHLPS',
    rows: ['NP 0F 12 /r | Vq,Ux'],
    semantics: join([...ofSource(HALF.high), ...HALF.high]),
  }),
  ...instruction({
    name: 'MOVLHPS',
    rows: ['NP 0F 16 /r | Vx,Uq'],
    semantics: join([...HALF.low, ...ofSource(HALF.low)]),
  }),
];

const EVEN_DWORDS = [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11];
const duplicateDwords =
  (indices: readonly number[]): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const source = alignedGet(x, src);
    dst.set(x.op('i8x16.shuffle', [source, source], indices));
  };

const DUPLICATE = [
  ...instruction({
    name: 'MOVDDUP',
    rows: ['F2 0F 12 /r | Vx,Wq'],
    semantics: (x, dst, src) => {
      if (src.memory) {
        requireSse(x);
        dst.set(inBothHalves(x, src.get()));
      } else join([...ofSource(HALF.low), ...ofSource(HALF.low)])(x, dst, src);
    },
  }),
  ...instruction({ name: 'MOVSLDUP', rows: ['F3 0F 12 /r | Vx,Wx'], semantics: duplicateDwords(EVEN_DWORDS) }),
  ...instruction({
    name: 'MOVSHDUP',
    rows: ['F3 0F 16 /r | Vx,Wx'],
    semantics: duplicateDwords(EVEN_DWORDS.map((i) => i + 4)),
  }),
];

// --- byte masks ---------------------------------------------------------------------------------------------------------------------

/**
 * Stores those bytes of `data` at DS:rDI whose bit in `mask` (`i32`) is set; both are vectors or 64 bits. Bytes not selected are neither
 * written nor checked.
 */
export function maskedStore(x: X86Builder, bytes: 8 | 16, data: Value, mask: Value): void {
  const offset = x.maskAddress(x.register(7, 'i64'));
  const low = x.variable(data.type === 'i128' ? half(x, data, 'low') : data);
  const high = x.variable(data.type === 'i128' ? half(x, data, 'high') : x.const('i64', 0));
  const rest = x.variable(mask);
  const at = x.variable(offset);
  x.loop(() => {
    x.breakIf(x.eq(rest.get(), 0));
    x.if(x.bit(rest.get(), 0), () => {
      x.store(x.linear(x.segment(), at.get(), 1, 'write'), x.trunc(low.get(), 'i8'));
    });
    low.set(x.or(x.shrU(low.get(), 8), x.shl(high.get(), 56)));
    if (bytes === 16) high.set(x.shrU(high.get(), 8));
    rest.set(x.shrU(rest.get(), 1));
    at.set(x.maskAddress(x.add(at.get(), 1)));
  });
}

const MASKMOVDQU = instruction({
  name: 'MASKMOVDQU',
  rows: ['66 0F F7 /r | Vx,Ux'],
  semantics: (x, data, mask) => {
    requireSse(x);
    maskedStore(x, 16, data.get(), x.op('i8x16.bitmask', [mask.get()]));
  },
});

export const SSE_MOVE: readonly Encoding[] = [
  ...WHOLE,
  ...STREAMING,
  ...SCALAR,
  ...NARROW,
  ...HALVES,
  ...DUPLICATE,
  ...MASKMOVDQU,
];
