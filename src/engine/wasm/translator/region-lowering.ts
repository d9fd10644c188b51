/** A region as one WebAssembly function: guest registers in locals, branches inside it as WebAssembly branches. */
import { mayStore } from '../../../isa/ir/purity.ts';
import type { CallNode, GetAtNode, GetNode, StoreNode } from '../../../isa/ir/types.ts';
import { CODE_DROPPED, FAULT, IP_BASE, RETIRED } from '../../../isa/x86/state.ts';
import { alwaysLeaves } from '../../bodies.ts';
import { HANDLER_TYPE, type ModuleParts } from '../assembly.ts';
import { Emitter } from '../emitter.ts';
import { ByteWriter, OP } from '../encoder.ts';
import { pushCachedRecord, pushIsCached } from '../jump-cache.ts';
import type { RegionExit } from '../region-exits.ts';
import type { RegionListing } from '../region-listing.ts';
import { StatementMap } from '../statement-map.ts';
import { Locals, type Target, withLocals } from '../target.ts';
import { type ControlFlow, controlFlowOf, nodesOf } from './control-flow.ts';
import { instructionAt, type Place, type RegionPlace } from './exit-lowering.ts';
import { FLAG_MAKER, type FlagMakers } from './flag-makers.ts';
import { lastStoreIn } from './last-store.ts';
import { narrowAt, narrowBehind } from './narrow-registers.ts';
import { rareRegisters } from './rare-registers.ts';
import type { Region } from './region.ts';
import { endOf, exitOf, isComputed, pagesOf, type RegionBlock, recordedOn } from './region-block.ts';
import { registerOf } from './registers-used.ts';
import { branchToTarget } from './target-search.ts';
import { TreeLowering } from './tree-lowering.ts';

/** Bytes that most regions' code takes less than. */
const LIKELY_SIZE = 16384;
/** Parameter 0 is the record, which regions do not need. */
const PARAMETERS = 1;
/** More targets are found faster by a table. */
const MOST_COMPARED = 3;

/** What is around a region; `makers` know the recipes of its blocks. */
type Surroundings = Omit<RegionPlace, 'type' | 'flags'> & { readonly makers: FlagMakers };

export class RegionLowering extends TreeLowering {
  readonly #blocks: readonly RegionBlock[];
  readonly #guesses: Region['guesses'];
  /** Blocks by their offsets. */
  readonly #numbers = new Map<number, number>();
  protected override readonly flow: ControlFlow;
  /** Of each block, where it starts. */
  readonly #narrow: readonly number[];
  /** Offsets that the switch leads to. */
  readonly #targets: readonly number[];
  /** Where a computed jump goes. */
  readonly #computed: number;
  readonly #distance: number;
  readonly #scratch: number;
  /** Whether the mapping of each page but the entry's was looked at, by its distance from that. */
  readonly #checked = new Map<number, number>();
  readonly #listing: RegionListing | undefined;
  #block = 0;
  #instruction = 0;
  /** The store after which the instruction does nothing more: what is left where it dropped code. */
  #lastStore: StoreNode | undefined;

  private constructor(
    region: Region,
    code: ByteWriter,
    locals: Locals,
    target: Target,
    place: RegionPlace,
    listing: RegionListing | undefined,
  ) {
    const { blocks } = region;
    const [nodes, targets] = nodesOf(region);
    const flow = controlFlowOf(nodes, targets);
    const uses = blocks.map(({ registers }) => registers);
    super(code, locals, target, blocks, rareRegisters(uses, flow), place);
    this.#blocks = blocks;
    this.#guesses = region.guesses;
    for (let i = 0; i < blocks.length; i++) this.#numbers.set(blocks[i].offset, i);
    this.flow = flow;
    this.#narrow = narrowAt(blocks, nodes, this.flow);
    this.#targets = this.flow.targets.map((n) => blocks[n].offset);
    if (this.flow.structure.isLoopHeader.includes(true)) this.keepPages(blocks.map(({ plan }) => plan.pages));
    this.groupPages(blocks.map(({ plan }) => plan.pages));
    this.keepInvariants(blocks.map(({ plan }) => plan.invariants));
    this.#computed = locals.take('i64');
    this.#distance = locals.take('i64');
    this.#scratch = locals.take('i32');
    for (const page of blocks.flatMap(pagesOf)) {
      if (page !== 0 && !this.#checked.has(page)) this.#checked.set(page, locals.take('i32'));
    }
    this.#listing = listing;
    if (listing !== undefined) for (const [local, name] of this.registerLocals()) listing.locals.set(local, name);
  }

  /** The function's body: record → status. */
  static write(m: ModuleParts, region: Region, around: Surroundings, listing?: RegionListing): Uint8Array {
    const place = {
      ...around,
      type: m.builder.type(HANDLER_TYPE),
      flags: { type: m.builder.type(FLAG_MAKER), placeOf: (shape: number) => around.makers.placeOf(shape) },
    };
    const code = new ByteWriter(LIKELY_SIZE);
    const locals = new Locals(PARAMETERS);
    // The lowering is its own target, but the base class wants one first.
    let self: RegionLowering;
    const target: Target = {
      cpuBase: m.cpuBase,
      functionIndex: m.functionIndex,
      field: () => {
        throw new Error('a region has its operands as constants');
      },
      beforeCall: () => self.#beforeCall(),
      fault: (_code, depth) => self.#fault(depth),
      jump: (_code, _depth, link, pushTarget) => self.#jump(link, self.#placeOver(link) ?? pushTarget),
      exit: () => {
        throw new Error('a region does not stop the machine');
      },
      return: () => {
        throw new Error('a region does not return values');
      },
    };
    self = new RegionLowering(region, code, locals, target, place, listing);
    self.#function();
    const constants = self.constants();
    listing?.shift(constants.length);
    return withLocals(locals, code, constants);
  }

  #function(): void {
    this.prologue();
    this.computeInvariants();
    if (this.flow.root !== 0) {
      this.#pushIp(this.#blocks[0].offset);
      this.code.set(this.#computed);
    }
    this.tree(this.flow.root);
    this.epilogue();
  }

  /** What looks at the processor from outside sees instructions up to this one. */
  #beforeCall(): void {
    this.storeState(RETIRED.offset, 'i64', () => this.#pushRetired(0));
  }
  #pushRetired(more: number): void {
    this.code.get(this.retired);
    this.code.i64(this.#instruction + more);
    this.code.byte(OP.i64_add);
  }

  protected override blockCode(n: number): void {
    if (n === this.#blocks.length) {
      this.#switch(n);
      return;
    }
    const { plan, narrow, nesting, placement, values, variables, loops, taken } = this;
    const [block, instruction, lastStore] = [this.#block, this.#instruction, this.#lastStore];
    this.#block = n;
    this.plan = this.#blocks[n].plan;
    this.nesting = 0;
    this.placement = this.plan.placement;
    this.values = new StatementMap(this.placement.size);
    this.variables = undefined;
    this.loops = undefined;
    this.taken = [];
    // A block that stands inside another comes behind it: what that computed is not read any more.
    for (const [type, index] of taken) this.locals.release(type, index);
    this.#instructions(n);
    for (const [type, index] of this.taken) this.locals.release(type, index);
    for (const [type, index] of taken) this.locals.retake(type, index);
    Object.assign(this, { plan, narrow, nesting, placement, values, variables, loops, taken });
    this.#block = block;
    this.#instruction = instruction;
    this.#lastStore = lastStore;
  }
  #instructions(n: number): void {
    const { statements, instructions, next } = this.#blocks[n];
    let narrow = this.#narrow[n];
    let from = 0;
    for (let i = 0; i < instructions.length; i++) {
      const { end, offset, length, stores, narrowing } = instructions[i];
      this.#instruction = i;
      this.#listing?.mark({ block: n, instruction: i, at: this.code.length });
      this.#lastStore = stores ? lastStoreIn(statements.slice(from, end)) : undefined;
      if (stores && this.#lastStore === undefined) this.expectDropped();
      this.narrow = narrow & narrowing.kept;
      this.statements(statements, from, end, this.plan.quiet);
      narrow = narrowBehind(narrow, narrowing);
      from = end;
      if (i < instructions.length - 1) this.#leaveIfDropped(offset + length);
    }
    if (!alwaysLeaves(statements)) this.#fallThrough(endOf(this.#blocks[n]), next);
  }

  protected override readState(v: GetNode): void {
    super.readState(v);
    if (v.state === IP_BASE) this.#addBase();
  }
  protected override readFile(v: GetAtNode, loose: boolean): void {
    super.readFile(v, loose);
    if (registerOf(v.file, v.at) === IP_BASE.offset) this.#addBase();
  }
  /** Statements of a block on another page than the entry's take IP_BASE for the start of that. */
  #addBase(): void {
    const { base } = this.#blocks[this.#block];
    if (base === 0) return;
    this.code.i64(base);
    this.code.byte(OP.i64_add);
  }

  #fallThrough(offset: number, next: number | undefined): void {
    this.#jump(next !== undefined ? 1 : undefined, offset);
  }
  #pushIp(offset: number): void {
    this.pushCached(IP_BASE.offset);
    this.code.i64(offset);
    this.code.byte(OP.i64_add);
  }

  #push(place: Place): void {
    if (typeof place === 'number') this.#pushIp(place);
    else place();
  }

  /** A store reached code: the rest of this region may be stale. Looked at behind an instruction, unless its store does. */
  #leaveIfDropped(place: Place): void {
    const { stores } = this.#blocks[this.#block].instructions[this.#instruction];
    if (!stores || this.#lastStore !== undefined) return;
    this.leaveIfDropped(place, () => this.#exit(place, 'codeDropped'));
  }
  protected override call(s: CallNode): void {
    super.call(s);
    if (mayStore(s.target)) this.noteDropped();
  }
  #exit(place: Place, cause: RegionExit): void {
    this.noteExit(cause);
    this.#pushRetired(1);
    this.code.set(this.retired);
    this.leaveFor(place);
  }
  /** The instruction that is written. */
  #here(): number {
    const { offset, length } = this.#blocks[this.#block].instructions[this.#instruction];
    return instructionAt(offset, length);
  }
  #fault(depth: number): void {
    this.#beforeCall();
    this.leaveAtFault(this.#here(), depth);
  }
  protected override checkFault(): void {
    this.leaveInstructionIf(this.#here(), () => this.loadState(FAULT.offset, 'i32'));
  }
  protected override checkStore(s: StoreNode): void {
    if (s !== this.#lastStore) {
      this.checkFault();
      this.noteDropped();
      return;
    }
    this.leaveInstructionIf(this.#here(), () => {
      this.loadState(FAULT.offset, 'i32');
      this.loadState(CODE_DROPPED.offset, 'i32');
      this.code.byte(OP.i32_or);
    });
  }

  #numberOf(offset: number | undefined): number | undefined {
    return offset === undefined ? undefined : this.#numbers.get(offset);
  }

  /** Where a jump over a link goes, where that is an offset for sure: in other modes the instruction pointer may wrap. */
  #placeOver(link: 0 | 1 | undefined): Place | undefined {
    if (!this.around.long || link === undefined) return undefined;
    const { taken, next } = this.#blocks[this.#block];
    return link === 0 ? taken : next;
  }
  #jump(link: 0 | 1 | undefined, place: Place): void {
    const block = this.#blocks[this.#block];
    const offset = link === undefined ? undefined : link === 0 ? block.taken : block.next;
    const known = this.#numberOf(offset);
    const computed = known === undefined ? link === undefined && this.#isSwitched(block) : this.#isDispatched(known);
    const to = computed ? this.#blocks.length : known;
    const guesses = link === undefined ? (this.#guesses.get(block.offset) ?? []) : [];
    if (to === undefined && guesses.length === 0) {
      this.#exit(place, exitOf(block, link));
      return;
    }
    this.#leaveIfDropped(place);
    this.#pushRetired(1);
    this.code.set(this.retired);
    if (to !== undefined && !computed) {
      this.#branch(to, place);
      return;
    }
    this.#push(place);
    this.code.set(this.#computed);
    if (to === undefined) this.#guess(guesses);
    else this.#branch(to, () => this.code.get(this.#computed));
  }

  #isSwitched(block: RegionBlock): boolean {
    return isComputed(block) && !this.#guesses.has(block.offset) && this.#targets.length > 0;
  }
  #isDispatched(to: number): boolean {
    return this.flow.dispatched[this.#block].has(to);
  }

  /** A computed jump goes to one of some blocks, or leaves the region. */
  #guess(guesses: readonly number[]): void {
    if (guesses.length > MOST_COMPARED) {
      this.#choose(guesses, (to) => (this.#isDispatched(to) ? this.#blocks.length : to));
      return;
    }
    for (const offset of guesses) {
      const to = this.#numbers.get(offset)!;
      this.#pushIp(offset);
      this.code.get(this.#computed);
      this.code.byte(OP.i64_eq);
      this.open(OP.if);
      this.#branch(this.#isDispatched(to) ? this.#blocks.length : to, () => this.code.get(this.#computed));
      this.close();
    }
    this.#leaveForComputed();
  }

  /** Goes to one of the known targets of computed jumps, or leaves the region. */
  #switch(n: number): void {
    const outerBlock = this.#block;
    this.#block = n;
    this.#choose(this.#targets, (to) => to);
    this.#block = outerBlock;
  }
  /** Goes to the block `way(n)` for the block `n` that a computed jump means, or leaves the region. */
  #choose(targets: readonly number[], way: (to: number) => number): void {
    const offsets = [...targets].sort((a, b) => a - b);
    const first = offsets[0];
    for (let i = 0; i <= offsets.length; i++) this.open(OP.block);
    this.code.get(this.#computed);
    this.pushCached(IP_BASE.offset);
    this.code.byte(OP.i64_sub);
    this.code.i64(first);
    this.code.byte(OP.i64_sub);
    this.code.set(this.#distance);
    branchToTarget(this.code, this.#distance, offsets);
    for (const offset of offsets) {
      this.close();
      this.#branch(way(this.#numbers.get(offset)!), () => this.code.get(this.#computed));
    }
    this.close();
    this.#leaveForComputed();
  }
  #leaveForComputed(): void {
    this.noteExit('computedJump');
    this.leaveFor(() => this.code.get(this.#computed));
  }

  #branch(to: number, place: Place): void {
    const looks = this.goesBack(this.#block, to) && !this.goesOn(to);
    if (looks || this.#blocks[this.#block]?.attends) this.leaveAtLimit(place);
    this.#checkPages(to, place);
    this.goTo(this.#block, to);
  }

  /** Leaves the region unless the pages of the block `to` lie where they did when the region was made. */
  #checkPages(to: number, place: Place): void {
    if (to === this.#blocks.length) return;
    const block = this.#blocks[to];
    const [page, next] = pagesOf(block);
    const from = this.#blocks[this.#block];
    if (from?.base !== block.base) this.#checkPage(page, recordedOn(block, this.#blocks), place);
    // Behind it is code that was executed.
    if (next !== undefined) this.#checkPage(next, endOf(block), place);
  }
  /** Looks where the block at an offset is, unless its page was looked at before. */
  #checkPage(page: number, offset: number, place: Place): void {
    const checked = this.#checked.get(page);
    if (checked === undefined) return;
    const e = new Emitter(this.target.cpuBase, this.code);
    this.code.get(checked);
    this.code.byte(OP.i32_eqz);
    this.code.hint(false);
    this.open(OP.if);
    this.#pushIp(offset);
    this.code.set(this.#distance);
    pushIsCached(e, this.#distance, this.#scratch, true);
    pushCachedRecord(e, this.#scratch);
    this.code.indexed(OP.global_get, this.around.recordAt(offset));
    this.code.byte(OP.i32_eq);
    this.code.byte(OP.i32_and);
    this.code.tee(checked);
    this.code.byte(OP.i32_eqz);
    this.open(OP.if);
    this.leaveFor(place);
    this.close();
    this.close();
  }
}
