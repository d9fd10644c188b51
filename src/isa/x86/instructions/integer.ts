/** The general-purpose instructions. */
import type { Encoding } from '../definition.ts';
import { ARITHMETIC } from './arithmetic.ts';

export const INTEGER: readonly Encoding[] = [...ARITHMETIC];
