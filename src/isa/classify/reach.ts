/** Which procedures touch nothing but the program's own state, so that the classifier need not walk them. */
import { walk } from '../ir/statements.ts';
import type { Procedure, Statement } from '../ir/types.ts';
import { isSystem } from './environment.ts';

const known = new Map<Procedure, boolean>();

/** Reads or writes state of the system, or memory as the processor itself does, somewhere inside. */
export function touchesSystem(target: Procedure): boolean {
  const found = known.get(target);
  if (found !== undefined) return found;
  // A procedure that calls itself adds nothing by that.
  known.set(target, false);
  const result = [...walk(target.body())].some(isSystemStatement);
  known.set(target, result);
  return result;
}

function isSystemStatement(s: Statement): boolean {
  switch (s.kind) {
    case 'get':
    case 'set':
      return isSystem(s.state.class);
    case 'getAt':
    case 'setAt':
      return isSystem(s.file.class);
    case 'load':
    case 'store':
      return s.access === 'supervisor';
    case 'loadPhysical':
    case 'storePhysical':
    case 'exit':
    case 'jump':
      return true;
    case 'call':
      return s.target.kind === 'external' ? isSystem(s.target.class) : touchesSystem(s.target);
    default:
      return false;
  }
}
