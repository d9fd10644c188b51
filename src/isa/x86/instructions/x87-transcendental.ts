/** x87 remainders, scaling and transcendental functions (SDM vol. 1 §5.2.2, §5.2.4, §8.3.7–10). */
import type { Procedure } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { x87Extract, x87Remainder, x87Scale } from '../procedures/x87-remainder.ts';
import {
  x87ArcTangent,
  x87Exponential,
  x87Logarithm,
  x87LogarithmNearOne,
  x87Sine,
  x87SineAndCosine,
  x87Tangent,
} from '../procedures/x87-transcendental.ts';
import { computing } from './x87-common.ts';

/** Second byte of the opcode, what it calls, and with which arguments. */
const ROWS: readonly (readonly [name: string, modrm: string, procedure: Procedure, ...args: number[]])[] = [
  ['F2XM1', 'F0', x87Exponential],
  ['FYL2X', 'F1', x87Logarithm],
  ['FPTAN', 'F2', x87Tangent],
  ['FPATAN', 'F3', x87ArcTangent],
  ['FXTRACT', 'F4', x87Extract],
  ['FPREM1', 'F5', x87Remainder, 1],
  ['FPREM', 'F8', x87Remainder, 0],
  ['FYL2XP1', 'F9', x87LogarithmNearOne],
  ['FSINCOS', 'FB', x87SineAndCosine],
  ['FSCALE', 'FD', x87Scale],
  ['FSIN', 'FE', x87Sine, 0],
  ['FCOS', 'FF', x87Sine, 1],
];

export const X87_TRANSCENDENTAL: readonly Encoding[] = ROWS.flatMap(([name, modrm, procedure, ...args]) =>
  instruction({
    name,
    rows: [`D9 ${modrm}`],
    semantics: computing((x) => {
      x.call(procedure, ...args.map((a) => x.const('i32', a)));
    }),
  }),
);
