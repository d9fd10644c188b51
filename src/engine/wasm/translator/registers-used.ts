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
import { FLAG_AUX, FLAG_RESULT, GPR, IP_BASE, TLB_BANK, XMM, ZERO_AT } from '../../../isa/x86/state.ts';

export interface Use {
  /** Offsets in the CPU's block. */
  readonly read: ReadonlySet<number>;
  readonly written: ReadonlySet<number>;
}

/** The same as lists. */
export interface RegisterLists {
  readonly read: readonly number[];
  readonly written: readonly number[];
}

const OTHERS: ReadonlySet<number> = new Set([FLAG_AUX.offset, FLAG_RESULT.offset, IP_BASE.offset, TLB_BANK.offset]);
const isKept = (offset: number): boolean =>
  OTHERS.has(offset) || (offset >= GPR.offset && offset < GPR.offset + ZERO_AT) || isVector(offset);
export const isVector = (offset: number): boolean => offset >= XMM.offset && offset < XMM.offset + XMM.size;

const isFile = (file: StateFile): boolean => file.offset === GPR.offset || file.offset === XMM.offset;
/** Bytes of a register of a file that is kept. */
const sizeIn = (file: StateFile): number => (file.offset === XMM.offset ? 16 : 8);

/** Offset of the register of an access to the general or vector registers at a constant place. */
export function registerOf(file: StateFile, at: Value): number | undefined {
  if (!isFile(file) || at.kind !== 'const') return undefined;
  return file.offset + (Number(at.value) & -sizeIn(file));
}
/** Offsets of the registers that an access to a file may mean. */
export function registersOf(file: StateFile, at: Value): readonly number[] {
  if (!isFile(file)) return [];
  const one = registerOf(file, at);
  return one === undefined ? Array.from({ length: 16 }, (_, i) => file.offset + i * sizeIn(file)) : [one];
}

/** What `body` does itself, its calls left out. */
export function registersUsed(body: Iterable<Statement>): Use {
  const read = new Set<number>();
  const written = new Set<number>();
  const note = (set: Set<number>, offsets: readonly number[]): void => {
    for (const offset of offsets) if (isKept(offset)) set.add(offset);
  };
  for (const s of body) {
    if (s.kind === 'get') note(read, [s.state.offset]);
    else if (s.kind === 'getAt') note(read, registersOf(s.file, s.at));
    else if (s.kind === 'set') note(written, [s.state.offset]);
    else if (s.kind === 'setAt') {
      const offsets = registersOf(s.file, s.at);
      note(written, offsets);
      // A narrow write keeps the rest.
      if (WIDTH[s.value.type] < 8 * sizeIn(s.file)) note(read, offsets);
    }
  }
  return { read, written };
}

const uses = new Map<Procedure, Use>();
const UNTOUCHED: Use = { read: new Set(), written: new Set() };

/** What a procedure, with all that it calls, finds and leaves in memory. */
export function registersTouched(target: Procedure | External): Use {
  if (target.kind === 'external') return UNTOUCHED;
  const known = uses.get(target);
  if (known !== undefined) return known;
  const read = new Set<number>();
  const written = new Set<number>();
  for (const p of reachable(target)) {
    const own = registersUsed(walk(p.body()));
    for (const offset of own.read) read.add(offset);
    for (const offset of own.written) written.add(offset);
  }
  const result: Use = { read, written };
  uses.set(target, result);
  return result;
}

function reachable(target: Procedure): ReadonlySet<Procedure> {
  const seen = new Set<Procedure>([target]);
  for (const p of seen)
    for (const s of walk(p.body())) if (s.kind === 'call' && s.target.kind === 'procedure') seen.add(s.target);
  return seen;
}
