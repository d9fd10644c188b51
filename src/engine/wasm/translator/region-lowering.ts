/** A region as one WebAssembly function: guest registers in locals, branches inside it as WebAssembly branches. */
import { walk } from '../../../isa/ir/builder.ts';
import type { CallNode, Statement, Value } from '../../../isa/ir/types.ts';
import {
  CODE_DROPPED,
  FLAG_AUX,
  GPR,
  IP_BASE,
  RECORD,
  RETIRED,
  RETIRED_LIMIT,
  RIP,
  ZERO_AT,
} from '../../../isa/x86/state.ts';
import { STATUS } from '../emitter.ts';
import { BLOCK_EMPTY, ByteWriter } from '../encoder.ts';
import type { ModuleParts } from '../linker.ts';
import { analyse } from '../liveness.ts';
import { Lowering } from '../lowering.ts';
import { writeMask, writeMemoryOp } from '../op-code.ts';
import { Locals, type Target, withLocals } from '../target.ts';
import type { Region, RegionBlock } from './region.ts';
import { registersUsed, touchesRegisters } from './registers-used.ts';
import { type Structure, structureOf } from './structure.ts';

type Cached = { readonly local: number; readonly type: 'i32' | 'i64'; readonly offset: number };

/** Labels around the whole body, by the depth at which they were opened. */
const EXIT_LABEL = 1;
const FAULT_LABEL = 2;
/** Parameter 0 is the record, which regions do not need. */
const PARAMETERS = 1;

export class RegionLowering extends Lowering {
  readonly #blocks: readonly RegionBlock[];
  readonly #numbers: ReadonlyMap<number, number>;
  readonly #structure: Structure;
  readonly #graph: readonly (readonly number[])[];
  readonly #m: ModuleParts;
  readonly #startRecord: number;
  /** Registers that live in locals, by their offset in the CPU's block. */
  readonly #cached = new Map<number, Cached>();
  readonly #dirty: ReadonlySet<number>;
  readonly #retired: number;
  readonly #faultOffset: number;
  /** Where branches to loop headers and merge points go, by block. */
  readonly #labels = new Map<number, number>();
  readonly #targets: readonly number[];
  /** Where a computed jump goes. */
  readonly #computed: number;
  readonly #distance: number;
  #block = 0;
  #instruction = 0;

  private constructor(
    m: ModuleParts,
    { blocks, targets }: Region,
    startRecord: number,
    code: ByteWriter,
    locals: Locals,
    target: Target,
  ) {
    super(code, locals, target);
    this.#m = m;
    this.#blocks = blocks;
    this.#startRecord = startRecord;
    this.#numbers = new Map(blocks.map((b, i) => [b.offset, i]));
    this.#targets = targets;
    const numbersOf = (offsets: readonly number[]): number[] =>
      offsets.map((offset) => this.#numbers.get(offset)).filter((n) => n !== undefined);
    const switchNode = blocks.length;
    const graph = blocks.map((b) => [
      ...numbersOf([b.taken, b.next]),
      ...(isComputed(b) && targets.length > 0 ? [switchNode] : []),
    ]);
    // The last node takes computed jumps to where they go.
    this.#graph = [...graph, numbersOf(targets)];
    this.#structure = structureOf(this.#graph);
    const { read, written } = registersUsed(blocks.flatMap((b) => [...walk(b.statements)]));
    this.#dirty = written;
    for (const offset of new Set([...read, ...written, IP_BASE.offset])) {
      this.#cached.set(offset, { local: locals.take(typeAt(offset)), type: typeAt(offset), offset });
    }
    this.#retired = locals.take('i64');
    this.#faultOffset = locals.take('i32');
    this.#computed = locals.take('i64');
    this.#distance = locals.take('i64');
  }

  /** The function's body: record → status. */
  static write(m: ModuleParts, region: Region, startRecord: number): Uint8Array {
    const code = new ByteWriter();
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
      jump: (_code, _depth, link, pushTarget) => self.#jump(link, pushTarget),
      exit: () => {
        throw new Error('a region does not stop the machine');
      },
      return: () => {
        throw new Error('a region does not return values');
      },
    };
    self = new RegionLowering(m, region, startRecord, code, locals, target);
    self.#function();
    return withLocals(locals, code);
  }

  #function(): void {
    this.#loadRegisters();
    this.#loadState(RETIRED.offset, 'i64');
    this.local('local_set', this.#retired);
    this.#storeState(CODE_DROPPED.offset, 'i32', () => this.i32(0));
    this.#open('block');
    this.#open('block');
    this.#tree(0);
    this.op('unreachable');
    this.#close();
    this.#storeState(RIP.offset, 'i64', () => {
      this.#pushCached(IP_BASE.offset);
      this.local('local_get', this.#faultOffset);
      this.op('i64_extend_i32_u');
      this.op('i64_add');
    });
    this.#leave(STATUS.faulted);
    this.#close();
    this.#leave(STATUS.arrived);
    this.op('end');
  }
  #leave(status: number): void {
    this.#spillAll();
    this.i32(status);
    this.op('return');
  }

  // --- registers ----------------------------------------------------------------------------------------------------------------

  #storeState(offset: number, type: 'i32' | 'i64', push: () => void): void {
    this.i32(0);
    push();
    writeMemoryOp(this.code, 'store', type, this.#m.cpuBase + offset);
  }
  #loadState(offset: number, type: 'i32' | 'i64'): void {
    this.i32(0);
    writeMemoryOp(this.code, 'load', type, this.#m.cpuBase + offset);
  }
  #loadRegisters(): void {
    for (const { local, type, offset } of this.#cached.values()) {
      this.#loadState(offset, type);
      this.local('local_set', local);
    }
  }
  #spillAll(): void {
    for (const { local, type, offset } of this.#cached.values()) {
      if (this.#dirty.has(offset)) this.#storeState(offset, type, () => this.local('local_get', local));
    }
    this.#storeState(RETIRED.offset, 'i64', () => this.local('local_get', this.#retired));
  }
  #pushCached(offset: number): void {
    this.local('local_get', this.#cached.get(offset)!.local);
  }

  /** Register and byte of an access to the general registers at a constant place. */
  #registerAt(file: { readonly offset: number }, at: Value): { cached: Cached; shift: number } | undefined {
    if (file.offset !== GPR.offset || at.kind !== 'const') return undefined;
    const byte = Number(at.value);
    const cached = this.#cached.get(GPR.offset + (byte & ~7));
    return cached && { cached, shift: (byte & 7) * 8 };
  }

  protected override compute(v: Value, loose: boolean): void {
    if (v.kind === 'get') {
      const cached = this.#cached.get(v.state.offset);
      if (cached !== undefined) {
        this.local('local_get', cached.local);
        return;
      }
    }
    if (v.kind === 'getAt' && v.file.offset === GPR.offset && v.at.kind === 'const' && Number(v.at.value) === ZERO_AT) {
      this.constant(v.type, 0n);
      return;
    }
    const place = v.kind === 'getAt' ? this.#registerAt(v.file, v.at) : undefined;
    if (place === undefined) {
      super.compute(v, loose);
      return;
    }
    this.local('local_get', place.cached.local);
    if (v.type === 'i64') return;
    if (place.shift > 0) {
      this.constant('i64', BigInt(place.shift));
      this.op('i64_shr_u');
    }
    this.op('i32_wrap_i64');
    if (!loose) writeMask(this.code, v.type);
  }

  protected override effect(s: Exclude<Statement, Value>): void {
    if (s.kind === 'set') {
      const cached = this.#cached.get(s.state.offset);
      if (cached !== undefined) {
        this.push(s.value);
        this.local('local_set', cached.local);
        return;
      }
    }
    const place = s.kind === 'setAt' ? this.#registerAt(s.file, s.at) : undefined;
    if (s.kind === 'setAt' && place !== undefined) this.#writeRegister(place.cached, place.shift, s.value);
    else super.effect(s);
  }

  #writeRegister({ local }: Cached, shift: number, value: Value): void {
    if (value.type !== 'i64') {
      const ones = value.type === 'i8' ? 0xffn : 0xffffn;
      this.local('local_get', local);
      this.constant('i64', BigInt.asUintN(64, ~(ones << BigInt(shift))));
      this.op('i64_and');
      this.push(value);
      this.op('i64_extend_i32_u');
      if (shift > 0) {
        this.constant('i64', BigInt(shift));
        this.op('i64_shl');
      }
      this.op('i64_or');
    } else this.push(value);
    this.local('local_set', local);
  }

  // --- calls --------------------------------------------------------------------------------------------------------------------

  /** Procedures find and leave registers in memory. */
  protected override call(s: CallNode): void {
    if (!touchesRegisters(s.target)) {
      super.call(s);
      return;
    }
    this.#spillAll();
    super.call(s);
    this.#loadRegisters();
  }
  /** What looks at the processor from outside sees instructions up to this one. */
  #beforeCall(): void {
    this.#storeState(RETIRED.offset, 'i64', () => this.#pushRetired(0));
    this.#storeState(RECORD.offset, 'i32', () => this.i32(this.#startRecord));
  }
  #pushRetired(more: number): void {
    this.local('local_get', this.#retired);
    this.constant('i64', BigInt(this.#instruction + more));
    this.op('i64_add');
  }

  // --- control flow -------------------------------------------------------------------------------------------------------------

  #open(kind: 'block' | 'loop' | 'if'): void {
    this.op(kind);
    this.code.byte(BLOCK_EMPTY);
    this.depth++;
  }
  #close(): void {
    this.depth--;
    this.op('end');
  }
  #br(label: number): void {
    this.op('br');
    this.code.u32(this.depth - label);
  }

  /** The code of a block and of all that it dominates. */
  #tree(n: number): void {
    const merges = this.#structure.children[n].filter((c) => this.#structure.isMerge[c]);
    if (!this.#structure.isLoopHeader[n]) {
      this.#within(n, merges);
      return;
    }
    this.#open('loop');
    this.#labels.set(n, this.depth);
    this.#within(n, merges);
    this.#close();
  }
  /** `merges`: blocks that follow, the last in reverse postorder first. */
  #within(n: number, merges: readonly number[]): void {
    const [outer, ...rest] = merges;
    if (outer === undefined) {
      this.#body(n);
      return;
    }
    this.#open('block');
    this.#labels.set(outer, this.depth);
    this.#within(n, rest);
    this.#close();
    this.#tree(outer);
  }

  #body(n: number): void {
    if (n === this.#blocks.length) {
      this.#switch(n);
      return;
    }
    const outer = {
      placement: this.placement,
      values: this.values,
      variables: this.variables,
      loops: this.loops,
      taken: this.taken,
    };
    const [block, instruction] = [this.#block, this.#instruction];
    const { statements, instructions, next } = this.#blocks[n];
    this.#block = n;
    this.placement = analyse(statements);
    this.values = new Map();
    this.variables = new Map();
    this.loops = new Map();
    this.taken = [];
    let from = 0;
    for (const [i, { end, offset, length }] of instructions.entries()) {
      this.#instruction = i;
      const own = statements.slice(from, end);
      this.statements(own);
      from = end;
      if (i < instructions.length - 1 && storesIn(own)) this.#leaveIfDropped(offset + length);
    }
    const last = instructions[instructions.length - 1];
    if (!leaves(statements)) this.#fallThrough(last.offset + last.length, next);
    for (const [type, index] of this.taken) this.locals.release(type, index);
    Object.assign(this, outer);
    this.#block = block;
    this.#instruction = instruction;
  }

  #fallThrough(offset: number, next: number): void {
    this.#jump(next >= 0 ? 1 : undefined, () => this.#pushIp(offset));
  }
  #pushIp(offset: number): void {
    this.#pushCached(IP_BASE.offset);
    this.constant('i64', BigInt(offset));
    this.op('i64_add');
  }

  /** A store reached code: the rest of this region may be stale. */
  #leaveIfDropped(offset: number): void {
    this.#loadState(CODE_DROPPED.offset, 'i32');
    this.#open('if');
    this.#exit(() => this.#pushIp(offset), 1);
    this.#close();
  }
  #exit(pushTarget: () => void, more: number): void {
    this.#storeState(RIP.offset, 'i64', pushTarget);
    this.#pushRetired(more);
    this.local('local_set', this.#retired);
    this.#br(EXIT_LABEL);
  }
  #fault(depth: number): void {
    const { offset } = this.#blocks[this.#block].instructions[this.#instruction];
    this.i32(offset);
    this.local('local_set', this.#faultOffset);
    this.#pushRetired(0);
    this.local('local_set', this.#retired);
    this.op('br');
    this.code.u32(depth - FAULT_LABEL);
  }

  #jump(link: 0 | 1 | undefined, pushTarget: () => void): void {
    const block = this.#blocks[this.#block];
    const offset = link === undefined ? -1 : link === 0 ? block.taken : block.next;
    const computed = link === undefined && isComputed(block) && this.#targets.length > 0;
    const to = computed ? this.#blocks.length : this.#numbers.get(offset);
    if (to === undefined || this.#structure.isIrreducible(this.#block, to)) {
      this.#exit(pushTarget, 1);
      return;
    }
    if (storesIn(block.statements)) {
      this.#loadState(CODE_DROPPED.offset, 'i32');
      this.#open('if');
      this.#exit(pushTarget, 1);
      this.#close();
    }
    this.#pushRetired(1);
    this.local('local_set', this.#retired);
    if (!computed) {
      this.#branch(to, pushTarget);
      return;
    }
    pushTarget();
    this.local('local_set', this.#computed);
    this.#branch(to, () => this.local('local_get', this.#computed));
  }

  /** Goes to one of the known targets of computed jumps, or leaves the region. */
  #switch(n: number): void {
    const offsets = [...this.#targets].sort((a, b) => a - b);
    const first = offsets[0];
    const size = offsets[offsets.length - 1] - first + 1;
    const outerBlock = this.#block;
    this.#block = n;
    for (let i = 0; i <= offsets.length; i++) this.#open('block');
    this.local('local_get', this.#computed);
    this.#pushCached(IP_BASE.offset);
    this.op('i64_sub');
    this.constant('i64', BigInt(first));
    this.op('i64_sub');
    this.local('local_tee', this.#distance);
    this.constant('i64', BigInt(size));
    this.op('i64_ge_u');
    this.op('br_if');
    this.code.u32(offsets.length);
    this.local('local_get', this.#distance);
    this.op('i32_wrap_i64');
    this.op('br_table');
    this.code.u32(size);
    for (let i = 0; i < size; i++) {
      const target = offsets.indexOf(first + i);
      this.code.u32(target < 0 ? offsets.length : target);
    }
    this.code.u32(offsets.length);
    for (const offset of offsets) {
      this.#close();
      this.#branchOrLeave(this.#numbers.get(offset)!);
    }
    this.#close();
    this.#leaveForComputed();
    this.#block = outerBlock;
  }
  #branchOrLeave(to: number): void {
    if (this.#structure.isIrreducible(this.#block, to)) this.#leaveForComputed();
    else this.#branch(to, () => this.local('local_get', this.#computed));
  }
  #leaveForComputed(): void {
    this.#storeState(RIP.offset, 'i64', () => this.local('local_get', this.#computed));
    this.#br(EXIT_LABEL);
  }

  #branch(to: number, pushTarget: () => void): void {
    const { order, isMerge } = this.#structure;
    const isBack = order[to] <= order[this.#block];
    if (isBack) {
      this.local('local_get', this.#retired);
      this.#loadState(RETIRED_LIMIT.offset, 'i64');
      this.op('i64_ge_s');
      this.#open('if');
      this.#storeState(RIP.offset, 'i64', pushTarget);
      this.#br(EXIT_LABEL);
      this.#close();
    }
    if (isBack || isMerge[to]) this.#br(this.#labels.get(to)!);
    else this.#tree(to);
  }
}

const isComputed = (b: RegionBlock): boolean => b.ending === 'return' || b.ending === 'computed';

const typeAt = (offset: number): 'i32' | 'i64' => (offset === FLAG_AUX.offset ? 'i32' : 'i64');

function storesIn(statements: readonly Statement[]): boolean {
  return statements.some((s) => {
    if (s.kind === 'if') return storesIn(s.consequent) || storesIn(s.alternate);
    if (s.kind === 'loop') return storesIn(s.body);
    return s.kind === 'store' || s.kind === 'call';
  });
}

function leaves(statements: readonly Statement[]): boolean {
  const last = statements.at(-1);
  if (last?.kind === 'if') return leaves(last.consequent) && leaves(last.alternate);
  return last?.kind === 'jump' || last?.kind === 'raise';
}
