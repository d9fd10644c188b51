/** Which procedures only compute: they touch neither state nor memory, so that a call whose results nobody needs can be left out. */
import { walk } from './builder.ts';
import type { External, Procedure, Statement } from './types.ts';

const known = new Map<Procedure, boolean>();

export function isPure(target: Procedure | External): boolean {
  if (target.kind === 'external' || target.mayFault) return false;
  const before = known.get(target);
  if (before !== undefined) return before;
  // One that calls itself is not worth the question.
  known.set(target, false);
  const pure = [...walk(target.body())].every(computes);
  known.set(target, pure);
  return pure;
}

function computes(s: Statement): boolean {
  switch (s.kind) {
    case 'const':
    case 'op':
    case 'parameter':
    case 'result':
    case 'readVariable':
    case 'writeVariable':
    case 'if':
    case 'loop':
    case 'break':
    case 'return':
      return true;
    case 'call':
      return isPure(s.target);
    default:
      return false;
  }
}
