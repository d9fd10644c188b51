/**
 * Functions that make FLAG_AUX and FLAG_RESULT in memory of the inputs that regions keep: one for each shape of recipe, which all regions
 * call through the table of functions. A region that had them all in itself would be twice as large.
 */
import { FLAG_AUX, FLAG_RESULT } from '../../../isa/x86/state.ts';
import type { ModuleParts } from '../assembly.ts';
import { ByteWriter, OP } from '../encoder.ts';
import type { Callee, Handlers } from '../handlers.ts';
import type { KeptRegions } from '../kept-regions.ts';
import type { Placement } from '../liveness.ts';
import { Lowering } from '../lowering.ts';
import type { Signature } from '../module-builder.ts';
import { WASM_TYPE, writeMask } from '../op-code.ts';
import { StatementMap, StatementSet } from '../statement-map.ts';
import { Locals, type Target, withLocals } from '../target.ts';
import type { BlockPlan } from './flag-lowering.ts';
import { MAX_INPUTS, type Recipe, shapeText } from './recipes.ts';

/** Inputs of 64 bits, which narrower values are extended to. */
export const FLAG_MAKER: Signature = { parameters: new Array(MAX_INPUTS).fill('i64'), results: [] };

const NONE_INLINED = new StatementSet(0);

interface Known {
  readonly place: number;
  /** The same in every run; undefined for one that cannot be kept. */
  readonly number: number | undefined;
}
interface Missing extends Callee, Known {}

export class FlagMakers {
  readonly #handlers: Handlers;
  readonly #kept: KeptRegions | undefined;
  /** By shape, of functions that are there. */
  readonly #known = new Map<number, Known>();
  /** Numbers of functions that are there. */
  readonly #made = new Set<number>();

  constructor(handlers: Handlers, kept: KeptRegions | undefined) {
    this.#handlers = handlers;
    this.#kept = kept;
  }

  /** Makes the functions that some blocks are the first to need. Returns the numbers of all they need, unless one cannot be kept. */
  need(blocks: readonly { readonly plan: BlockPlan }[]): readonly number[] | undefined {
    const missing: Missing[] = [];
    const needed = new Set<number | undefined>();
    for (const { plan } of blocks) {
      for (const recipe of plan.recipes.values()) {
        let known = this.#known.get(recipe.shape);
        if (known === undefined) {
          const number = this.#kept?.makerOf(shapeText(recipe.shape));
          known = { number, place: this.#handlers.reserve(number) };
          this.#known.set(recipe.shape, known);
          const write = (m: ModuleParts): Uint8Array => MakerLowering.write(m, recipe, plan.placement);
          if (number === undefined || !this.isThere(number)) missing.push({ ...known, type: FLAG_MAKER, write });
        }
        needed.add(known.number);
      }
    }
    if (missing.length > 0) this.#make(missing);
    return needed.has(undefined) ? undefined : ([...needed] as number[]);
  }
  #make(missing: readonly Missing[]): void {
    const assembly = this.#handlers.assembleCallees(missing);
    const places = missing.map(({ place }) => place);
    this.#handlers.installCallees(assembly, places);
    const numbers = missing.flatMap(({ number }) => number ?? []);
    for (const number of numbers) this.#made.add(number);
    if (numbers.length === missing.length) this.#kept?.addMakers({ ...assembly, numbers });
  }
  /** The function of a number was made, or kept from an earlier run. */
  isThere(number: number): boolean {
    if (this.#made.has(number)) return true;
    const makers = this.#kept?.makersWith(number);
    if (makers === undefined || !this.#handlers.hasAll(makers.imports)) return false;
    const { bytes, imports, numbers } = makers;
    const places = numbers.map((n) => this.#handlers.reserve(n));
    this.#handlers.installCallees({ bytes, imports, procedures: [] }, places);
    for (const n of numbers) this.#made.add(n);
    return true;
  }
  /** The place of the function of a recipe that `need` saw. */
  placeOf(shape: number): number {
    return this.#known.get(shape)!.place;
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
