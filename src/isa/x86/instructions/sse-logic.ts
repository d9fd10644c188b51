/** Bitwise logic on vectors: integer names and floating-point names for the same operations (SDM vol. 1 §5.5.1.4, §5.6.1.4). */
import { type Compute, type Encoding, instruction } from '../definition.ts';
import { alignedGet, requireSse } from './sse-common.ts';
import { packed, vectorOp } from './sse-packed.ts';

const AND = vectorOp('v128.and');
const OR = vectorOp('v128.or');
const XOR = vectorOp('v128.xor');
/** The source without the bits of the destination. */
const AND_NOT: Compute = (x, a, b) => x.op('v128.andnot', [b, a]);

const INTEGER_NAMES = packed([
  ['PAND', '0F DB', AND],
  ['PANDN', '0F DF', AND_NOT],
  ['POR', '0F EB', OR],
  ['PXOR', '0F EF', XOR],
]);

const FLOATING_NAMES = (
  [
    ['AND', '54', AND],
    ['ANDN', '55', AND_NOT],
    ['OR', '56', OR],
    ['XOR', '57', XOR],
  ] as const
).flatMap(([name, opcode, compute]) =>
  (['PS', 'PD'] as const).flatMap((suffix) =>
    instruction({
      name: `${name}${suffix}`,
      rows: [`${suffix === 'PS' ? 'NP' : '66'} 0F ${opcode} /r | Vx,Wx`],
      semantics: (x, dst, src) => {
        requireSse(x);
        const source = alignedGet(x, src);
        dst.set(compute(x, dst.get(), source));
      },
    }),
  ),
);

const PTEST = instruction({
  name: 'PTEST',
  rows: ['66 0F 38 17 /r | Vx,Wx'],
  semantics: (x, a, b) => {
    requireSse(x);
    const source = alignedGet(x, b);
    const clear = x.const('i1', 0);
    const isZero = (op: string) => x.xor(x.op('v128.any_true', [x.op(op, [source, a.get()])]), x.const('i1', 1));
    x.flags.setAll({
      zf: isZero('v128.and'),
      cf: isZero('v128.andnot'),
      of: clear,
      sf: clear,
      af: clear,
      pf: clear,
    });
  },
});

export const SSE_LOGIC: readonly Encoding[] = [...INTEGER_NAMES, ...FLOATING_NAMES, ...PTEST];
