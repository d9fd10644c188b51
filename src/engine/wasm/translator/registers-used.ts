/** Which registers code reads and writes, of those that a region keeps in locals. */
import { walk } from '../../../isa/ir/statements.ts';
import {
  type External,
  type Procedure,
  type State,
  type StateFile,
  type Statement,
  type Value,
  WIDTH,
} from '../../../isa/ir/types.ts';
import { FLAG_AUX, FLAG_RESULT, GPR, IP_BASE, MXCSR, TLB_BANK, XMM, ZERO_AT } from '../../../isa/x86/state.ts';

export interface Use {
  /** Offsets in the CPU's block, each once. */
  readonly read: readonly number[];
  readonly written: readonly number[];
}

const OTHERS: ReadonlySet<number> = new Set(
  [FLAG_AUX, FLAG_RESULT, IP_BASE, TLB_BANK, MXCSR].map(({ offset }) => offset),
);
const isKept = (offset: number): boolean => OTHERS.has(offset) || isGeneral(offset) || isVector(offset);
export const isGeneral = (offset: number): boolean => offset >= GPR.offset && offset < GPR.offset + ZERO_AT;
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
export function registersUsed(body: readonly Statement[]): Use {
  const use = { read: [], written: [] };
  collect(body, use);
  return use;
}

type Collected = { readonly read: number[]; readonly written: number[] };

function note(list: number[], offset: number): void {
  if (isKept(offset) && !list.includes(offset)) list.push(offset);
}
function noteFile(list: number[], file: StateFile, at: Value): void {
  const one = registerOf(file, at);
  if (one !== undefined) note(list, one);
  else for (const offset of registersOf(file, at)) note(list, offset);
}
function collect(body: readonly Statement[], use: Collected): void {
  for (let i = 0; i < body.length; i++) {
    const s = body[i];
    switch (s.kind) {
      case 'op':
        break;
      case 'get':
        note(use.read, s.state.offset);
        break;
      case 'getAt':
        noteFile(use.read, s.file, s.at);
        break;
      case 'set':
        note(use.written, s.state.offset);
        break;
      case 'setAt':
        noteFile(use.written, s.file, s.at);
        // A narrow write keeps the rest.
        if (WIDTH[s.value.type] < 8 * sizeIn(s.file)) noteFile(use.read, s.file, s.at);
        break;
      case 'if':
        collect(s.consequent, use);
        collect(s.alternate, use);
        break;
      case 'loop':
        collect(s.body, use);
        break;
    }
  }
}

const uses = new Map<Procedure, Use>();
const UNTOUCHED: Use = { read: [], written: [] };

/** What a procedure, with all that it calls, finds and leaves in memory. */
export function registersTouched(target: Procedure | External): Use {
  if (target.kind === 'external') return UNTOUCHED;
  const known = uses.get(target);
  if (known !== undefined) return known;
  const use = { read: [], written: [] };
  for (const p of reachable(target)) collect(p.body(), use);
  uses.set(target, use);
  return use;
}

/** Whether a statement, or one within it, writes a register that is kept. */
export function mayWrite(s: Statement, state: State): boolean {
  switch (s.kind) {
    case 'set':
      return s.state === state;
    case 'call':
      return registersTouched(s.target).written.includes(state.offset);
    case 'if':
      return (
        s.consequent.some((inner) => mayWrite(inner, state)) || s.alternate.some((inner) => mayWrite(inner, state))
      );
    case 'loop':
      return s.body.some((inner) => mayWrite(inner, state));
    default:
      return false;
  }
}

function reachable(target: Procedure): ReadonlySet<Procedure> {
  const seen = new Set<Procedure>([target]);
  for (const p of seen)
    for (const s of walk(p.body())) if (s.kind === 'call' && s.target.kind === 'procedure') seen.add(s.target);
  return seen;
}
