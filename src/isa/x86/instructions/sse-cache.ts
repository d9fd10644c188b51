/** Prefetches, fences and cache lines: nothing that a program can see but their faults (SDM vol. 1 §5.5.3, §5.6.4). */
import { type Encoding, instruction, type Semantics } from '../definition.ts';

const nothing: Semantics = () => {};

const PREFETCH = [
  ...['PREFETCHNTA', 'PREFETCHT0', 'PREFETCHT1', 'PREFETCHT2'].flatMap((name, i) =>
    instruction({ name, rows: [`0F 18 /${i} | M`], semantics: nothing }),
  ),
  ...instruction({ name: 'PREFETCHW', rows: ['0F 0D /1 | M'], semantics: nothing }),
  // Its other reg fields are reserved and prefetch too, or do nothing.
  ...instruction({
    name: 'PREFETCH',
    rows: [0, 2, 3, 4, 5, 6, 7].map((i) => `0F 0D /${i} | M`),
    semantics: nothing,
  }),
  ...instruction({ name: 'NOP', rows: ['0F 18 /r | Ev', '0F 0D /r | Ev'], semantics: nothing }),
];

/** The register that the last three bits of these would name does not matter. */
const FENCES = (
  [
    ['LFENCE', 0xe8],
    ['MFENCE', 0xf0],
    ['SFENCE', 0xf8],
  ] as const
).flatMap(([name, modrm]) =>
  instruction({
    name,
    rows: Array.from({ length: 8 }, (_, i) => `NP 0F AE ${(modrm + i).toString(16).toUpperCase()}`),
    semantics: nothing,
  }),
);

/** Faults as a load of one byte does (SDM vol. 2, CLFLUSH). */
const CLFLUSH = instruction({
  name: 'CLFLUSH',
  rows: ['NP 0F AE /7 | Mb'],
  semantics: (_x, line) => {
    line.get();
  },
});

export const SSE_CACHE: readonly Encoding[] = [...PREFETCH, ...FENCES, ...CLFLUSH];
