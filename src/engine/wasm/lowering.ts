/**
 * IR to WebAssembly code. One lowering serves procedures, the interpreter's handlers and whatever binds operands otherwise: what a field
 * is and how a body ends is the target's.
 */
import { isPure } from '../../isa/ir/purity.ts';
import {
  type CallNode,
  type IfNode,
  isValue,
  type SetAtNode,
  type SetNode,
  type Statement,
  type Value,
} from '../../isa/ir/types.ts';
import { FAULT, FAULT_CODE, FAULT_HAS_CODE, FAULT_VECTOR } from '../../isa/x86/state.ts';
import { OP } from './encoder.ts';
import { analyse, isRepeated } from './liveness.ts';
import { MemoryLowering } from './lower-memory.ts';
import { WASM_TYPE, writeStore } from './op-code.ts';
import { StatementMap } from './statement-map.ts';

const NONE: readonly boolean[] = [];

export class Lowering extends MemoryLowering {
  /**
   * Writes a whole body; its locals are free again afterwards, in the order in which they were before: bodies that are alike take the same
   * ones, and modules with many of them pack well.
   */
  body(statements: readonly Statement[]): void {
    this.placement = analyse(statements);
    this.values = new StatementMap(this.placement.size);
    this.variables = undefined;
    this.loops = undefined;
    this.statements(statements);
    for (const [type, index] of this.taken.reverse()) this.locals.release(type, index);
    this.taken = [];
  }

  /** `quiet`: those that are known to write nothing. */
  protected statements(list: readonly Statement[], from = 0, to = list.length, quiet: readonly boolean[] = NONE): void {
    for (let i = from; i < to; i++) {
      if (quiet[i]) continue;
      const s = list[i];
      if (!isValue(s)) this.effect(s);
      else if (this.values.get(s) === undefined) this.#placeOrExtend(s, list, i, to);
    }
  }
  /** A load that a vector is made of at once goes there at once. */
  #placeOrExtend(s: Value, list: readonly Statement[], i: number, to: number): void {
    const vector = s.kind === 'load' && this.placement.uses.get(s) === 1 ? extensionOf(s, list, i, to) : undefined;
    if (s.kind !== 'load' || vector === undefined) {
      this.place(s);
      return;
    }
    this.load(s, true);
    this.keep(vector);
  }

  /** Computes a value into a local, unless it is not needed or computed where it is used. */
  protected place(v: Value): void {
    const uses = this.placement.uses.get(v) ?? 0;
    if (v.kind === 'load') {
      this.load(v);
      if (uses === 0) this.code.byte(OP.drop);
      else this.keep(v);
      return;
    }
    if (uses === 0 || this.placement.inlined.has(v) || isRepeated(v) || v.kind === 'result') return;
    this.compute(v, false);
    this.keep(v);
  }
  protected keep(v: Value): void {
    const local = this.take(WASM_TYPE[v.type]);
    this.values.set(v, local);
    this.code.set(local);
  }

  protected effect(s: Exclude<Statement, Value>): void {
    const code = this.code;
    switch (s.kind) {
      case 'set':
        this.writeState(s);
        break;
      case 'setAt':
        this.writeFile(s);
        break;
      case 'writeVariable':
        this.push(s.value);
        this.code.set(this.variable(s.variable.id, s.variable.type));
        break;
      case 'store':
        this.store(s);
        break;
      case 'storePhysical':
        this.storePhysical(s.address, s.value);
        break;
      case 'storeRaw':
        this.push(s.address);
        this.push(s.value, true);
        writeStore(code, s.value.type, 0);
        break;
      case 'copyRaw':
        for (const v of [s.to, s.from, s.bytes]) this.push(v);
        code.memoryCopy();
        break;
      case 'fillRaw':
        for (const v of [s.to, s.value, s.bytes]) this.push(v);
        code.memoryFill();
        break;
      case 'call':
        this.call(s);
        break;
      case 'if':
        this.if(s);
        break;
      case 'loop':
        this.loop(s.id, s.body);
        break;
      case 'break':
        this.code.indexed(OP.br, this.depth - this.loops!.get(s.loop)!);
        break;
      default:
        this.end(s);
    }
  }

  protected writeState({ state, value }: SetNode): void {
    this.code.i32(0);
    this.push(value, true);
    writeStore(this.code, state.type, this.target.cpuBase + state.offset);
  }
  protected writeFile({ file, at, value }: SetAtNode): void {
    this.push(at);
    this.push(value, true);
    writeStore(this.code, value.type, this.target.cpuBase + file.offset);
  }

  protected end(s: Extract<Statement, { kind: 'return' | 'raise' | 'jump' | 'exit' }>): void {
    const code = this.code;
    switch (s.kind) {
      case 'return':
        for (const v of s.values) this.push(v);
        this.target.return(code, this.depth);
        break;
      case 'raise':
        this.setState(FAULT_VECTOR.offset, () => this.push(s.vector));
        this.setState(FAULT_HAS_CODE.offset, () => this.code.i32(s.errorCode === undefined ? 0 : 1));
        if (s.errorCode !== undefined) this.setState(FAULT_CODE.offset, () => this.push(s.errorCode!));
        this.setState(FAULT.offset, () => this.code.i32(1));
        this.target.fault(code, this.depth);
        break;
      case 'jump':
        this.target.jump(code, this.depth, s.link, () => this.push(s.target));
        break;
      case 'exit':
        this.target.exit(code, this.depth, s.reason);
        break;
      default:
        s satisfies never;
    }
  }

  protected setState(offset: number, push: () => void): void {
    this.code.i32(0);
    push();
    writeStore(this.code, 'i32', this.target.cpuBase + offset);
  }

  protected if({ condition, consequent: then, alternate: otherwise, rare }: IfNode): void {
    this.pushCondition(condition);
    if (rare) this.code.hint(false);
    this.code.open(OP.if);
    this.depth++;
    this.statements(then);
    if (otherwise.length > 0) {
      this.code.byte(OP.else);
      this.statements(otherwise);
    }
    this.depth--;
    this.code.byte(OP.end);
  }

  protected loop(id: number, body: readonly Statement[]): void {
    this.code.open(OP.block);
    this.depth++;
    this.loops ??= new Map();
    this.loops.set(id, this.depth);
    this.code.open(OP.loop);
    this.depth++;
    this.statements(body);
    this.code.indexed(OP.br, 0);
    this.depth -= 2;
    this.code.byte(OP.end);
    this.code.byte(OP.end);
  }

  protected call(s: CallNode): void {
    const pure = isPure(s.target);
    if (pure && this.placement.results.get(s) === undefined) return;
    for (const v of s.args) this.push(v);
    if (!pure) this.target.beforeCall(this.code);
    this.code.indexed(OP.call, this.target.functionIndex(s.target));
    const results = this.placementOfResults(s);
    for (const local of results.reverse()) {
      if (local === undefined) this.code.byte(OP.drop);
      else this.code.set(local);
    }
    if (s.target.mayFault && !s.guarded) this.checkFault();
  }
  /** A local for each result that is used. */
  protected placementOfResults(s: CallNode): (number | undefined)[] {
    const nodes = this.placement.results.get(s);
    return s.target.results.map((type, i) => {
      const node = nodes?.[i];
      if (node === undefined) return undefined;
      const local = this.take(WASM_TYPE[type]);
      this.values.set(node, local);
      return local;
    });
  }
}

/** Statements behind a load among which its extension is looked for. */
const NEAR = 3;

/** The operation right behind a load that puts it into the lowest lane of a vector of zeros. */
function extensionOf(load: Value, list: readonly Statement[], i: number, to: number): Value | undefined {
  for (let n = i + 1; n < Math.min(to, i + 1 + NEAR); n++) {
    const s = list[n];
    if (s.kind !== 'op' || (s.op !== 'i64x2.replace' && s.op !== 'i32x4.replace')) continue;
    const [vector, value] = s.args;
    if (value === load && vector.kind === 'const' && vector.value === 0n && s.immediate[0] === 0) return s;
  }
  return undefined;
}
