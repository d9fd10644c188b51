/**
 * What blocks know of the flags that others leave behind: what they were computed from, by the inputs that a recipe keeps. A condition is
 * then computed from that, and the flags themselves need not be made.
 */
import { walk } from '../../../isa/ir/statements.ts';
import type { GetNode, OpNode, State, Statement, Value } from '../../../isa/ir/types.ts';
import type { FlagOrigin } from '../../../isa/x86/flags.ts';
import { FLAG_AUX, FLAG_RESULT } from '../../../isa/x86/state.ts';
import type { X86Builder } from '../../../isa/x86/x86-builder.ts';
import { MAX_INPUTS, type Recipe } from './recipes.ts';
import { mayWrite } from './registers-used.ts';

/** An origin whose values follow from FLAG_INPUTS. */
export interface KnownFlags {
  readonly origin: FlagOrigin;
  /** The same for the same origin. */
  readonly text: string;
}
/** What a block makes known of the flags: `kept` where it does not write them, undefined where that is not known. */
export type FlagsBehind = KnownFlags | 'kept' | undefined;

/** The inputs of the last recipe. No memory has them: they are locals of regions. */
const FLAG_INPUTS: readonly State[] = Array.from({ length: MAX_INPUTS }, (_, i) => ({
  name: `FLAG_INPUT${i}`,
  type: 'i64',
  class: 'engine',
  offset: -1 - i,
}));
const INPUT_NODES = FLAG_INPUTS.map((state): GetNode => ({ kind: 'get', number: 0, type: 'i64', state }));
/** Which input of the last recipe is read; -1 for other registers. */
export const inputRead = ({ state }: GetNode): number => FLAG_INPUTS.indexOf(state);

/** Operations that an origin's values may take to compute, beyond what they are narrowed by. */
const MOST_OPERATIONS = 3;

class Expressions {
  readonly #recipe: Recipe;
  #left = MOST_OPERATIONS;

  constructor(recipe: Recipe) {
    this.#recipe = recipe;
  }
  /** By FLAG_INPUTS; undefined where that is not possible, or long. */
  of(v: Value): Value | undefined {
    if (v.kind === 'const') return v;
    const { inputs, inverse } = this.#recipe;
    const input = inputs.indexOf(v);
    if (input >= 0) return narrowed(INPUT_NODES[input], v);
    const from = v === inverse?.value ? inverse.from : v;
    if (from.kind !== 'op' || this.#left-- === 0) return undefined;
    const args = from.args.map((a) => this.of(a));
    return args.includes(undefined) ? undefined : { ...from, args: args as Value[] };
  }
}
function narrowed(input: GetNode, { type }: Value): Value {
  return type === 'i64' ? input : { kind: 'op', number: 0, type, op: `trunc.${type}`, args: [input], immediate: [] };
}

/** The origin with its values replaced. */
function mapped(origin: FlagOrigin, by: (v: Value) => Value | undefined): FlagOrigin | undefined {
  const result = origin.kind === 'each' ? undefined : by(origin.result);
  if (result === undefined) return undefined;
  switch (origin.kind) {
    case 'logic':
      return { ...origin, result };
    case 'result':
      return { ...origin, result, carry: origin.carry && by(origin.carry) };
    case 'sum': {
      const a = by(origin.a);
      return a && { ...origin, a, result };
    }
    case 'difference': {
      const a = by(origin.a);
      const b = by(origin.b);
      return a && b && { ...origin, a, b, result };
    }
    default:
      return undefined;
  }
}

function textOf(v: Value): string {
  if (v.kind === 'const') return `${v.value}:${v.type}`;
  if (v.kind === 'get') return v.state.name;
  const { op, args, immediate, type } = v as OpNode;
  return `(${op} ${immediate} ${args.map(textOf)}):${type}`;
}
function known(origin: FlagOrigin | undefined, recipe: Recipe): KnownFlags | undefined {
  const expressions = new Expressions(recipe);
  const by = origin && mapped(origin, (v) => expressions.of(v));
  if (by === undefined) return undefined;
  let text: string = by.kind;
  mapped(by, (v) => {
    text += ` ${textOf(v)}`;
    return v;
  });
  return { origin: by, text };
}

/** `origin`: what the statements' builder knows behind them. */
export function flagsBehind(
  statements: readonly Statement[],
  recipes: ReadonlyMap<Statement, Recipe>,
  origin: FlagOrigin | undefined,
): FlagsBehind {
  const last = statements.findLast((s) => mayWrite(s, FLAG_AUX) || mayWrite(s, FLAG_RESULT));
  if (last === undefined) return 'kept';
  const recipe = recipes.get(last);
  return recipe !== undefined && isOf(recipe, origin) ? known(origin, recipe) : undefined;
}
/** The recipe is for the flags of an origin. */
function isOf({ roots: [, root] }: Recipe, origin: FlagOrigin | undefined): boolean {
  if (origin === undefined || origin.kind === 'each') return false;
  const { result } = origin;
  if (root === result || (root.kind === 'op' && root.op === 'sext.i64' && root.args[0] === result)) return true;
  return root.kind === 'const' && result.kind === 'const';
}

/** Some statement reads the flags that were there before. */
export function readsFlags(statements: readonly Statement[]): boolean {
  for (const s of walk(statements)) {
    if (s.kind === 'get' && (s.state === FLAG_AUX || s.state === FLAG_RESULT)) return true;
  }
  return false;
}

/** Has a builder know at its start what is known of the flags. */
export function assume(b: X86Builder, { origin }: KnownFlags): void {
  const copy = (v: Value): Value => {
    if (v.kind === 'const') return b.const(v.type, v.value);
    if (v.kind === 'get') return b.get(v.state);
    const { op, args, immediate } = v as OpNode;
    return b.op(op, args.map(copy), immediate);
  };
  b.flags.assume(mapped(origin, copy)!);
}
