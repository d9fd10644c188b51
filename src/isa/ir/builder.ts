/** Builds IR: a typed method per operation, constants folded as they appear. */
import { OPS } from './ops.ts';
import { asShuffle, type Shuffle } from './shuffle.ts';
import {
  type AccessKind,
  type CallNode,
  type ConstNode,
  type External,
  type FieldName,
  type IfNode,
  type IntegerType,
  type OpNode,
  type ParameterNode,
  type Procedure,
  type State,
  type StateFile,
  type Statement,
  type StateType,
  type Type,
  type Value,
  type Variable,
  WIDTH,
} from './types.ts';
import { verifyOp, verifyStatement } from './verify.ts';

/** A mutable value inside one body. */
export interface Cell {
  get(): Value;
  set(value: Value): void;
}

type Operand = Value | bigint | number;

export class IrBuilder {
  #list: Statement[] = [];
  #next: number;
  #variables = 0;
  #loops = 0;
  #openLoops: number[] = [];
  #nesting = 0;

  /** `first`: the number of the first statement, where others stand in the same body; 0 is that of none. */
  constructor(first = 1) {
    this.#next = first;
  }

  /** What was built so far. */
  get statements(): readonly Statement[] {
    return this.#list;
  }

  /** Inside an `if` or a loop: what is built may not happen, or happen again. */
  get nested(): boolean {
    return this.#nesting > 0;
  }

  /** Definitions are checked as they are built; not where they were built before. */
  protected get verifies(): boolean {
    return true;
  }

  #push<S extends Statement>(s: S): S {
    if (this.verifies) verifyStatement(s);
    this.#list.push(s);
    return s;
  }

  #collect(build: () => void): readonly Statement[] {
    const outer = this.#list;
    const inner: Statement[] = [];
    this.#list = inner;
    this.#nesting++;
    try {
      build();
    } finally {
      this.#list = outer;
      this.#nesting--;
    }
    return inner;
  }

  // --- values -------------------------------------------------------------------------------------------------------------------

  const(type: Type, value: bigint | number): Value {
    const node: Value = {
      kind: 'const',
      number: this.#next++,
      type,
      value: BigInt.asUintN(WIDTH[type], BigInt(value)),
    };
    this.#list.push(node);
    return node;
  }

  /** A number where a value of `type` is due. */
  value(type: Type, v: Operand): Value {
    return typeof v === 'object' ? v : this.const(type, v);
  }

  field(name: FieldName, type: Type): Value {
    return this.#push({ kind: 'field', number: this.#next++, type, name });
  }

  parameter(index: number, type: Type): ParameterNode {
    return this.#push({ kind: 'parameter', number: this.#next++, type, index });
  }

  /** Any pure operation by name; see `ops.ts` and `vector-ops.ts`. */
  op(op: string, args: readonly Value[], immediate: readonly number[] = NO_IMMEDIATE): Value {
    const meaning = OPS[op];
    if (meaning === undefined) throw new Error(`no IR operation ${op}`);
    const first = args[0].type;
    return this.#op(op, meaning.result(first, args.length > 1 ? args[1].type : first), args, immediate);
  }
  /** As `op`, for who knows the result's type. */
  #op(op: string, type: Type, args: readonly Value[], immediate: readonly number[]): Value {
    if (this.verifies) verifyOp(op, args);
    const constants = constantsOf(args);
    if (constants !== undefined) return this.const(type, OPS[op].evaluate(constants, args[0].type, immediate));
    const simpler = this.#simplify(op, args, immediate);
    if (simpler !== undefined) return simpler;
    const node: Value = { kind: 'op', number: this.#next++, type, op, args, immediate };
    this.#list.push(node);
    return node;
  }

  #simplify(op: string, args: readonly Value[], immediate: readonly number[]): Value | undefined {
    const a = args[0];
    const shuffle = a.type === 'i128' ? asShuffle(op, args, immediate) : undefined;
    if (shuffle !== undefined) return this.#shuffle(shuffle);
    if (a.kind === 'op' && (op === 'f64x2.extract' || op === 'f32x4.extract')) {
      const lane = laneOf(op, a, immediate);
      if (lane !== undefined) return lane;
    }
    if (op === 'select' && a.kind === 'const') return a.value === 1n ? args[1] : args[2];
    if (args.length < 2) return undefined;
    const b = args[1];
    if (op === 'add' && a.kind === 'const' && a.value === 0n) return b;
    if (b.kind !== 'const') return undefined;
    if (b.value === 0n && NEUTRAL_ZERO.has(op)) return a;
    if (op === 'and' && b.value === 0n) return b;
    if (op === 'and' && b.value === ONES[b.type]) return a;
    return undefined;
  }

  #shuffle({ sources, bytes }: Shuffle): Value | undefined {
    const [a, b = a] = sources;
    if (b === a && bytes.every((byte, i) => byte === i)) return a;
    return this.#push({
      kind: 'op',
      number: this.#next++,
      type: 'i128',
      op: 'i8x16.shuffle',
      args: [a, b],
      immediate: bytes,
    });
  }

  #binary(op: string, a: Value, b: Operand): Value {
    return this.#op(op, a.type, [a, this.value(a.type, b)], NO_IMMEDIATE);
  }
  #compare(op: string, a: Value, b: Operand): Value {
    return this.#op(op, 'i1', [a, this.value(a.type, b)], NO_IMMEDIATE);
  }
  add(a: Value, b: Operand): Value {
    return this.#binary('add', a, b);
  }
  sub(a: Value, b: Operand): Value {
    return this.#binary('sub', a, b);
  }
  mul(a: Value, b: Operand): Value {
    return this.#binary('mul', a, b);
  }
  and(a: Value, b: Operand): Value {
    return this.#binary('and', a, b);
  }
  or(a: Value, b: Operand): Value {
    return this.#binary('or', a, b);
  }
  xor(a: Value, b: Operand): Value {
    return this.#binary('xor', a, b);
  }
  /** Shift counts wrap at 64 for `i64` and at 32 for narrower types. */
  shl(a: Value, n: Operand): Value {
    return this.#binary('shl', a, n);
  }
  shrU(a: Value, n: Operand): Value {
    return this.#binary('shr_u', a, n);
  }
  shrS(a: Value, n: Operand): Value {
    return this.#binary('shr_s', a, n);
  }
  not(a: Value): Value {
    return this.xor(a, -1n);
  }
  neg(a: Value): Value {
    return this.sub(this.const(a.type, 0), a);
  }
  eq(a: Value, b: Operand): Value {
    return this.#compare('eq', a, b);
  }
  ne(a: Value, b: Operand): Value {
    return this.#compare('ne', a, b);
  }
  ltU(a: Value, b: Operand): Value {
    return this.#compare('lt_u', a, b);
  }
  leU(a: Value, b: Operand): Value {
    return this.#compare('le_u', a, b);
  }
  ltS(a: Value, b: Operand): Value {
    return this.#compare('lt_s', a, b);
  }
  leS(a: Value, b: Operand): Value {
    return this.#compare('le_s', a, b);
  }
  /** Both sides are computed; `condition` is `i1`. */
  select(condition: Value, a: Value, b: Operand): Value {
    return this.op('select', [condition, a, this.value(a.type, b)]);
  }
  /** The truth value of `v != 0`. */
  bool(v: Value): Value {
    return v.type === 'i1' ? v : this.ne(v, 0);
  }
  /** Bit `n` of `v`. */
  bit(v: Value, n: number): Value {
    return this.op('trunc.i1', [this.shrU(v, n)]);
  }

  /** Zero-extends or truncates to `type`. */
  zext(v: Value, type: IntegerType | 'i1'): Value {
    return this.#resize(v, type, 'zext');
  }
  /** Sign-extends or truncates to `type`. */
  sext(v: Value, type: IntegerType | 'i1'): Value {
    return this.#resize(v, type, 'sext');
  }
  trunc(v: Value, type: IntegerType | 'i1'): Value {
    return this.#resize(v, type, 'zext');
  }
  #resize(v: Value, type: IntegerType | 'i1', extend: 'zext' | 'sext'): Value {
    if (v.type === type) return v;
    if (v.kind === 'const')
      return this.const(type, extend === 'sext' ? BigInt.asIntN(WIDTH[v.type], v.value) : v.value);
    return this.#op(RESIZE[WIDTH[v.type] > WIDTH[type] ? 'trunc' : extend][type], type, [v], NO_IMMEDIATE);
  }

  // --- state --------------------------------------------------------------------------------------------------------------------

  get(state: State): Value {
    return this.#push({ kind: 'get', number: this.#next++, type: state.type, state });
  }
  set(state: State, value: Operand): void {
    this.#push({ kind: 'set', number: this.#next++, state, value: this.value(state.type, value) });
  }
  /** Reads `type` at byte `at` (`i32`) of a register file. */
  getAt(file: StateFile, at: Value, type: StateType): Value {
    return this.#push({ kind: 'getAt', number: this.#next++, type, file, at });
  }
  setAt(file: StateFile, at: Value, value: Value): void {
    this.#push({ kind: 'setAt', number: this.#next++, file, at, value });
  }

  // --- memory -------------------------------------------------------------------------------------------------------------------

  /** Reads memory at a linear address (`i64`); ends the instruction with #PF and the like where that is due. */
  load(type: StateType, address: Value, access: AccessKind = 'current'): Value {
    return this.#push({ kind: 'load', number: this.#next++, type, address, access, forWrite: false });
  }
  /** As `load`, where a `store` to the same place follows: the write is checked now. */
  loadForWrite(type: StateType, address: Value, access: AccessKind = 'current'): Value {
    return this.#push({ kind: 'load', number: this.#next++, type, address, access, forWrite: true });
  }
  store(address: Value, value: Value, access: AccessKind = 'current'): void {
    this.#push({ kind: 'store', number: this.#next++, address, value, access });
  }
  loadPhysical(type: IntegerType, address: Value): Value {
    return this.#push({ kind: 'loadPhysical', number: this.#next++, type, address });
  }
  storePhysical(address: Value, value: Value): void {
    this.#push({ kind: 'storePhysical', number: this.#next++, address, value });
  }
  loadRaw(type: StateType, address: Value): Value {
    return this.#push({ kind: 'loadRaw', number: this.#next++, type, address });
  }
  storeRaw(address: Value, value: Value): void {
    this.#push({ kind: 'storeRaw', number: this.#next++, address, value });
  }
  copyRaw(to: Value, from: Value, bytes: Value): void {
    this.#push({ kind: 'copyRaw', number: this.#next++, to, from, bytes });
  }
  fillRaw(to: Value, value: Value, bytes: Value): void {
    this.#push({ kind: 'fillRaw', number: this.#next++, to, value, bytes });
  }

  // --- control ------------------------------------------------------------------------------------------------------------------

  /** A mutable value, which structured control flow may change. */
  variable(initial: Value): Cell {
    const variable: Variable = { type: initial.type, id: this.#variables++ };
    const set = (value: Value): void => {
      this.#push({ kind: 'writeVariable', number: this.#next++, variable, value });
    };
    set(initial);
    return {
      get: () => this.#push({ kind: 'readVariable', number: this.#next++, type: variable.type, variable }),
      set,
    };
  }
  if(condition: Value, then: () => void, otherwise: () => void = () => {}): void {
    this.#if(condition, then, otherwise, {});
  }
  /** As `if`, for what hardly ever happens. */
  ifRarely(condition: Value, then: () => void): void {
    this.#if(condition, then, () => {}, { rare: true });
  }
  #if(condition: Value, then: () => void, otherwise: () => void, options: Pick<IfNode, 'rare'>): void {
    if (condition.kind === 'const') {
      if (condition.value === 1n) then();
      else otherwise();
      return;
    }
    const consequent = this.#collect(then);
    const alternate = this.#collect(otherwise);
    this.#push({ kind: 'if', number: this.#next++, condition, consequent, alternate, ...options });
  }
  /** Repeats `body` until `breakIf` or `break`. */
  loop(body: () => void): void {
    const id = this.#loops++;
    this.#openLoops.push(id);
    const statements = this.#collect(body);
    this.#openLoops.pop();
    this.#push({ kind: 'loop', number: this.#next++, id, body: statements });
  }
  break(): void {
    this.#push({ kind: 'break', number: this.#next++, loop: this.#openLoops.at(-1)! });
  }
  breakIf(condition: Value): void {
    this.if(condition, () => this.break());
  }
  call(target: Procedure | External, ...args: readonly Value[]): readonly Value[] {
    return this.#call(target, args, false);
  }
  /** As `call`; an exception inside is noted but does not end this body. */
  callGuarded(target: Procedure | External, ...args: readonly Value[]): readonly Value[] {
    return this.#call(target, args, true);
  }
  #call(target: Procedure | External, args: readonly Value[], guarded: boolean): readonly Value[] {
    const call: CallNode = this.#push({ kind: 'call', number: this.#next++, target, args, guarded });
    return target.results.map((type, index) =>
      this.#push({ kind: 'result', number: this.#next++, type, call, index } as const),
    );
  }
  return(...values: readonly Value[]): void {
    this.#push({ kind: 'return', number: this.#next++, values });
  }
  raise(vector: Operand, errorCode?: Operand): void {
    this.#push({
      kind: 'raise',
      number: this.#next++,
      vector: this.value('i32', vector),
      errorCode: errorCode === undefined ? undefined : this.value('i32', errorCode),
    });
  }
  jump(target: Value, link?: 0 | 1): void {
    this.#push({ kind: 'jump', number: this.#next++, target, link });
  }
  exit(reason: number): void {
    this.#push({ kind: 'exit', number: this.#next++, reason });
  }
}

const NO_IMMEDIATE: readonly number[] = [];
const resizes = (how: string) =>
  ({ i1: `${how}.i1`, i8: `${how}.i8`, i16: `${how}.i16`, i32: `${how}.i32`, i64: `${how}.i64` }) as const;
const RESIZE = { trunc: resizes('trunc'), zext: resizes('zext'), sext: resizes('sext') } as const;
/** All bits of each type. */
const ONES = Object.fromEntries(Object.entries(WIDTH).map(([type, width]) => [type, (1n << BigInt(width)) - 1n]));

/** What all of them are; undefined unless all are constants. */
function constantsOf(args: readonly Value[]): readonly bigint[] | undefined {
  for (let i = 0; i < args.length; i++) if (args[i].kind !== 'const') return undefined;
  return args.map((a) => (a as ConstNode).value);
}

/** The lane that `op` takes of a vector, where it was put there. */
function laneOf(
  op: 'f64x2.extract' | 'f32x4.extract',
  { op: made, args, immediate }: OpNode,
  [lane]: readonly number[],
): Value | undefined {
  const isPut = made === (op === 'f64x2.extract' ? 'f64x2.replace' : 'f32x4.replace') && immediate[0] === lane;
  return isPut ? args[1] : undefined;
}

const NEUTRAL_ZERO = new Set(['add', 'sub', 'or', 'xor', 'shl', 'shr_u', 'shr_s']);
