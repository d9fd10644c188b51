/** PMOVSX* and PMOVZX*: narrow lanes to wider ones (SDM vol. 1 §5.10.8). */
import type { Value } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import type { X86Builder } from '../x86-builder.ts';
import { requireSse, zeroExtended } from './sse-common.ts';

const SHAPES = ['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const;

/** Suffix, last digit of the opcode, shapes by their number in `SHAPES`, what the source holds. */
const FORMS = [
  ['BW', 0, 0, 1, 'Wq'],
  ['BD', 1, 0, 2, 'Wd'],
  ['BQ', 2, 0, 3, 'Ww'],
  ['WD', 3, 1, 2, 'Wq'],
  ['WQ', 4, 1, 3, 'Wd'],
  ['DQ', 5, 2, 3, 'Wq'],
] as const;

/** Doubles the width of the low lanes until they have the shape `to`. */
function extendLanes(x: X86Builder, value: Value, from: number, to: number, sign: 's' | 'u'): Value {
  let result = value;
  for (let i = from; i < to; i++) result = x.op(`${SHAPES[i + 1]}.extend_low_${SHAPES[i]}_${sign}`, [result]);
  return result;
}

export const SSE_EXTEND: readonly Encoding[] = (
  [
    ['PMOVSX', '2', 's'],
    ['PMOVZX', '3', 'u'],
  ] as const
).flatMap(([name, opcode, sign]) =>
  FORMS.flatMap(([suffix, digit, from, to, source]) =>
    instruction({
      name: `${name}${suffix}`,
      rows: [`66 0F 38 ${opcode}${digit} /r | Vx,${source}`],
      semantics: (x, dst, src) => {
        requireSse(x);
        dst.set(extendLanes(x, zeroExtended(x, src.get()), from, to, sign));
      },
    }),
  ),
);
