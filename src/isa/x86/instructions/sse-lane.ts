/** Single lanes and sign bits of vectors to and from general registers and memory (SDM vol. 1 §5.4.1, §5.5.1.1, §5.8, §5.10.7). */
import type { IntegerType, Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { type BoundOperand, bytesOf } from '../operands.ts';
import { X87, XMM } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { enterMmx, requireMmx, setMmx } from './mmx-common.ts';
import { immediate8, requireSse } from './sse-common.ts';
import { inBothHalves, isMmx } from './sse-packed.ts';

/** Byte position, in its register file, of the lane of `type` that the low bits of the immediate number. */
function laneAt(x: X86Builder, register: BoundOperand, type: IntegerType, index: BoundOperand): Value {
  const bytes = bytesOf(type);
  const last = (isMmx(register) ? 8 : 16) / bytes - 1;
  return x.add(register.number(), x.mul(x.and(immediate8(x, index), last), bytes));
}

/** To a general register, zero-extended, or to memory of the lane's width. */
const extract =
  (type: IntegerType): Semantics =>
  (x, dst, src, index) => {
    if (isMmx(src)) requireMmx(x);
    else requireSse(x);
    const value = x.getAt(isMmx(src) ? X87 : XMM, laneAt(x, src, type, index), type);
    dst.set(dst.memory ? value : x.zext(value, dst.type as IntegerType));
    if (isMmx(src)) enterMmx(x);
  };

const insert =
  (type: IntegerType): Semantics =>
  (x, dst, src, index) => {
    if (isMmx(dst)) requireMmx(x);
    else requireSse(x);
    const value = x.trunc(src.get(), type);
    const at = laneAt(x, dst, type, index);
    if (isMmx(dst)) setMmx(x, dst, dst.get());
    x.setAt(isMmx(dst) ? X87 : XMM, at, value);
  };

const EXTRACT = [
  ...instruction({
    name: 'PEXTRW',
    rows: [
      'NP 0F C5 /r | Gd,Nq,Ib',
      '66 0F C5 /r | Gd,Ux,Ib',
      '66 0F 3A 15 /r | Rd,Vx,Ib',
      '66 0F 3A 15 /r | Mw,Vx,Ib',
    ],
    semantics: extract('i16'),
  }),
  ...instruction({
    name: 'PEXTRB',
    rows: ['66 0F 3A 14 /r | Rd,Vx,Ib', '66 0F 3A 14 /r | Mb,Vx,Ib'],
    semantics: extract('i8'),
  }),
  ...instruction({ name: 'PEXTRD', rows: ['66 0F 3A 16 /r | Ed,Vx,Ib'], semantics: extract('i32') }),
  ...instruction({ name: 'PEXTRQ', rows: ['66 0F 3A 16 /r | Eq,Vx,Ib | w1'], semantics: extract('i64') }),
  ...instruction({ name: 'EXTRACTPS', rows: ['66 0F 3A 17 /r | Ed,Vx,Ib'], semantics: extract('i32') }),
];

const INSERT = [
  ...instruction({
    name: 'PINSRW',
    rows: ['NP 0F C4 /r | Pq,Rd,Ib', 'NP 0F C4 /r | Pq,Mw,Ib', '66 0F C4 /r | Vx,Rd,Ib', '66 0F C4 /r | Vx,Mw,Ib'],
    semantics: insert('i16'),
  }),
  ...instruction({
    name: 'PINSRB',
    rows: ['66 0F 3A 20 /r | Vx,Rd,Ib', '66 0F 3A 20 /r | Vx,Mb,Ib'],
    semantics: insert('i8'),
  }),
  ...instruction({ name: 'PINSRD', rows: ['66 0F 3A 22 /r | Vx,Ed,Ib'], semantics: insert('i32') }),
  ...instruction({ name: 'PINSRQ', rows: ['66 0F 3A 22 /r | Vx,Eq,Ib | w1'], semantics: insert('i64') }),
];

/** The sign bits of all lanes, zero-extended. */
const signs =
  (shape: string): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    dst.set(x.op(`${shape}.bitmask`, [src.get()]));
  };

const SIGNS = [
  ...instruction({ name: 'MOVMSKPS', rows: ['NP 0F 50 /r | Gd,Ux'], semantics: signs('i32x4') }),
  ...instruction({ name: 'MOVMSKPD', rows: ['66 0F 50 /r | Gd,Ux'], semantics: signs('i64x2') }),
  ...instruction({ name: 'PMOVMSKB', rows: ['66 0F D7 /r | Gd,Ux'], semantics: signs('i8x16') }),
  ...instruction({
    name: 'PMOVMSKB',
    rows: ['NP 0F D7 /r | Gd,Nq'],
    semantics: (x, dst, src) => {
      requireMmx(x);
      dst.set(x.and(x.op('i8x16.bitmask', [inBothHalves(x, src.get())]), 0xff));
      enterMmx(x);
    },
  }),
];

export const SSE_LANE: readonly Encoding[] = [...EXTRACT, ...INSERT, ...SIGNS];
