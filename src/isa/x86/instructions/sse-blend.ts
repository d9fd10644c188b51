/** Blending and insertion of lanes (SDM vol. 1 §5.10). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { XMM } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { alignedGet, immediate8, lanes, requireSse } from './sse-common.ts';

const SHAPE = { 16: 'i16x8', 32: 'i32x4', 64: 'i64x2' } as const;

/** A mask whose lane n is all ones where bit n of `bits` (`i32`) is set. */
function laneMask(x: X86Builder, width: 16 | 32 | 64, bits: Value): Value {
  const shape = SHAPE[width];
  const scalar = width === 64 ? x.zext(bits, 'i64') : x.trunc(bits, `i${width}`);
  const each = lanes(
    x,
    width,
    Array.from({ length: 128 / width }, (_, i) => 1 << i),
  );
  return x.op(`${shape}.eq`, [x.op('v128.and', [x.op(`${shape}.splat`, [scalar]), each]), each]);
}

const BY_IMMEDIATE = (
  [
    ['BLENDPS', '0C', 32],
    ['BLENDPD', '0D', 64],
    ['PBLENDW', '0E', 16],
  ] as const
).flatMap(([name, opcode, width]) =>
  instruction({
    name,
    rows: [`66 0F 3A ${opcode} /r | Vx,Wx,Ib`],
    semantics: (x, dst, src, bits) => {
      requireSse(x);
      const source = alignedGet(x, src);
      dst.set(x.op('v128.bitselect', [source, dst.get(), laneMask(x, width, immediate8(x, bits))]));
    },
  }),
);

/** By the top bit of each lane of XMM0. */
const BY_REGISTER = (
  [
    ['PBLENDVB', '10', 'i8x16', 7],
    ['BLENDVPS', '14', 'i32x4', 31],
    ['BLENDVPD', '15', 'i64x2', 63],
  ] as const
).flatMap(([name, opcode, shape, top]) =>
  instruction({
    name,
    rows: [`66 0F 38 ${opcode} /r | Vx,Wx,XMM0`],
    semantics: (x, dst, src, xmm0) => {
      requireSse(x);
      const source = alignedGet(x, src);
      const mask = x.op(`${shape}.shr_s`, [xmm0.get(), x.const('i32', top)]);
      dst.set(x.op('v128.bitselect', [source, dst.get(), mask]));
    },
  }),
);

/** COUNT_S in bits 7:6 chooses the lane of a source register, COUNT_D in 5:4 that of the destination, 3:0 clear lanes. */
const INSERTPS = instruction({
  name: 'INSERTPS',
  rows: ['66 0F 3A 21 /r | Vx,Ux,Ib', '66 0F 3A 21 /r | Vx,Md,Ib'],
  semantics: (x, dst, src, control) => {
    requireSse(x);
    const choice = immediate8(x, control);
    const lane = src.memory ? src.get() : x.getAt(XMM, x.add(src.number(), x.shl(x.shrU(choice, 6), 2)), 'i32');
    const place = laneMask(x, 32, x.shl(x.const('i32', 1), x.and(x.shrU(choice, 4), 3)));
    const inserted = x.op('v128.bitselect', [x.op('i32x4.splat', [lane]), dst.get(), place]);
    dst.set(x.op('v128.andnot', [inserted, laneMask(x, 32, choice)]));
  },
});

export const SSE_BLEND: readonly Encoding[] = [...BY_IMMEDIATE, ...BY_REGISTER, ...INSERTPS];
