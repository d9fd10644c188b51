/** Which procedures only compute: they touch neither state nor memory, so that a call whose results nobody needs can be left out; and which write no memory. */
import { walk } from './statements.ts';
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

const storing = new Map<Procedure, boolean>();

/** It may write memory, or ask the outside for something. */
export function mayStore(target: Procedure | External): boolean {
  if (target.kind === 'external') return true;
  const before = storing.get(target);
  if (before !== undefined) return before;
  // What one that calls itself stores is found in the rest of it.
  storing.set(target, false);
  const stores = storesIn(target.body());
  storing.set(target, stores);
  return stores;
}
const STORES: ReadonlySet<string> = new Set(['store', 'storePhysical', 'storeRaw', 'copyRaw', 'fillRaw']);

/** Whether a body may write to memory. */
export function storesIn(body: readonly Statement[]): boolean {
  return [...walk(body)].some((s) => STORES.has(s.kind) || (s.kind === 'call' && mayStore(s.target)));
}
