/**
 * Accesses to small tables: a constant address plus a scaled byte. Such a table mostly lies on one page, and in a loop the access waits for
 * what the byte is computed from: so that is where a page is worth keeping.
 */
import type { LoadNode, Statement, Value } from '../../../isa/ir/types.ts';
import { GPR, TLB_BANK, ZERO_AT } from '../../../isa/x86/state.ts';
import { type PageGroups, pageGroups } from './page-groups.ts';
import { mayWrite, registerOf } from './registers-used.ts';

export interface PageAccesses {
  readonly tables: readonly LoadNode[];
  readonly groups: PageGroups;
  /** The block changes which bank of the TLB accesses look into. */
  readonly changesBank: boolean;
}

/** The offset of the register that a scaled index is read from, where the rest of an address is constant. */
function indexOf(address: Value): number | undefined {
  let v = address;
  while (v.kind === 'op' && (v.op === 'add' || v.op === 'and')) {
    const a = v.args[0];
    const b = v.args[1];
    if (a.kind !== 'const' && b.kind !== 'const' && !isZeroRegister(a)) return undefined;
    v = b.kind === 'const' ? a : b;
  }
  if (v.kind !== 'op' || v.op !== 'shl') return undefined;
  const index = v.args[0];
  return index.kind === 'getAt' ? registerOf(index.file, index.at) : undefined;
}
const isZeroRegister = (v: Value): boolean =>
  v.kind === 'getAt' && v.at.kind === 'const' && v.file === GPR && v.at.value === ZERO;
const ZERO = BigInt(ZERO_AT);

/** A byte with zeros above it. */
function isByte(value: Value): boolean {
  let v = value;
  while (v.kind === 'op' && v.op.startsWith('zext.')) v = v.args[0];
  return v.type === 'i8';
}

export function pageAccesses(statements: readonly Statement[]): PageAccesses {
  const tables: LoadNode[] = [];
  /** Registers that hold bytes, by their offset. */
  const bytes = new Set<number>();
  let bank = false;
  const last = statements.at(-1);
  // Where a jump goes is predicted: nothing waits for that.
  const target = last?.kind === 'jump' ? last.target : undefined;
  for (let i = 0; i < statements.length; i++) {
    const s = statements[i];
    if (s.kind === 'op') continue;
    if (s.kind === 'setAt') {
      const register = registerOf(s.file, s.at);
      if (register === undefined) bytes.clear();
      else if (s.value.type === 'i64' && isByte(s.value)) bytes.add(register);
      else bytes.delete(register);
    } else if (s.kind === 'load') {
      const index = s.access === 'supervisor' ? undefined : indexOf(s.address);
      if (index !== undefined && bytes.has(index) && s !== target) tables.push(s);
    } else bank ||= mayWrite(s, TLB_BANK);
  }
  return { tables, groups: pageGroups(statements), changesBank: bank };
}
