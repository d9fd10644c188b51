/**
 * The arithmetic flags of a region. FLAG_AUX takes a dozen operations to compute and is hardly ever read, but may be needed wherever the
 * region can be left: so its inputs are kept in locals, with the number of the recipe that makes it of them.
 */
import {
  type CallNode,
  type GetNode,
  type IfNode,
  isValue,
  type SetNode,
  type Statement,
  type Value,
} from '../../../isa/ir/types.ts';
import { FLAG_AUX, FLAG_RESULT } from '../../../isa/x86/state.ts';
import { BLOCK_EMPTY, type ByteWriter } from '../encoder.ts';
import { analyse, type Placement } from '../liveness.ts';
import { WASM_TYPE, writeMask } from '../op-code.ts';
import { StatementMap, StatementSet } from '../statement-map.ts';
import type { Locals, Target } from '../target.ts';
import { type PageAccesses, pageAccesses } from './page-accesses.ts';
import { PageLowering } from './page-lowering.ts';
import { type Recipe, recipeOf } from './recipes.ts';
import { type RegisterLists, registersTouched } from './registers-used.ts';

/** How one block is lowered. */
export interface BlockPlan {
  readonly placement: Placement;
  readonly recipes: StatementMap<Recipe>;
  /** Those recipes in the order of their statements. */
  readonly listed: readonly Recipe[];
  /** What recipes compute where it is needed. */
  readonly skipped: StatementSet;
  /** Of each statement: nothing is written in its place. */
  readonly quiet: readonly boolean[];
  readonly pages: PageAccesses;
}

/** What lowering wants to know of a block beforehand. */
export interface LoweredBlock {
  readonly plan: BlockPlan;
  readonly registers: RegisterLists;
}

const isFlagWrite = (s: Statement): s is SetNode => s.kind === 'set' && s.state.offset === FLAG_AUX.offset;
const isFlagRead = (s: Statement): s is GetNode => s.kind === 'get' && s.state.offset === FLAG_AUX.offset;

const isResultWrite = (s: Statement | undefined): s is SetNode =>
  s?.kind === 'set' && s.state.offset === FLAG_RESULT.offset;

/** What FLAG_RESULT holds behind each statement that writes FLAG_AUX, until that is written again: both are written by one instruction. */
function* flagWrites(statements: readonly Statement[]): Generator<[write: SetNode, result: Value | undefined]> {
  let result: Value | undefined;
  for (const [i, s] of statements.entries()) {
    if (isResultWrite(s)) result = s.value;
    else if (s.kind === 'if' || s.kind === 'loop' || s.kind === 'call') result = undefined;
    if (!isFlagWrite(s)) continue;
    const next = statements[i + 1];
    const following = next !== undefined && isValue(next) ? statements[i + 2] : next;
    yield [s, isResultWrite(following) ? following.value : result];
  }
}

export function planOf(statements: readonly Statement[]): BlockPlan {
  const placement = analyse(statements);
  const { size, uses } = placement;
  const recipes = new StatementMap<Recipe>(size);
  const listed: Recipe[] = [];
  const skipped = new StatementSet(size);
  const inlined = placement.inlined.copy();
  for (const s of statements) {
    // Reading is not done twice, nor in the middle of keeping inputs.
    if (isFlagRead(s)) inlined.delete(s);
  }
  for (const [s, result] of flagWrites(statements)) {
    const recipe = recipeOf(s.value, uses, result);
    if (recipe === undefined) continue;
    recipes.set(s, recipe);
    listed.push(recipe);
    for (const v of recipe.inputs) inlined.delete(v);
    for (const v of recipe.inner) {
      skipped.add(v);
      if (v.kind === 'result') skipped.add(v.call);
    }
  }
  const isQuiet = (s: Statement): boolean =>
    skipped.has(s) || (isValue(s) && s.kind !== 'load' && (!uses.get(s) || inlined.has(s) || s.kind === 'result'));
  const pages = pageAccesses(statements, size);
  return { placement: { ...placement, inlined }, recipes, listed, skipped, quiet: statements.map(isQuiet), pages };
}

const NONE_INLINED = new StatementSet(0);

export class FlagLowering extends PageLowering {
  readonly #recipes: {
    readonly recipe: Recipe;
    readonly placement: Placement;
    readonly values: StatementMap<number>;
  }[] = [];
  /** From 1, by shape; 0 where the register's own local has the value. */
  readonly #numbers = new Map<number, number>();
  readonly #current: number;
  /** Locals of 64 bits, which narrower inputs are extended to. */
  readonly #inputs: readonly number[];
  protected plan: BlockPlan;
  /** Statements around the one being lowered, in its block. */
  protected nesting = 0;

  constructor(code: ByteWriter, locals: Locals, target: Target, blocks: readonly LoweredBlock[]) {
    super(
      code,
      locals,
      target,
      blocks.map((b) => b.registers),
    );
    this.plan = blocks[0].plan;
    for (const { plan } of blocks) {
      const { listed, placement } = plan;
      for (const recipe of listed) {
        if (this.#numbers.has(recipe.shape)) continue;
        const values = new StatementMap<number>(placement.size);
        this.#recipes.push({ recipe, placement: { ...placement, inlined: NONE_INLINED }, values });
        this.#numbers.set(recipe.shape, this.#recipes.length);
      }
    }
    this.#current = locals.take('i32');
    const most = Math.max(0, ...this.#recipes.map(({ recipe }) => recipe.inputs.length));
    this.#inputs = Array.from({ length: most }, () => locals.take('i64'));
  }

  protected override place(v: Value): void {
    if (!this.plan.skipped.has(v)) super.place(v);
  }

  protected override effect(s: Exclude<Statement, Value>): void {
    if (this.plan.skipped.has(s)) return;
    const recipe = this.plan.recipes.get(s);
    if (recipe !== undefined && this.nesting === 0) {
      for (const [i, v] of recipe.inputs.entries()) {
        this.push(v);
        if (WASM_TYPE[v.type] === 'i32') this.op('i64_extend_i32_u');
        this.local('local_set', this.#inputs[i]);
      }
      this.#note(this.#numbers.get(recipe.shape)!);
      return;
    }
    super.effect(s);
    if (isFlagWrite(s)) this.#note(0);
  }
  #note(number: number): void {
    this.i32(number);
    this.local('local_set', this.#current);
  }

  protected override compute(v: Value, loose: boolean): void {
    if (isFlagRead(v)) this.settleFlags();
    super.compute(v, loose);
  }

  protected override call(s: CallNode): void {
    const { read, written } = registersTouched(s.target);
    if (read.has(FLAG_AUX.offset) || written.has(FLAG_AUX.offset)) this.settleFlags();
    super.call(s);
  }

  /** Sees to it that the local of FLAG_AUX has its value. */
  protected settleFlags(): void {
    const count = this.#recipes.length;
    if (count === 0) return;
    for (let i = 0; i <= count; i++) {
      this.op('block');
      this.code.byte(BLOCK_EMPTY);
    }
    this.local('local_get', this.#current);
    this.i32(1);
    this.op('i32_sub');
    this.op('br_table');
    this.code.u32(count);
    for (let i = 0; i <= count; i++) this.code.u32(i);
    for (let i = 0; i < count; i++) {
      this.op('end');
      this.#make(i);
      this.op('br');
      this.code.u32(count - 1 - i);
    }
    this.op('end');
    this.#note(0);
  }

  /** The value of one recipe, into the register's local. */
  #make(i: number): void {
    const { recipe, placement, values } = this.#recipes[i];
    const outer = { placement: this.placement, values: this.values, taken: this.taken };
    this.placement = placement;
    this.values = values;
    this.taken = [];
    for (const [i, v] of recipe.inputs.entries()) this.#unpack(v, () => this.local('local_get', this.#inputs[i]));
    if (recipe.kept !== undefined) this.#unpack(recipe.kept, () => this.pushCached(FLAG_RESULT.offset));
    if (recipe.inverse !== undefined) {
      this.compute(recipe.inverse.from, false);
      this.keep(recipe.inverse.value);
    }
    for (const v of recipe.again) {
      this.compute(v, false);
      this.keep(v);
    }
    for (const v of recipe.inner) {
      if (v.kind === 'result') this.#callOf(v.call);
      else this.compute(v, false);
      this.keep(v);
    }
    this.setCached(FLAG_AUX.offset, () => this.push(recipe.root));
    for (const [type, index] of this.taken) this.locals.release(type, index);
    this.placement = outer.placement;
    this.values = outer.values;
    this.taken = outer.taken;
  }
  /** A value from the low bits of 64. */
  #unpack(v: Value, push: () => void): void {
    push();
    if (WASM_TYPE[v.type] === 'i32') {
      this.op('i32_wrap_i64');
      writeMask(this.code, v.type);
    }
    this.keep(v);
  }
  #callOf(s: CallNode): void {
    for (const v of s.args) this.push(v);
    this.op('call');
    this.code.u32(this.target.functionIndex(s.target));
  }

  protected override if(s: IfNode): void {
    this.nesting++;
    super.if(s);
    this.nesting--;
  }
  protected override loop(id: number, body: readonly Statement[]): void {
    this.nesting++;
    super.loop(id, body);
    this.nesting--;
  }
}
