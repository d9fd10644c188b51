/** Leaves out of a block what it writes to the deferred flags and nobody can see before it is overwritten. */
import { isPure } from '../../../isa/ir/purity.ts';
import { isValue, type Statement } from '../../../isa/ir/types.ts';
import { FLAG_AUX, FLAG_RESULT } from '../../../isa/x86/state.ts';
import { insertionIn } from './insertions.ts';

/** Ends the block, or may: all registers can be seen from there. */
function isExit(s: Statement): boolean {
  if (isValue(s)) return s.kind === 'load';
  switch (s.kind) {
    case 'set':
    case 'setAt':
    case 'writeVariable':
    case 'storePhysical':
    case 'storeRaw':
      return false;
    case 'call':
      return !isPure(s.target);
    default:
      return true;
  }
}

/** The statements without those writes; where the instructions' statements end is changed to fit. */
export function withoutDeadFlags(
  statements: readonly Statement[],
  instructions: readonly { end: number }[],
): readonly Statement[] {
  const dead: number[] = [];
  // What is overwritten before it can be seen.
  let aux = false;
  let result = false;
  // What only writes that are left out would have read.
  let unread: Statement | undefined;
  for (let i = statements.length - 1; i >= 0; i--) {
    const s = statements[i];
    if (s === unread) continue;
    if (s.kind === 'get' || s.kind === 'set') {
      const { offset } = s.state;
      const isWrite = s.kind === 'set';
      if (offset === FLAG_AUX.offset) {
        if (isWrite && aux) {
          dead.push(i);
          unread = insertionIn(s.value)?.into;
        }
        aux = isWrite;
      } else if (offset === FLAG_RESULT.offset) {
        if (isWrite && result) dead.push(i);
        result = isWrite;
      }
    } else if (isExit(s)) {
      aux = false;
      result = false;
    }
  }
  if (dead.length === 0) return statements;
  const gone = dead.reverse();
  let before = 0;
  for (let n = 0; n < instructions.length; n++) {
    while (before < gone.length && gone[before] < instructions[n].end) before++;
    instructions[n].end -= before;
  }
  let next = 0;
  return statements.filter((_, i) => {
    if (i !== gone[next]) return true;
    next++;
    return false;
  });
}
