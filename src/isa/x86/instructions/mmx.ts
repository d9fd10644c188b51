/** The MMX instructions that have no XMM form of the same kind (SDM vol. 1 §5.4, §5.6.3). */
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { FTOP, FTW } from '../state.ts';
import { enterMmx, requireMmx, setMmx } from './mmx-common.ts';
import { requireSse, zeroExtended } from './sse-common.ts';
import { maskedStore } from './sse-move.ts';
import { inBothHalves } from './sse-packed.ts';

const load: Semantics = (x, dst, src) => {
  requireMmx(x);
  setMmx(x, dst, x.zext(src.get(), 'i64'));
};
const store: Semantics = (x, dst, src) => {
  requireMmx(x);
  dst.set(src.get());
  enterMmx(x);
};

const MOVES = [
  ...instruction({ name: 'MOVD', rows: ['NP 0F 6E /r | Pq,Ed'], semantics: load }),
  ...instruction({
    name: 'MOVQ',
    rows: ['NP 0F 6E /r | Pq,Eq | w1', 'NP 0F 6F /r | Pq,Qq', 'NP 0F 7F /r | Nq,Pq'],
    semantics: load,
  }),
  ...instruction({ name: 'MOVD', rows: ['NP 0F 7E /r | Ed,Pd'], semantics: store }),
  ...instruction({ name: 'MOVQ', rows: ['NP 0F 7E /r | Eq,Pq | w1', 'NP 0F 7F /r | Mq,Pq'], semantics: store }),
  ...instruction({ name: 'MOVNTQ', rows: ['NP 0F E7 /r | Mq,Pq'], semantics: store }),
];

const MASKMOVQ = instruction({
  name: 'MASKMOVQ',
  rows: ['NP 0F F7 /r | Pq,Nq'],
  semantics: (x, data, mask) => {
    requireMmx(x);
    const bits = x.and(x.op('i8x16.bitmask', [inBothHalves(x, mask.get())]), 0xff);
    maskedStore(x, 8, data.get(), bits);
    enterMmx(x);
  },
});

/** Between the register files: rules of both. */
const BETWEEN = [
  ...instruction({
    name: 'MOVQ2DQ',
    rows: ['F3 0F D6 /r | Vx,Nq'],
    semantics: (x, dst, src) => {
      requireSse(x);
      requireMmx(x);
      dst.set(zeroExtended(x, src.get()));
      enterMmx(x);
    },
  }),
  ...instruction({
    name: 'MOVDQ2Q',
    rows: ['F2 0F D6 /r | Pq,Uq'],
    semantics: (x, dst, src) => {
      requireSse(x);
      requireMmx(x);
      setMmx(x, dst, src.get());
    },
  }),
];

const EMMS = instruction({
  name: 'EMMS',
  rows: ['NP 0F 77'],
  semantics: (x) => {
    requireMmx(x);
    x.set(FTOP, 0);
    x.set(FTW, 0);
  },
});

export const MMX: readonly Encoding[] = [...MOVES, ...MASKMOVQ, ...BETWEEN, ...EMMS];
