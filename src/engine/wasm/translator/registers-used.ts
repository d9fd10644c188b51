/** Which registers code reads and writes, of those that a region keeps in locals. */
import { walk } from '../../../isa/ir/builder.ts';
import {
  type External,
  type Procedure,
  type StateFile,
  type Statement,
  type Value,
  WIDTH,
} from '../../../isa/ir/types.ts';
import { FLAG_AUX, FLAG_RESULT, GPR, IP_BASE, XMM, ZERO_AT } from '../../../isa/x86/state.ts';

export interface Use {
  /** Offsets in the CPU's block. */
  readonly read: ReadonlySet<number>;
  readonly written: ReadonlySet<number>;
}

const FLAGS: ReadonlySet<number> = new Set([FLAG_AUX.offset, FLAG_RESULT.offset]);
export const isKept = (offset: number): boolean =>
  FLAGS.has(offset) ||
  offset === IP_BASE.offset ||
  (offset >= GPR.offset && offset < GPR.offset + ZERO_AT) ||
  isVector(offset);
export const isVector = (offset: number): boolean => offset >= XMM.offset && offset < XMM.offset + XMM.size;

const isFile = (file: StateFile): boolean => file.offset === GPR.offset || file.offset === XMM.offset;
/** Bytes of a register of a file that is kept. */
const sizeIn = (file: StateFile): number => (file.offset === XMM.offset ? 16 : 8);

/** Offset of the register of an access to the general or vector registers at a constant place. */
export function registerOf(file: StateFile, at: Value): number | undefined {
  if (!isFile(file) || at.kind !== 'const') return undefined;
  return file.offset + (Number(at.value) & -sizeIn(file));
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
      if (WIDTH[s.value.type] < 8 * sizeIn(s.file)) note(read, offset);
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
      return isFile(s.file);
    case 'call':
      return touchesRegisters(s.target);
    default:
      return false;
  }
}
