/** The general-purpose and system instructions. */
import type { Encoding } from '../definition.ts';
import { ARITHMETIC } from './arithmetic.ts';
import { BIT } from './bit.ts';
import { CONTROL } from './control.ts';
import { DATA_TRANSFER } from './data-transfer.ts';
import { DECIMAL } from './decimal.ts';
import { FLAG } from './flag.ts';
import { SEGMENT_INSTRUCTIONS } from './segment.ts';
import { SHIFT } from './shift.ts';
import { STRING } from './string.ts';
import { SYSTEM } from './system.ts';

export const INTEGER: readonly Encoding[] = [
  ...ARITHMETIC,
  ...BIT,
  ...CONTROL,
  ...DATA_TRANSFER,
  ...DECIMAL,
  ...FLAG,
  ...SEGMENT_INSTRUCTIONS,
  ...SHIFT,
  ...STRING,
  ...SYSTEM,
];
