/**
 * Recipes of values that may never be needed: instead of two that are written together, their few inputs are kept, and which computation
 * makes them of those. Many places of a region share a recipe, because they do the same with other inputs. What follows from other inputs
 * is none: of r = a - b and b follows a.
 */
import { isPure } from '../../../isa/ir/purity.ts';
import type { OpNode, Value } from '../../../isa/ir/types.ts';
import { isRepeated } from '../liveness.ts';
import { WASM_TYPE } from '../op-code.ts';
import type { StatementMap } from '../statement-map.ts';

/** Inputs that there are locals for. */
export const MAX_INPUTS = 3;

export interface Recipe {
  readonly roots: readonly [Value, Value];
  /** What the values are computed from; integers. */
  readonly inputs: readonly Value[];
  /** A value that is computed from the inputs another way than where it comes from. */
  readonly inverse: { readonly value: Value; readonly result: Value; readonly from: OpNode } | undefined;
  /** Values that others need too, but that are computed again from inputs; in order. */
  readonly again: readonly Value[];
  /** Values between inputs and roots that nothing else needs, in order, roots included where they are some of them. */
  readonly inner: readonly Value[];
  /** The same for recipes that compute the same of their inputs. */
  readonly shape: number;
}

/** What a value is computed from; undefined for one that is not computed. */
function argumentsOf(v: Value): readonly Value[] | undefined {
  if (v.kind === 'op') return v.args;
  // Of calls with one result the arguments count for that.
  if (v.kind === 'result' && isPure(v.call.target) && v.call.target.results.length === 1) return v.call.args;
  return undefined;
}

/** The recipe of two values, each with one user that it is for; `uses` are of all values of their block. */
export function recipeOf(roots: readonly [Value, Value], uses: StatementMap<number>): Recipe | undefined {
  const { all, inner } = partsOf(roots, uses);
  if (!all.every(isInteger)) return undefined;
  const inverse = inverseIn(all);
  const rest = all.filter((v) => v !== inverse?.value);
  const follows = (v: Value): boolean =>
    v.kind === 'op' && v !== inverse?.result && v.args.every((a) => a.kind === 'const' || all.includes(a));
  const again = rest.filter(follows);
  const inputs = rest.filter((v) => !again.includes(v));
  if (inputs.length > MAX_INPUTS) return undefined;
  const recipe = { roots, inputs, inverse, again: again.reverse(), inner };
  return { ...recipe, shape: numberOf(shapeOf(recipe)) };
}

/** What values are computed from that others need too, the last first, and what nothing else needs. */
function partsOf(
  roots: readonly Value[],
  uses: StatementMap<number>,
): { readonly all: readonly Value[]; readonly inner: readonly Value[] } {
  const found: Value[] = [];
  const find = (v: Value): void => {
    if (!isRepeated(v) && !found.includes(v)) found.push(v);
  };
  for (const v of roots) find(v);
  for (let i = 0; i < found.length; i++) {
    const args = argumentsOf(found[i]);
    if (args !== undefined) for (let n = 0; n < args.length; n++) find(args[n]);
  }
  found.sort((a, b) => b.number - a.number);
  const usesInside: number[] = found.map((v) => (roots.includes(v) ? 1 : 0));
  const inner: Value[] = [];
  const all: Value[] = [];
  for (let i = 0; i < found.length; i++) {
    const v = found[i];
    if (usesInside[i] === 0) continue;
    const args = argumentsOf(v);
    if (args === undefined || usesInside[i] !== uses.get(v)) {
      all.push(v);
      continue;
    }
    inner.push(v);
    for (let n = 0; n < args.length; n++) if (!isRepeated(args[n])) usesInside[found.indexOf(args[n])]++;
  }
  return { all, inner: inner.reverse() };
}

const isInteger = (v: Value): boolean => WASM_TYPE[v.type] === 'i32' || WASM_TYPE[v.type] === 'i64';

/** The first sum or difference among inputs that has another of them follow. */
function inverseIn(inputs: readonly Value[]): Recipe['inverse'] {
  for (const r of inputs) {
    const inverse = inverseOf(r, inputs);
    if (inverse !== undefined) return inverse;
  }
  return undefined;
}
/** What of `r = a + b` or `r = a - b` follows from `r` and the other. */
function inverseOf(r: Value, inputs: readonly Value[]): Recipe['inverse'] {
  if (r.kind !== 'op' || (r.op !== 'add' && r.op !== 'sub')) return undefined;
  const a = r.args[0];
  const b = r.args[1];
  if (a === b) return undefined;
  const node = (op: string, ...args: Value[]): OpNode => ({ ...r, op, args });
  const known = (v: Value): boolean => v.kind === 'const' || inputs.includes(v);
  if (inputs.includes(a) && known(b)) return { value: a, result: r, from: node(r.op === 'add' ? 'sub' : 'add', r, b) };
  if (!inputs.includes(b) || a.kind !== 'const') return undefined;
  return { value: b, result: r, from: r.op === 'add' ? node('sub', r, a) : node('sub', a, r) };
}

/** Numbers of all shapes that were met: there are few. */
const numbers = new Map<string, number>();
const shapes: string[] = [];
function numberOf(shape: string): number {
  const known = numbers.get(shape);
  if (known !== undefined) return known;
  numbers.set(shape, shapes.length);
  return shapes.push(shape) - 1;
}
/** What a shape is, the same in every run. */
export const shapeText = (shape: number): string => shapes[shape];

function shapeOf({ roots, inputs, inverse, again, inner }: Omit<Recipe, 'shape'>): string {
  const known = [...inputs];
  let text = inputs.map((v) => v.type).join();
  const name = (v: Value): string => (v.kind === 'const' ? `${v.value}:${v.type}` : `v${known.indexOf(v)}`);
  const add = (v: Value): void => {
    text += v.kind === 'op' ? ` ${v.op}` : v.kind === 'result' ? ` call ${v.call.target.name}` : ' ';
    if (v.kind === 'op' && v.immediate.length > 0) text += ` ${v.immediate}`;
    for (const a of argumentsOf(v)!) text += `,${name(a)}`;
    text += `:${v.type}`;
  };
  if (inverse !== undefined) {
    add(inverse.from);
    known.push(inverse.value);
  }
  for (const list of [again, inner])
    for (const v of list) {
      add(v);
      known.push(v);
    }
  return `${text} ${roots.map(name)}`;
}
