/** What the classifier is told of an architecture: where its state lies, how its modes look, which instructions it has. */
import type { FieldName, Procedure, StateFile, Statement } from '../ir/types.ts';
import type { Source } from './value.ts';

/** Bits of a piece of state and what they are called. */
export interface NamedBits {
  readonly source: Source;
  readonly mask: bigint;
}

/** Bits of state that a context fixes. */
export interface Known {
  readonly offset: number;
  /** Bits. */
  readonly width: number;
  readonly mask: bigint;
  readonly value: bigint;
}

/**
 * A set of states: those that agree with `known`. `user` and `supervisor` are the two modes of the theory under a monitor's settings of
 * the control state; `any` leaves open which of them it is.
 */
export interface Context {
  readonly name: 'user' | 'supervisor' | 'any';
  readonly known: readonly Known[];
}

/** An instruction with one kind of operands. */
export interface Case {
  /** Mnemonic in capitals. */
  readonly name: string;
  /** The operand form where an instruction has several. */
  readonly form: string;
  /** The row of the manual's table. */
  readonly encoding: string;
  /** Every meaning that the case covers: one per operand and address size. */
  readonly bodies: () => readonly Body[];
}

export interface Body {
  readonly statements: readonly Statement[];
  /** Operand fields that the case fixes. */
  readonly fields: Readonly<Partial<Record<FieldName, bigint>>>;
}

/** State by place, for values and for words. */
export interface StateMap {
  /** The named parts of `bytes` bytes at `offset`; together they cover every bit that has a meaning. */
  at(offset: number, bytes: number): readonly NamedBits[];
  file(file: StateFile): Source;
  vectorName(vector: number): string;
  /** What an external is, in words. */
  externalText(name: string): string | undefined;
}

export interface Architecture {
  readonly name: string;
  readonly title: string;
  /** In one paragraph: which processor, which modes, what the monitor is assumed to have set. */
  readonly description: string;
  readonly states: StateMap;
  readonly contexts: { readonly user: Context; readonly supervisor: Context; readonly any: Context };
  /** Kinds of state by the names of what belongs to them; the first that fits is an instruction's group. */
  readonly groups: readonly (readonly [title: string, names: RegExp])[];
  readonly cases: () => readonly Case[];
}

/** Calls that leave to the monitor, whatever the mode. */
export type TrappingProcedures = ReadonlySet<Procedure>;
