/** Which instructions a processor has: by the CPUID feature flag that offers each (SDM vol. 2, "CPUID feature flag" of each page). */
import type { Encoding } from './definition.ts';
import { CRC } from './instructions/crc.ts';
import { FXSAVE } from './instructions/fxsave.ts';
import { MMX } from './instructions/mmx.ts';
import { SSE_ARITHMETIC } from './instructions/sse-arithmetic.ts';
import { SSE_BLEND } from './instructions/sse-blend.ts';
import { SSE_CACHE } from './instructions/sse-cache.ts';
import { SSE_EXTEND } from './instructions/sse-extend.ts';
import { SSE_FLOAT } from './instructions/sse-float.ts';
import { SSE_LANE } from './instructions/sse-lane.ts';
import { SSE_LOGIC } from './instructions/sse-logic.ts';
import { SSE_MOVE } from './instructions/sse-move.ts';
import { SSE_SHIFT } from './instructions/sse-shift.ts';
import { SSE_SHUFFLE } from './instructions/sse-shuffle.ts';
import { SSE_STRING } from './instructions/sse-string.ts';

/** Families that came together; `SSE` stands for all of SSE to SSE4.2. */
export type Feature =
  | 'SSE' | 'MMX' | 'FXSR' | 'XSAVE' | 'CMOV' | 'SEP' | 'RDTSCP' | 'RDPMC' | 'SMAP' | 'INVPCID' | 'RDRAND' | 'RDSEED'
  | 'POPCNT' | 'CX16' | 'NOPL' | 'MOVBE' | 'UD0' | 'CLFLUSH' | 'PREFETCH' | 'CET'; // biome-ignore format: a table

const FAMILIES: readonly (readonly [Feature, readonly (readonly Encoding[])[]])[] = [
  ['MMX', [MMX]],
  ['FXSR', [FXSAVE]],
  ['PREFETCH', [SSE_CACHE]],
  [
    'SSE',
    [
      CRC,
      SSE_ARITHMETIC,
      SSE_BLEND,
      SSE_EXTEND,
      SSE_FLOAT,
      SSE_LANE,
      SSE_LOGIC,
      SSE_MOVE,
      SSE_SHIFT,
      SSE_SHUFFLE,
      SSE_STRING,
    ],
  ],
];
/** By mnemonic, what has no family. */
const MNEMONICS: readonly (readonly [RegExp, Feature])[] = [
  [/^F?CMOV/, 'CMOV'],
  [/^FU?COMIP?$/, 'CMOV'],
  [/^X(GET|SET)BV$|^XSAVE|^XRSTOR/, 'XSAVE'],
  [/^SYS(ENTER|EXIT)$/, 'SEP'],
  [/^RDTSCP$/, 'RDTSCP'],
  [/^RDPMC$/, 'RDPMC'],
  [/^(CLAC|STAC)$/, 'SMAP'],
  [/^INVPCID$/, 'INVPCID'],
  [/^RDRAND$/, 'RDRAND'],
  [/^RDSEED$/, 'RDSEED'],
  [/^POPCNT$/, 'POPCNT'],
  [/^CMPXCHG16B$/, 'CX16'],
  [/^MOVBE$/, 'MOVBE'],
  [/^UD[01]$/, 'UD0'],
  [/^ENDBR/, 'CET'],
  [/^CLFLUSH/, 'CLFLUSH'],
];

const families = new Map<Encoding, Feature>(
  FAMILIES.flatMap(([feature, lists]) => lists.flatMap((list) => list.map((e) => [e, feature] as const))),
);

/** Undefined for what every processor since the Pentium has. */
export function featureOf(encoding: Encoding): Feature | undefined {
  const { name } = encoding.definition;
  const named = MNEMONICS.find(([pattern]) => pattern.test(name))?.[1];
  if (named !== undefined) return named;
  if (name === 'NOP' && encoding.map === 1) return 'NOPL';
  return families.get(encoding);
}
