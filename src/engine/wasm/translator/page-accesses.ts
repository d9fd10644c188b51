/**
 * Accesses to tables: a constant address plus a scaled register. In a loop where that register does not just move by constants, the access
 * waits for what the register is computed from, and a table often lies on one page: so that is where a page is worth keeping.
 */
import { walk } from '../../../isa/ir/builder.ts';
import { isPure } from '../../../isa/ir/purity.ts';
import type { LoadNode, Statement, StoreNode, Value } from '../../../isa/ir/types.ts';
import { GPR, TLB_BANK } from '../../../isa/x86/state.ts';
import { StatementMap } from '../statement-map.ts';
import { registersOf, registersTouched } from './registers-used.ts';

/** An access to a table. */
export interface PageAccess {
  /** The bit of the register. */
  readonly register: number;
}
export interface PageAccesses {
  readonly of: StatementMap<PageAccess>;
  readonly list: readonly PageAccess[];
  /** General registers that change otherwise than by constants, a bit for each. */
  readonly changed: number;
  /** It changes which bank of the TLB accesses look into. */
  readonly changesBank: boolean;
}

const REGISTERS = 16;
/** Set beside the bits of registers where one of them is scaled. */
const SCALED = 1 << REGISTERS;
/** Bits of the registers that a sum is made of; negative where something else is part of it. */
function termsOf(v: Value): number {
  switch (v.kind) {
    case 'const':
      return 0;
    case 'get':
      return bitOf(v.state.offset) ?? 0;
    case 'getAt': {
      if (v.file !== GPR) return 0;
      return v.at.kind === 'const' ? (bitOf(GPR.offset + Number(v.at.value)) ?? 0) : -1;
    }
    case 'op':
      return termsOfOperation(v.op, v.args);
    default:
      return -1;
  }
}
function termsOfOperation(op: string, [a, b]: readonly Value[]): number {
  const left = op === 'add' || op === 'sub' || op === 'shl' || op === 'and' || CONVERSIONS.has(op) ? termsOf(a) : -1;
  if (left < 0 || CONVERSIONS.has(op)) return left;
  if (op === 'add') {
    const right = termsOf(b);
    return right < 0 ? -1 : sum(left, right);
  }
  if (b.kind !== 'const') return -1;
  return op === 'shl' && left !== 0 ? left | SCALED : left;
}
const CONVERSIONS = new Set(['zext.i64', 'sext.i64', 'trunc.i32']);
/** A register that occurs twice is scaled. */
const sum = (a: number, b: number): number => a | b | ((a & b) === 0 ? 0 : SCALED);

function bitOf(offset: number): number | undefined {
  const register = (offset - GPR.offset) >> 3;
  return register >= 0 && register < REGISTERS ? 1 << register : undefined;
}
const isSingle = (bits: number): boolean => bits > 0 && bits < SCALED && (bits & (bits - 1)) === 0;

const changesBank = (s: Statement): boolean =>
  (s.kind === 'set' && s.state === TLB_BANK) ||
  (s.kind === 'call' && registersTouched(s.target).written.has(TLB_BANK.offset));

/** Registers that a statement changes otherwise than by a constant. */
function changedBy(s: Statement): number {
  let bits = 0;
  const note = (offset: number): void => {
    bits |= bitOf(offset) ?? 0;
  };
  if (s.kind === 'set') note(s.state.offset);
  else if (s.kind === 'setAt') for (const offset of registersOf(s.file, s.at)) note(offset);
  else if (s.kind === 'call' && !isPure(s.target))
    for (const offset of registersTouched(s.target).written) note(offset);
  if (bits === 0 || s.kind === 'call') return bits;
  return isSingle(bits) && termsOf((s as { readonly value: Value }).value) === bits ? 0 : bits;
}

export function pageAccesses(statements: readonly Statement[], size: number): PageAccesses {
  const of = new StatementMap<PageAccess>(size);
  const list: PageAccess[] = [];
  let changed = 0;
  let bank = false;
  const last = statements.at(-1);
  // Where a jump goes is predicted: nothing waits for that.
  const target = last?.kind === 'jump' ? last.target : undefined;
  const note = (s: LoadNode | StoreNode): void => {
    const terms = s.access === 'supervisor' ? -1 : termsOf(s.address);
    if (terms < SCALED || !isSingle(terms - SCALED) || s === target) return;
    const access = { register: terms - SCALED };
    of.set(s, access);
    list.push(access);
  };
  for (const s of statements) {
    if (s.kind === 'load' || s.kind === 'store') note(s);
    for (const inner of s.kind === 'if' || s.kind === 'loop' ? walk([s]) : [s]) {
      changed |= changedBy(inner);
      bank ||= changesBank(inner);
    }
  }
  return { of, list, changed, changesBank: bank };
}
