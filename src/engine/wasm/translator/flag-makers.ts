/**
 * Functions that make FLAG_AUX and FLAG_RESULT in memory of the inputs that regions keep: one for each shape of recipe, which all regions
 * call through the table of functions. A region that had them all in itself would be twice as large.
 */
import { FLAG_AUX, FLAG_RESULT } from '../../../isa/x86/state.ts';
import type { ModuleParts } from '../assembly.ts';
import { ByteWriter, OP } from '../encoder.ts';
import type { Callee, Handlers } from '../handlers.ts';
import type { Placement } from '../liveness.ts';
import { Lowering } from '../lowering.ts';
import type { Signature } from '../module-builder.ts';
import { WASM_TYPE, writeMask } from '../op-code.ts';
import { StatementMap, StatementSet } from '../statement-map.ts';
import { Locals, type Target, withLocals } from '../target.ts';
import type { BlockPlan } from './flag-lowering.ts';
import { MAX_INPUTS, type Recipe } from './recipes.ts';

/** Inputs of 64 bits, which narrower values are extended to. */
export const FLAG_MAKER: Signature = { parameters: new Array(MAX_INPUTS).fill('i64'), results: [] };

const NONE_INLINED = new StatementSet(0);

export class FlagMakers {
  readonly #handlers: Handlers;
  /** Places in the table by shape. */
  readonly #places = new Map<number, number>();

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
  }

  /** The functions that some blocks are the first to need: part of the module that is made of those. */
  missing(blocks: readonly { readonly plan: BlockPlan }[]): readonly Callee[] {
    const found: Callee[] = [];
    for (const { plan } of blocks) {
      for (const recipe of plan.recipes.values()) {
        if (this.#places.has(recipe.shape)) continue;
        const place = this.#handlers.reserve();
        this.#places.set(recipe.shape, place);
        found.push({ place, type: FLAG_MAKER, write: (m) => MakerLowering.write(m, recipe, plan.placement) });
      }
    }
    return found;
  }
  /** The place of the function of a recipe that `missing` saw. */
  placeOf(shape: number): number {
    return this.#places.get(shape)!;
  }
}

const fail = (): never => {
  throw new Error('a recipe only computes');
};

class MakerLowering extends Lowering {
  static write({ cpuBase, functionIndex }: ModuleParts, recipe: Recipe, placement: Placement): Uint8Array {
    const code = new ByteWriter();
    const locals = new Locals(MAX_INPUTS);
    const target: Target = {
      cpuBase,
      functionIndex,
      field: fail,
      beforeCall: fail,
      fault: fail,
      jump: fail,
      exit: fail,
      return: fail,
    };
    new MakerLowering(code, locals, target).#make(recipe, placement);
    code.byte(OP.end);
    return withLocals(locals, code);
  }

  #make(recipe: Recipe, placement: Placement): void {
    this.placement = { ...placement, inlined: NONE_INLINED };
    this.values = new StatementMap(placement.size);
    for (const [i, v] of recipe.inputs.entries()) {
      this.code.get(i);
      if (WASM_TYPE[v.type] === 'i32') {
        this.code.byte(OP.i32_wrap_i64);
        writeMask(this.code, v.type);
      }
      this.keep(v);
    }
    if (recipe.inverse !== undefined) {
      this.compute(recipe.inverse.from, false);
      this.keep(recipe.inverse.value);
    }
    for (const v of recipe.again) {
      this.compute(v, false);
      this.keep(v);
    }
    for (const v of recipe.inner) {
      if (v.kind !== 'result') this.compute(v, false);
      else {
        for (const a of v.call.args) this.push(a);
        this.code.indexed(OP.call, this.target.functionIndex(v.call.target));
      }
      this.keep(v);
    }
    const [aux, result] = recipe.roots;
    this.effect({ kind: 'set', number: 0, state: FLAG_AUX, value: aux });
    this.effect({ kind: 'set', number: 0, state: FLAG_RESULT, value: result });
  }
}
