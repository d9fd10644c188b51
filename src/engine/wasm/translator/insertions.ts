/**
 * Writes of FLAG_AUX that leave most of it as it is, as those of rotations: regions keep the new bits, so that the rest need not be made of
 * its recipe.
 */
import type { Statement, Value } from '../../../isa/ir/types.ts';
import { FLAG_AUX } from '../../../isa/x86/state.ts';
import type { StatementMap } from '../statement-map.ts';

/** `into`, as far as `kept` has ones, and `bits`. */
interface Insertion {
  readonly into: Value;
  readonly kept: Value;
  readonly bits: Value;
  readonly rest: Value;
}

export function insertionIn(v: Value): Insertion | undefined {
  if (v.kind !== 'op' || v.op !== 'or') return undefined;
  const [rest, bits] = v.args;
  if (rest.kind !== 'op' || rest.op !== 'and') return undefined;
  const [into, kept] = rest.args;
  return kept.kind === 'const' && kept.value === BigInt(KEPT) ? { into, kept, bits, rest } : undefined;
}
/** What insertions keep: all but the carries into and out of the highest bit. */
export const KEPT = 0x3fffffff;

export interface Insertions {
  /** The bits that a write of FLAG_AUX puts there. */
  readonly bits: ReadonlyMap<Statement, Value>;
  /** Values that nothing else needs. */
  readonly inner: readonly Value[];
}
const NONE: Insertions = { bits: new Map(), inner: [] };

/** Of a list and of those inside it; `uses` are of all values of their block. */
export function insertionsOf(statements: readonly Statement[], uses: StatementMap<number>): Insertions {
  let found: { bits: Map<Statement, Value>; inner: Value[] } | undefined;
  const find = (list: readonly Statement[]): void => {
    for (let i = 0; i < list.length; i++) {
      const s = list[i];
      if (s.kind === 'if') {
        find(s.consequent);
        find(s.alternate);
      } else if (s.kind === 'loop') find(s.body);
      if (s.kind !== 'set' || s.state !== FLAG_AUX) continue;
      const insertion = insertionIn(s.value);
      if (insertion === undefined) continue;
      const { into, rest, bits } = insertion;
      const parts = [into, rest, s.value];
      if (into.kind !== 'get' || into.state !== FLAG_AUX || parts.some((v) => uses.get(v) !== 1)) continue;
      found ??= { bits: new Map(), inner: [] };
      found.bits.set(s, bits);
      found.inner.push(...parts);
    }
  };
  find(statements);
  return found ?? NONE;
}
