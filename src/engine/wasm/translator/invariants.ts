/** What blocks compute from MXCSR alone, which hardly ever changes: regions keep it from block to block. */
import { isValue, type Statement, type Value } from '../../../isa/ir/types.ts';
import { MXCSR } from '../../../isa/x86/state.ts';
import type { Placement } from '../liveness.ts';
import { mayWrite } from './registers-used.ts';

export interface Invariants {
  /** Those that something else is made of, by what is the same for all that are computed alike. */
  readonly kept: ReadonlyMap<Value, string>;
  /** Those that only other invariants are made of. */
  readonly inner: readonly Value[];
}

const NONE: Invariants = { kept: new Map(), inner: [] };

export function invariantsIn(statements: readonly Statement[], { uses }: Placement): Invariants {
  const first = statements.findIndex((s) => s.kind === 'get' && s.state === MXCSR);
  if (first < 0) return NONE;
  const keys = keysFrom(first, statements);
  const within = new Map<Value, number>();
  for (const v of keys.keys()) {
    if (v.kind !== 'op' || !uses.get(v)) continue;
    for (const a of v.args) within.set(a, (within.get(a) ?? 0) + 1);
  }
  const kept = new Map<Value, string>();
  const inner: Value[] = [];
  for (const [v, key] of keys) {
    if (uses.get(v) === within.get(v)) inner.push(v);
    else if (v.kind === 'op') kept.set(v, key);
  }
  return { kept, inner };
}

/** How each invariant is computed. One that is used behind a change of what it was computed from is none. */
function keysFrom(first: number, statements: readonly Statement[]): ReadonlyMap<Value, string> {
  const all = new Map<Value, string>();
  let current = new Map<Value, string>();
  for (let i = first; i < statements.length; i++) {
    const s = statements[i];
    if (!isValue(s)) {
      if (mayWrite(s, MXCSR)) current = new Map();
      continue;
    }
    const key = keyOf(s, current);
    if (key === undefined) continue;
    all.set(s, key);
    current.set(s, key);
  }
  return all;
}

function keyOf(v: Value, keys: ReadonlyMap<Value, string>): string | undefined {
  if (v.kind === 'get') return v.state === MXCSR ? v.state.name : undefined;
  if (v.kind !== 'op') return undefined;
  const parts: string[] = [];
  for (const a of v.args) {
    const key = a.kind === 'const' ? `${a.type} ${a.value}` : keys.get(a);
    if (key === undefined) return undefined;
    parts.push(key);
  }
  return `${v.op}(${parts.join()})[${v.immediate.join()}]`;
}
