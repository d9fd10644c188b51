/** Which registers code reads and writes, of those that a region keeps in locals. */
import { walk } from '../../../isa/ir/builder.ts';
import type { External, Procedure, StateFile, Statement, Value } from '../../../isa/ir/types.ts';
import { FLAG_AUX, FLAG_RESULT, GPR, IP_BASE, ZERO_AT } from '../../../isa/x86/state.ts';

export interface Use {
  /** Offsets in the CPU's block. */
  readonly read: ReadonlySet<number>;
  readonly written: ReadonlySet<number>;
}

const FLAGS: ReadonlySet<number> = new Set([FLAG_AUX.offset, FLAG_RESULT.offset]);
export const isKept = (offset: number): boolean =>
  FLAGS.has(offset) || offset === IP_BASE.offset || (offset >= GPR.offset && offset < GPR.offset + ZERO_AT);

/** Offset of the register of an access to the general registers at a constant place; -1 for one that can be any. */
function registerOf(file: StateFile, at: Value): number | undefined {
  if (file.offset !== GPR.offset) return undefined;
  return at.kind === 'const' ? GPR.offset + (Number(at.value) & ~7) : -1;
}

/** What `body` does itself, its calls left out. */
export function registersUsed(body: Iterable<Statement>): Use {
  const read = new Set<number>();
  const written = new Set<number>();
  const note = (set: Set<number>, offset: number | undefined): void => {
    if (offset !== undefined && isKept(offset)) set.add(offset);
  };
  for (const s of body) {
    if (s.kind === 'get') note(read, s.state.offset);
    else if (s.kind === 'getAt') note(read, registerOf(s.file, s.at));
    else if (s.kind === 'set') note(written, s.state.offset);
    else if (s.kind === 'setAt') {
      const offset = registerOf(s.file, s.at);
      note(written, offset);
      // A narrow write keeps the rest.
      if (s.value.type !== 'i64') note(read, offset);
    }
  }
  return { read, written };
}

const touching = new Map<Procedure, boolean>();

/** The procedure, or one that it calls, finds or leaves registers in memory. */
export function touchesRegisters(target: Procedure | External): boolean {
  if (target.kind === 'external') return false;
  const known = touching.get(target);
  if (known !== undefined) return known;
  // A procedure that calls itself is judged by the rest of it.
  touching.set(target, false);
  const result = [...walk(target.body())].some(touchesState);
  touching.set(target, result);
  return result;
}

function touchesState(s: Statement): boolean {
  switch (s.kind) {
    case 'get':
    case 'set':
      return isKept(s.state.offset);
    case 'getAt':
    case 'setAt':
      return s.file.offset === GPR.offset;
    case 'call':
      return touchesRegisters(s.target);
    default:
      return false;
  }
}
