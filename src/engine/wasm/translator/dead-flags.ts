/** Leaves out of a block what it writes to the deferred flags and nobody can see before it is overwritten. */
import { isPure } from '../../../isa/ir/purity.ts';
import { isValue, type Statement } from '../../../isa/ir/types.ts';
import { FLAG_AUX, FLAG_RESULT } from '../../../isa/x86/state.ts';

const FLAGS = [FLAG_AUX.offset, FLAG_RESULT.offset];

/** Ends the block, or may: all registers can be seen from there. */
function isExit(s: Statement): boolean {
  if (s.kind === 'load') return true;
  if (isValue(s)) return false;
  if (s.kind === 'call') return !isPure(s.target);
  return !['set', 'setAt', 'writeVariable', 'storePhysical', 'storeRaw'].includes(s.kind);
}

/** `ends`: where each instruction's statements end; the same for what is returned. */
export function withoutDeadFlags(
  statements: readonly Statement[],
  ends: readonly number[],
): { readonly statements: readonly Statement[]; readonly ends: readonly number[] } {
  const dead = new Set<Statement>();
  /** Flags that are overwritten before they can be seen. */
  const overwritten = new Set<number>();
  for (let i = statements.length - 1; i >= 0; i--) {
    const s = statements[i];
    if (s.kind === 'get') {
      overwritten.delete(s.state.offset);
      // FLAG_AUX may be made of what FLAG_RESULT holds.
      if (s.state.offset === FLAG_AUX.offset) overwritten.delete(FLAG_RESULT.offset);
    } else if (s.kind === 'set' && FLAGS.includes(s.state.offset)) {
      if (overwritten.has(s.state.offset)) dead.add(s);
      overwritten.add(s.state.offset);
    } else if (isExit(s)) overwritten.clear();
  }
  const kept: Statement[] = [];
  const keptEnds: number[] = [];
  let next = 0;
  for (const end of ends) {
    for (; next < end; next++) if (!dead.has(statements[next])) kept.push(statements[next]);
    keptEnds.push(kept.length);
  }
  return { statements: kept, ends: keptEnds };
}
