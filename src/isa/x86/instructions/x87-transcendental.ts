/** x87 remainders, scaling and transcendental functions (SDM vol. 1 §5.2.2, §5.2.4, §8.3.7–10). */
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { x87Extract, x87Remainder, x87Scale } from '../procedures/x87-remainder.ts';
import { computing } from './x87-common.ts';

const REMAINDERS = [
  ...instruction({ name: 'FPREM', rows: ['D9 F8'], semantics: remainder(0) }),
  ...instruction({ name: 'FPREM1', rows: ['D9 F5'], semantics: remainder(1) }),
  ...instruction({
    name: 'FSCALE',
    rows: ['D9 FD'],
    semantics: computing((x) => {
      x.call(x87Scale);
    }),
  }),
  ...instruction({
    name: 'FXTRACT',
    rows: ['D9 F4'],
    semantics: computing((x) => {
      x.call(x87Extract);
    }),
  }),
];

function remainder(toNearest: 0 | 1): Semantics {
  return computing((x) => {
    x.call(x87Remainder, x.const('i32', toNearest));
  });
}

export const X87_TRANSCENDENTAL: readonly Encoding[] = [...REMAINDERS];
