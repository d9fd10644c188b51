/**
 * The arithmetic flags of a region. FLAG_AUX and FLAG_RESULT are written together, take a dozen operations to compute and are hardly ever
 * read, but may be needed wherever the region can be left: so their inputs are kept in locals, with the place of the function that makes
 * both of them.
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
import { type ByteWriter, OP } from '../encoder.ts';
import { analyse, type Placement } from '../liveness.ts';
import { WASM_TYPE } from '../op-code.ts';
import { StatementSet } from '../statement-map.ts';
import type { Locals, Target } from '../target.ts';
import { type Insertions, insertionsOf, KEPT } from './insertions.ts';
import { type Invariants, invariantsIn } from './invariants.ts';
import { inputRead } from './known-flags.ts';
import { type PageAccesses, pageAccesses } from './page-accesses.ts';
import { PageLowering } from './page-lowering.ts';
import { MAX_INPUTS, type Recipe, recipeOf } from './recipes.ts';
import { registersTouched, type Use } from './registers-used.ts';

/** How one block is lowered. */
export interface BlockPlan {
  readonly placement: Placement;
  /** By the second of the two writes, in the order of the statements. */
  readonly recipes: ReadonlyMap<Statement, Recipe>;
  /** Writes of both that have no recipe. */
  readonly pairs: ReadonlySet<Statement>;
  readonly insertions: Insertions;
  /** Of each statement: nothing is written in its place, as for what recipes compute where it is needed. */
  readonly quiet: readonly boolean[];
  readonly pages: PageAccesses;
  readonly invariants: Invariants;
}

/** What lowering wants to know of a block beforehand. */
export interface LoweredBlock {
  readonly plan: BlockPlan;
  readonly registers: Use;
}

const FLAGS: ReadonlySet<number> = new Set([FLAG_AUX.offset, FLAG_RESULT.offset]);
const isFlag = (offset: number): boolean => offset === FLAG_AUX.offset || offset === FLAG_RESULT.offset;
const isFlagWrite = (s: Statement): s is SetNode => s.kind === 'set' && isFlag(s.state.offset);
const isFlagRead = (s: Statement): s is GetNode => s.kind === 'get' && isFlag(s.state.offset);

/** A bit that insertions keep. */
const PENDING = 1;

type FoundPair = (first: SetNode, second: SetNode, nested: boolean) => void;
/** Finds writes of the one and then of the other with nothing in between that could be left from, inside an `if` or a loop too. */
function findPairs(statements: readonly Statement[], nested: boolean, found: FoundPair): void {
  let first: SetNode | undefined;
  for (let i = 0; i < statements.length; i++) {
    const s = statements[i];
    if (s.kind === 'op') continue;
    if (s.kind === 'if') {
      findPairs(s.consequent, true, found);
      findPairs(s.alternate, true, found);
    } else if (s.kind === 'loop') findPairs(s.body, true, found);
    if (!isFlagWrite(s)) {
      if (!isValue(s) || s.kind === 'load' || isFlagRead(s)) first = undefined;
    } else if (first === undefined || first.state.offset === s.state.offset) first = s;
    else {
      found(first, s, nested);
      first = undefined;
    }
  }
}

export function planOf(statements: readonly Statement[]): BlockPlan {
  const placement = analyse(statements);
  const { size, uses, inlined } = placement;
  const recipes = new Map<Statement, Recipe>();
  const pairs = new Set<Statement>();
  const skipped = new StatementSet(size);
  findPairs(statements, false, (first, second, nested) => {
    const recipe = nested ? undefined : recipeOf([auxOf(first, second), resultOf(first, second)], uses);
    if (recipe === undefined) {
      pairs.add(first);
      pairs.add(second);
      return;
    }
    recipes.set(second, recipe);
    skipped.add(first);
    for (const v of recipe.inputs) inlined.delete(v);
    for (const v of recipe.inner) {
      skipped.add(v);
      if (v.kind === 'result') skipped.add(v.call);
    }
  });
  const insertions = insertionsOf(statements, uses);
  for (const v of insertions.inner) skipped.add(v);
  const invariants = invariantsIn(statements, placement);
  for (const v of invariants.kept.keys()) inlined.delete(v);
  for (const v of invariants.inner) skipped.add(v);
  const quiet = statements.map((s) => {
    // Reading is not done twice, nor in the middle of keeping inputs.
    if (isFlagRead(s)) inlined.delete(s);
    if (skipped.has(s)) return true;
    return isValue(s) && s.kind !== 'load' && (!uses.get(s) || inlined.has(s) || s.kind === 'result');
  });
  return { placement, recipes, pairs, insertions, quiet, pages: pageAccesses(statements), invariants };
}
const auxOf = (a: SetNode, b: SetNode): Value => (a.state.offset === FLAG_AUX.offset ? a : b).value;
const resultOf = (a: SetNode, b: SetNode): Value => (a.state.offset === FLAG_RESULT.offset ? a : b).value;

/** What regions know of the functions that make flags (`FlagMakers`). */
export interface FlagFunctions {
  /** Index of their type. */
  readonly type: number;
  /** Place in the table by the shape of the recipe. */
  placeOf(shape: number): number;
}

export class FlagLowering extends PageLowering {
  readonly #functions: FlagFunctions;
  /** The place of the function that makes both flags of the inputs; 0 where the registers' own locals have the values. */
  readonly #current: number;
  /** Locals of 64 bits, which narrower inputs are extended to; none where the region has no recipes. */
  readonly #inputs: readonly number[];
  readonly #hasRecipes: boolean;
  /** What is to be put into FLAG_AUX, and PENDING; 0: nothing. Undefined where the region puts nothing there. */
  readonly #inserted: number | undefined;
  protected plan: BlockPlan;
  /** Statements around the one being lowered, in its block. */
  protected nesting = 0;

  constructor(
    code: ByteWriter,
    locals: Locals,
    target: Target,
    blocks: readonly LoweredBlock[],
    rare: ReadonlySet<number>,
    functions: FlagFunctions,
  ) {
    super(
      code,
      locals,
      target,
      blocks.map((b) => b.registers),
      rare,
    );
    this.plan = blocks[0].plan;
    this.#functions = functions;
    let most = 0;
    let recipes = 0;
    for (const { plan } of blocks) {
      for (const { inputs } of plan.recipes.values()) most = Math.max(most, inputs.length);
      recipes += plan.recipes.size;
    }
    this.#hasRecipes = recipes > 0;
    if (blocks.some(({ plan }) => plan.insertions.bits.size > 0)) this.#inserted = locals.take('i32');
    this.#current = locals.take('i32');
    this.#inputs = Array.from({ length: most }, () => locals.take('i64'));
  }

  protected override writeState(s: SetNode): void {
    if (!isFlag(s.state.offset)) {
      super.writeState(s);
      return;
    }
    const recipe = this.plan.recipes.get(s);
    if (recipe !== undefined) {
      for (const [i, v] of recipe.inputs.entries()) {
        this.push(v);
        if (WASM_TYPE[v.type] === 'i32') this.code.byte(OP.i64_extend_i32_u);
        this.code.set(this.#inputs[i]);
      }
      this.#note(this.#functions.placeOf(recipe.shape));
      return;
    }
    const bits = this.plan.insertions.bits.get(s);
    if (bits !== undefined && this.#inserted !== undefined) {
      this.push(bits);
      this.code.i32(PENDING);
      this.code.byte(OP.i32_or);
      this.code.set(this.#inserted);
      return;
    }
    if (!this.plan.pairs.has(s)) this.settleFlags();
    super.writeState(s);
    this.#note(0);
  }
  #note(number: number): void {
    this.code.i32(number);
    this.code.set(this.#current);
    if (this.#inserted === undefined) return;
    this.code.i32(0);
    this.code.set(this.#inserted);
  }

  protected override readState(v: GetNode): void {
    const input = inputRead(v);
    if (input >= 0) {
      this.code.get(this.#inputs[input]);
      return;
    }
    if (isFlag(v.state.offset)) this.settleFlags();
    super.readState(v);
  }

  protected override call(s: CallNode): void {
    const { read, written } = registersTouched(s.target);
    for (const offset of FLAGS) {
      if (!read.includes(offset) && !written.includes(offset)) continue;
      this.settleFlags();
      break;
    }
    super.call(s);
  }

  /** Sees to it that the locals of FLAG_AUX and FLAG_RESULT have their values. */
  protected settleFlags(): void {
    if (this.#hasRecipes) {
      this.code.get(this.#current);
      this.code.open(OP.if);
      this.#make();
      this.loadRegisters(FLAGS);
      this.code.i32(0);
      this.code.set(this.#current);
      this.code.byte(OP.end);
    }
    if (this.#inserted === undefined) return;
    this.code.get(this.#inserted);
    this.code.open(OP.if);
    this.#pushInserted(this.#inserted, () => this.pushCached(FLAG_AUX.offset));
    this.setCached(FLAG_AUX.offset);
    this.code.i32(0);
    this.code.set(this.#inserted);
    this.code.byte(OP.end);
  }
  /** Pushes FLAG_AUX with what is put into it. */
  #pushInserted(inserted: number, pushAux: () => void): void {
    pushAux();
    this.code.i32(KEPT);
    this.code.byte(OP.i32_and);
    this.code.get(inserted);
    this.code.i32(~KEPT);
    this.code.byte(OP.i32_and);
    this.code.byte(OP.i32_or);
  }
  /** As `spillAll`, with the flags' values. */
  protected spillSettled(): void {
    this.#spillMade();
    const inserted = this.#inserted;
    if (inserted === undefined) return;
    this.code.get(inserted);
    this.code.open(OP.if);
    this.storeState(FLAG_AUX.offset, 'i32', () =>
      this.#pushInserted(inserted, () => this.loadState(FLAG_AUX.offset, 'i32')),
    );
    this.code.byte(OP.end);
  }
  #spillMade(): void {
    if (!this.#hasRecipes) {
      this.spillAll();
      return;
    }
    this.spillAll(FLAGS);
    this.code.get(this.#current);
    this.code.open(OP.if);
    this.#make();
    this.code.byte(OP.else);
    this.spill(FLAGS);
    this.code.byte(OP.end);
  }
  /** Makes both flags in memory. */
  #make(): void {
    for (let i = 0; i < MAX_INPUTS; i++) {
      if (i < this.#inputs.length) this.code.get(this.#inputs[i]);
      else this.code.i64(0);
    }
    this.code.get(this.#current);
    this.code.indexed(OP.call_indirect, this.#functions.type);
    this.code.byte(0);
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
