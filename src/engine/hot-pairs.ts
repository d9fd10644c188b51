/** Instructions that often follow one another: an interpreter executes two of them with one dispatch. */
import type { Encoding, Parameters } from '../isa/x86/definition.ts';

/**
 * What may come first, and what behind it: opcode as in the SDM, operand size in 64-bit code, `m` where the operand is in memory. The 160
 * most frequent pairs of what is interpreted in boots of Debian's cloud kernel and of the embedded guest, and in the benchmark's
 * `system-*`, `busybox-*` and `integer-mix`.
 */
const PAIRS: readonly (readonly [first: string, then: string])[] = [
  ['58+r 64', '58+r 64, C3 64, E9 64, 89 /r 64'],
  ['50+r 64', '50+r 64, 89 /r 64, 89 /r 32, 8B /r 64m, 83 /5 64'],
  ['85 /r 64', '74 64, 0F 84 64, 75 64, 0F 85 64'],
  [
    '8B /r 64m',
    '8B /r 64m, 85 /r 64, 89 /r 64, 89 /r 64m, 8D /r 64m, 8B /r 32m, 39 /r 64, A8 32, F6 /0 32, E8 64, B8+r 32, C1 /5 64, 83 /0 64, 89 /r 32, 83 /4 32, 30 /r 32, C7 /0 64m, 01 /r 64',
  ],
  [
    '89 /r 64',
    '89 /r 64, 50+r 64, E8 64, 8B /r 64m, 58+r 64, 83 /4 32, 85 /r 64, C1 /5 64, 89 /r 32, 83 /5 64, 89 /r 64m, 8D /r 64m, 31 /r 32, B8+r 32, C3 64, 83 /0 64, 29 /r 64, 01 /r 64',
  ],
  ['89 /r 64m', '89 /r 64m, 8B /r 64m, 89 /r 64, 8D /r 64m, E8 64, C7 /0 64m, 83 /0 64, 85 /r 64, C3 64'],
  ['8B /r 32m', '85 /r 32, 8B /r 64m, 8B /r 32m, 89 /r 64, 01 /r 32, 31 /r 32, C1 /0 32, 39 /r 32, 89 /r 32m'],
  ['31 /r 32', '31 /r 32, C1 /0 32, C3 64, 01 /r 32, 89 /r 64, B8+r 32, 89 /r 32m, 89 /r 32, EB 64, E8 64, 58+r 64'],
  ['85 /r 32', '74 64, 0F 85 64, 75 64, 0F 84 64, 7F 64'],
  ['01 /r 32', '01 /r 32, 31 /r 32, 89 /r 32, C1 /0 32'],
  ['89 /r 32', '50+r 64, 89 /r 64, 89 /r 32, 83 /4 32, 8D /r 64m, 58+r 64, 8B /r 32m, 85 /r 32, E8 64'],
  ['39 /r 64', '74 64, 75 64, 0F 84 64, 73 64, 72 64, 0F 82 64, 0F 85 64, 0F 47 /r 64'],
  ['C7 /0 64m', 'C7 /0 64m, 89 /r 64m'],
  ['8D /r 64m', '8B /r 64m, 8D /r 64m, 89 /r 64, 89 /r 64m, 39 /r 64, E8 64, 85 /r 64'],
  ['84 /r 32', '74 64, 75 64, 0F 84 64'],
  ['83 /0 64', '58+r 64, 89 /r 64, 39 /r 64, 89 /r 64m'],
  ['C1 /4 64', '01 /r 64, 8D /r 64m'],
  ['C1 /0 32', '31 /r 32, C1 /0 32, 01 /r 32'],
  ['89 /r 32m', '8B /r 32m, E8 64'],
  ['B8+r 32', '89 /r 64, E8 64, 50+r 64'],
  ['F6 /0 32', '75 64, 0F 84 64, 74 64'],
  ['F6 /0 32m', '75 64, 74 64'],
  ['83 /4 32', '83 /7 64, 89 /r 32'],
  ['83 /5 64', '8B /r 64m'],
  ['80 /7 32m', '75 64, 74 64'],
  ['83 /7 64m', '74 64'],
  ['83 /7 64', '75 64, 74 64'],
  ['A8 32', '75 64, 74 64'],
  ['0F 1F /r 32m', '50+r 64'],
  ['80 /7 32', '0F 84 64, 75 64'],
  ['F7 /0 32', '74 64'],
  ['01 /r 64', '8B /r 64m, 39 /r 64'],
  ['0F B6 /r 32m', '84 /r 32, 89 /r 64, 83 /0 64, B8+r 32'],
  ['39 /r 32', '72 64'],
  ['3D 64', '77 64'],
  ['B8+r 64', '8B /r 64m'],
  ['C6 /0 32m', '8B /r 64m'],
  ['83 /7 32', '74 64'],
];

/** Pairs that are named. */
export const PAIR_COUNT = PAIRS.reduce((sum, [, then]) => sum + then.split(', ').length, 0);

/** What PAIRS calls a row; undefined where it has no name for it. */
function nameOf({ row }: Encoding, { operandSize, long, memory, segmented, rep }: Parameters): string | undefined {
  if (rep !== 'none' || segmented === long) return undefined;
  return `${row.split(' |', 1)[0]} ${operandSize}${memory ? 'm' : ''}`;
}

/** A row with parameters. */
interface Row {
  readonly encoding: Encoding;
  readonly parameters: Parameters;
}

/** Pairs among some rows of one mode, by their places among them. */
export function hotPairs(rows: readonly Row[], long: boolean): readonly (readonly [first: number, second: number])[] {
  const inMode = (name: string): string => (long ? name : name.replace('64', '32'));
  const places = new Map(rows.map(({ encoding, parameters }, i) => [nameOf(encoding, parameters), i]));
  const pairs = PAIRS.flatMap(([first, then]) =>
    then.split(', ').map((second) => [places.get(inMode(first)), places.get(inMode(second))] as const),
  );
  const known = pairs.filter((pair): pair is readonly [number, number] => !pair.includes(undefined));
  // Names that differ in 64-bit code alone are of one row elsewhere.
  return [...new Map(known.map((pair) => [pair.join(), pair])).values()];
}
