/**
 * Recipes of values that may never be needed: instead of a value, its few inputs are kept, and which computation makes it of them. Many
 * places of a region share a recipe, because they do the same with other inputs.
 */
import { isPure } from '../../../isa/ir/purity.ts';
import type { Value } from '../../../isa/ir/types.ts';
import { isRepeated } from '../liveness.ts';
import { WASM_TYPE } from '../op-code.ts';
import type { StatementMap } from '../statement-map.ts';

/** Inputs that there are locals for, of each type. */
export const MAX_INPUTS = 3;

export interface Recipe {
  readonly root: Value;
  /** What the value is computed from. */
  readonly inputs: readonly Value[];
  /** Values between inputs and root that nothing else needs, in order, the root last where it is one of them. */
  readonly inner: readonly Value[];
  /** The same for recipes that compute the same of their inputs. */
  readonly shape: string;
}

/** What a value is computed from; undefined for one that is not computed. */
function argumentsOf(v: Value): readonly Value[] | undefined {
  if (v.kind === 'op') return v.args;
  // Of calls with one result the arguments count for that.
  if (v.kind === 'result' && isPure(v.call.target) && v.call.target.results.length === 1) return v.call.args;
  return undefined;
}

/** The recipe of `root`, which has one user; `uses` are of all values of its block. */
export function recipeOf(root: Value, uses: StatementMap<number>): Recipe | undefined {
  const found = new Set<Value>([root]);
  for (const v of found) for (const a of argumentsOf(v) ?? []) found.add(a);
  const sorted = [...found].filter((v) => !isRepeated(v)).sort((a, b) => b.number - a.number);
  const usesInside = new Map<Value, number>([[root, 1]]);
  const inner: Value[] = [];
  const inputs: Value[] = [];
  for (const v of sorted) {
    const inside = usesInside.get(v) ?? 0;
    if (inside === 0) continue;
    const args = argumentsOf(v);
    if (args === undefined || inside !== uses.get(v)) {
      inputs.push(v);
      continue;
    }
    inner.push(v);
    for (const a of args) usesInside.set(a, (usesInside.get(a) ?? 0) + 1);
  }
  if (!fits(inputs)) return undefined;
  inner.reverse();
  return { root, inputs, inner, shape: shapeOf(root, inputs, inner) };
}

function fits(inputs: readonly Value[]): boolean {
  const integers = inputs.every((v) => WASM_TYPE[v.type] === 'i32' || WASM_TYPE[v.type] === 'i64');
  const wide = inputs.filter((v) => WASM_TYPE[v.type] === 'i64').length;
  return integers && wide <= MAX_INPUTS && inputs.length - wide <= MAX_INPUTS;
}

function shapeOf(root: Value, inputs: readonly Value[], inner: readonly Value[]): string {
  const names = new Map<Value, string>();
  for (const [i, v] of inputs.entries()) names.set(v, `i${i}:${v.type}`);
  for (const [i, v] of inner.entries()) names.set(v, `v${i}`);
  const name = (v: Value): string => (v.kind === 'const' ? `${v.value}:${v.type}` : names.get(v)!);
  const text = inner.map((v) => {
    const what = v.kind === 'op' ? `${v.op} ${v.immediate}` : v.kind === 'result' ? `call ${v.call.target.name}` : '';
    return `${what}(${argumentsOf(v)!.map(name)}):${v.type}`;
  });
  return `${text.join(' ')} ${name(root)}`;
}
