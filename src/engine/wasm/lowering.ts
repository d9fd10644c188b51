/**
 * IR to WebAssembly code. One lowering serves procedures, the interpreter's handlers and whatever binds operands otherwise: what a field
 * is and how a body ends is the caller's.
 */
import {
  type CallNode,
  type External,
  type FieldNode,
  isValue,
  type LoadNode,
  type OpNode,
  type Procedure,
  type Statement,
  type StoreNode,
  type Type,
  type Value,
  WIDTH,
} from '../../isa/ir/types.ts';
import {
  FAULT,
  FAULT_CODE,
  FAULT_HAS_CODE,
  FAULT_VECTOR,
  RAM_SIZE,
  TLB_BANK,
  TLB_BANK_SUPERVISOR,
} from '../../isa/x86/state.ts';
import { PAGE_SIZE, RAM_BASE } from '../layout.ts';
import { type ByteWriter, OP, TYPE_CODE, type WasmType } from './encoder.ts';
import { analyse, isRepeated, type Placement } from './liveness.ts';
import {
  FLOAT,
  MODULAR,
  SIGNED,
  UNSIGNED,
  WASM_TYPE,
  writeFloatConversion,
  writeMask,
  writeMemoryOp,
  writeSignExtension,
} from './op-code.ts';
import { slowLoad, slowStore } from './slow-path.ts';
import { TLB_ENTRY, TLB_INDEX_MASK } from './tlb.ts';
import { VECTOR_OPCODES } from './vector-opcodes.ts';

/** Locals of one function by type; released ones are used again. */
export class Locals {
  readonly #types: WasmType[] = [];
  readonly #free = new Map<WasmType, number[]>();
  readonly #first: number;

  /** `parameters`: locals that the function's parameters take. */
  constructor(parameters: number) {
    this.#first = parameters;
  }
  take(type: WasmType): number {
    const free = this.#free.get(type)?.pop();
    return free ?? this.#first + this.#types.push(type) - 1;
  }
  release(type: WasmType, index: number): void {
    const list = this.#free.get(type);
    if (list === undefined) this.#free.set(type, [index]);
    else list.push(index);
  }
  /** The vector of local declarations. */
  write(code: ByteWriter): void {
    code.u32(this.#types.length);
    for (const t of this.#types) {
      code.u32(1);
      code.byte(TYPE_CODE[t]);
    }
  }
}

/** What a body is lowered into. */
export interface Target {
  /** Where the virtual CPU's state starts in linear memory. */
  readonly cpuBase: number;
  functionIndex(target: Procedure | External): number;
  /** Pushes the operand's value. */
  field(code: ByteWriter, node: FieldNode): void;
  /** Before anything that may look at the instruction from outside. */
  beforeCall(code: ByteWriter): void;
  /** Leaves the body; `depth` labels are open inside it. */
  fault(code: ByteWriter, depth: number): void;
  /** The target instruction pointer is on the stack through `pushTarget`. */
  jump(code: ByteWriter, depth: number, link: 0 | 1 | undefined, pushTarget: () => void): void;
  exit(code: ByteWriter, depth: number, reason: number): void;
  return(code: ByteWriter, depth: number): void;
}

const BLOCK_EMPTY = 0x40;

export class Lowering {
  readonly #code: ByteWriter;
  readonly #locals: Locals;
  readonly #target: Target;
  #placement: Placement = { uses: new Map(), inlined: new Set() };
  #values = new Map<Value, number>();
  #variables = new Map<number, number>();
  #loops = new Map<number, number>();
  #taken: [WasmType, number][] = [];
  /** Labels open inside the body. */
  #depth = 0;

  constructor(code: ByteWriter, locals: Locals, target: Target) {
    this.#code = code;
    this.#locals = locals;
    this.#target = target;
  }

  /** Writes a whole body; its locals are free again afterwards. */
  body(statements: readonly Statement[]): void {
    this.#placement = analyse(statements);
    this.#values = new Map();
    this.#variables = new Map();
    this.#loops = new Map();
    this.#statements(statements);
    for (const [type, index] of this.#taken) this.#locals.release(type, index);
    this.#taken = [];
  }

  #take(type: WasmType): number {
    const index = this.#locals.take(type);
    this.#taken.push([type, index]);
    return index;
  }
  #op(name: keyof typeof OP): void {
    this.#code.byte(OP[name]);
  }
  #i32(n: number): void {
    this.#op('i32_const');
    this.#code.s32(n);
  }
  #local(op: 'local_get' | 'local_set' | 'local_tee', index: number): void {
    this.#op(op);
    this.#code.u32(index);
  }

  // --- statements ---------------------------------------------------------------------------------------------------------------

  #statements(list: readonly Statement[]): void {
    for (const s of list) {
      if (isValue(s)) this.#place(s);
      else this.#effect(s);
    }
  }

  /** Computes a value into a local, unless it is not needed or computed where it is used. */
  #place(v: Value): void {
    const uses = this.#placement.uses.get(v) ?? 0;
    if (v.kind === 'load') {
      this.#load(v);
      if (uses === 0) this.#op('drop');
      else this.#keep(v);
      return;
    }
    if (uses === 0 || this.#placement.inlined.has(v) || isRepeated(v) || v.kind === 'result') return;
    this.#compute(v, false);
    this.#keep(v);
  }
  #keep(v: Value): void {
    const local = this.#take(WASM_TYPE[v.type]);
    this.#values.set(v, local);
    this.#local('local_set', local);
  }

  #effect(s: Exclude<Statement, Value>): void {
    const code = this.#code;
    switch (s.kind) {
      case 'set':
        this.#i32(0);
        this.#push(s.value, true);
        writeMemoryOp(code, 'store', s.state.type, this.#target.cpuBase + s.state.offset);
        break;
      case 'setAt':
        this.#push(s.at);
        this.#push(s.value, true);
        writeMemoryOp(code, 'store', s.value.type, this.#target.cpuBase + s.file.offset);
        break;
      case 'writeVariable':
        this.#push(s.value);
        this.#local('local_set', this.#variable(s.variable.id, s.variable.type));
        break;
      case 'store':
        this.#store(s);
        break;
      case 'storePhysical':
        this.#storePhysical(s.address, s.value);
        break;
      case 'storeRaw':
        this.#push(s.address);
        this.#push(s.value, true);
        writeMemoryOp(code, 'store', s.value.type, 0);
        break;
      case 'call':
        this.#call(s);
        break;
      case 'if':
        this.#if(s.condition, s.consequent, s.alternate);
        break;
      case 'loop':
        this.#loop(s.id, s.body);
        break;
      case 'break':
        this.#op('br');
        code.u32(this.#depth - this.#loops.get(s.loop)!);
        break;
      default:
        this.#end(s);
    }
  }

  #end(s: Extract<Statement, { kind: 'return' | 'raise' | 'jump' | 'exit' }>): void {
    const code = this.#code;
    switch (s.kind) {
      case 'return':
        for (const v of s.values) this.#push(v);
        this.#target.return(code, this.#depth);
        break;
      case 'raise':
        this.#setState(FAULT_VECTOR.offset, () => this.#push(s.vector));
        this.#setState(FAULT_HAS_CODE.offset, () => this.#i32(s.errorCode === undefined ? 0 : 1));
        if (s.errorCode !== undefined) this.#setState(FAULT_CODE.offset, () => this.#push(s.errorCode!));
        this.#setState(FAULT.offset, () => this.#i32(1));
        this.#target.fault(code, this.#depth);
        break;
      case 'jump':
        this.#target.jump(code, this.#depth, s.link, () => this.#push(s.target));
        break;
      case 'exit':
        this.#target.exit(code, this.#depth, s.reason);
        break;
      default:
        s satisfies never;
    }
  }

  #setState(offset: number, push: () => void): void {
    this.#i32(0);
    push();
    writeMemoryOp(this.#code, 'store', 'i32', this.#target.cpuBase + offset);
  }

  #variable(id: number, type: Type): number {
    const known = this.#variables.get(id);
    if (known !== undefined) return known;
    const local = this.#take(WASM_TYPE[type]);
    this.#variables.set(id, local);
    return local;
  }

  #if(condition: Value, then: readonly Statement[], otherwise: readonly Statement[]): void {
    this.#pushCondition(condition);
    this.#op('if');
    this.#code.byte(BLOCK_EMPTY);
    this.#depth++;
    this.#statements(then);
    if (otherwise.length > 0) {
      this.#op('else');
      this.#statements(otherwise);
    }
    this.#depth--;
    this.#op('end');
  }

  #loop(id: number, body: readonly Statement[]): void {
    this.#op('block');
    this.#code.byte(BLOCK_EMPTY);
    this.#depth++;
    this.#loops.set(id, this.#depth);
    this.#op('loop');
    this.#code.byte(BLOCK_EMPTY);
    this.#depth++;
    this.#statements(body);
    this.#op('br');
    this.#code.u32(0);
    this.#depth -= 2;
    this.#op('end');
    this.#op('end');
  }

  #call(s: CallNode): void {
    for (const v of s.args) this.#push(v);
    this.#target.beforeCall(this.#code);
    this.#op('call');
    this.#code.u32(this.#target.functionIndex(s.target));
    const results = this.#placementOfResults(s);
    for (const local of results.reverse()) {
      if (local === undefined) this.#op('drop');
      else this.#local('local_set', local);
    }
    if (s.target.mayFault && !s.guarded) this.#checkFault();
  }
  /** A local for each result that is used. */
  #placementOfResults(s: CallNode): (number | undefined)[] {
    const nodes = new Map<number, Value>();
    for (const [v] of this.#placement.uses) if (v.kind === 'result' && v.call === s) nodes.set(v.index, v);
    return s.target.results.map((type, i) => {
      const node = nodes.get(i);
      if (node === undefined) return undefined;
      const local = this.#take(WASM_TYPE[type]);
      this.#values.set(node, local);
      return local;
    });
  }
  #checkFault(): void {
    this.#i32(0);
    writeMemoryOp(this.#code, 'load', 'i32', this.#target.cpuBase + FAULT.offset);
    this.#op('if');
    this.#code.byte(BLOCK_EMPTY);
    this.#target.fault(this.#code, this.#depth + 1);
    this.#op('end');
  }

  // --- memory -------------------------------------------------------------------------------------------------------------------

  /** Pushes whether an aligned physical address is RAM. */
  #isRam(address: number): void {
    this.#local('local_get', address);
    this.#i32(0);
    writeMemoryOp(this.#code, 'load', 'i64', this.#target.cpuBase + RAM_SIZE.offset);
    this.#op('i64_lt_u');
  }
  /** What is not RAM reads as zero: a page table there maps nothing. */
  #loadPhysical(v: Value, type: Type): void {
    const address = this.#inLocal(v);
    this.#isRam(address);
    this.#op('if');
    this.#code.byte(TYPE_CODE[WASM_TYPE[type]]);
    this.#local('local_get', address);
    this.#op('i32_wrap_i64');
    writeMemoryOp(this.#code, 'load', type, RAM_BASE);
    this.#op('else');
    this.#constant(type, 0n);
    this.#op('end');
  }
  #storePhysical(v: Value, value: Value): void {
    const address = this.#inLocal(v);
    this.#isRam(address);
    this.#op('if');
    this.#code.byte(BLOCK_EMPTY);
    this.#local('local_get', address);
    this.#op('i32_wrap_i64');
    this.#push(value, true);
    writeMemoryOp(this.#code, 'store', value.type, RAM_BASE);
    this.#op('end');
  }

  /** The value in a local, for several uses. */
  #inLocal(v: Value): number {
    const known = this.#values.get(v);
    if (known !== undefined) return known;
    this.#push(v);
    const local = this.#take(WASM_TYPE[v.type]);
    this.#local('local_set', local);
    return local;
  }

  /** Pushes whether the TLB has the page of all `bytes` at `address` in the tag `tag`; the entry's place is in the local returned. */
  #lookUp(address: number, bytes: number, tag: number, access: 'current' | 'supervisor'): number {
    const code = this.#code;
    const entry = this.#take('i32');
    this.#local('local_get', address);
    this.#op('i64_const');
    code.s64(7n);
    this.#op('i64_shr_u');
    this.#op('i32_wrap_i64');
    this.#i32(TLB_INDEX_MASK);
    this.#op('i32_and');
    this.#i32(0);
    const bank = access === 'current' ? TLB_BANK : TLB_BANK_SUPERVISOR;
    writeMemoryOp(code, 'load', 'i32', this.#target.cpuBase + bank.offset);
    this.#op('i32_add');
    this.#local('local_tee', entry);
    writeMemoryOp(code, 'load', 'i64', tag);
    this.#local('local_get', address);
    if (bytes > 1) {
      this.#op('i64_const');
      code.s64(BigInt(bytes - 1));
      this.#op('i64_add');
    }
    this.#op('i64_const');
    code.s64(BigInt(-PAGE_SIZE));
    this.#op('i64_and');
    this.#op('i64_eq');
    return entry;
  }
  #hostAddress(address: number, entry: number): void {
    this.#local('local_get', address);
    this.#op('i32_wrap_i64');
    this.#local('local_get', entry);
    writeMemoryOp(this.#code, 'load', 'i32', TLB_ENTRY.addend);
    this.#op('i32_add');
  }

  /** Leaves the loaded value on the stack. */
  #load(v: LoadNode): void {
    const address = this.#inLocal(v.address);
    const tag = v.forWrite ? TLB_ENTRY.writeTag : TLB_ENTRY.readTag;
    const entry = this.#lookUp(address, WIDTH[v.type] / 8, tag, v.access);
    this.#op('if');
    this.#code.byte(TYPE_CODE[WASM_TYPE[v.type]]);
    this.#hostAddress(address, entry);
    writeMemoryOp(this.#code, 'load', v.type, 0);
    this.#op('else');
    this.#local('local_get', address);
    this.#slowCall(slowLoad(v.type, v.access, v.forWrite));
    this.#op('end');
  }

  #store(s: StoreNode): void {
    const { type } = s.value;
    const address = this.#inLocal(s.address);
    const value = s.value.kind === 'const' ? undefined : this.#inLocal(s.value);
    const pushValue = (): void => {
      if (value === undefined) this.#push(s.value);
      else this.#local('local_get', value);
    };
    const entry = this.#lookUp(address, WIDTH[type] / 8, TLB_ENTRY.writeTag, s.access);
    this.#op('if');
    this.#code.byte(BLOCK_EMPTY);
    this.#hostAddress(address, entry);
    pushValue();
    writeMemoryOp(this.#code, 'store', type, 0);
    this.#op('else');
    this.#local('local_get', address);
    pushValue();
    this.#slowCall(slowStore(type, s.access));
    this.#op('end');
  }

  #slowCall(procedure: Procedure): void {
    this.#target.beforeCall(this.#code);
    this.#op('call');
    this.#code.u32(this.#target.functionIndex(procedure));
    this.#depth++;
    this.#checkFault();
    this.#depth--;
  }

  // --- values -------------------------------------------------------------------------------------------------------------------

  /** Pushes a value. `loose`: what lies above a narrow integer may be anything. */
  #push(v: Value, loose = false): void {
    const local = this.#values.get(v);
    if (local !== undefined) this.#local('local_get', local);
    else this.#compute(v, loose);
  }

  /** Pushes something that is zero exactly where the truth value is false. */
  #pushCondition(v: Value): void {
    if (v.kind === 'op' && v.op === 'ne' && this.#placement.inlined.has(v) && WASM_TYPE[v.args[0].type] === 'i32') {
      const [a, b] = v.args;
      if (b.kind === 'const' && b.value === 0n) {
        this.#push(a);
        return;
      }
    }
    this.#push(v);
  }

  #compute(v: Value, loose: boolean): void {
    const code = this.#code;
    switch (v.kind) {
      case 'const':
        this.#constant(v.type, v.value);
        break;
      case 'field':
        this.#target.field(code, v);
        break;
      case 'parameter':
        this.#local('local_get', v.index);
        break;
      case 'get':
        this.#i32(0);
        writeMemoryOp(code, 'load', v.type, this.#target.cpuBase + v.state.offset);
        break;
      case 'getAt':
        this.#push(v.at);
        writeMemoryOp(code, 'load', v.type, this.#target.cpuBase + v.file.offset);
        break;
      case 'readVariable':
        this.#local('local_get', this.#variable(v.variable.id, v.type));
        break;
      case 'loadPhysical':
        this.#loadPhysical(v.address, v.type);
        break;
      case 'loadRaw':
        this.#push(v.address);
        writeMemoryOp(code, 'load', v.type, 0);
        break;
      case 'op':
        this.#operation(v, loose);
        break;
      default:
        throw new Error(`IR value ${v.kind} has no local`);
    }
  }

  #constant(type: Type, value: bigint): void {
    const code = this.#code;
    switch (WASM_TYPE[type]) {
      case 'i32':
        this.#i32(Number(BigInt.asIntN(32, value)));
        break;
      case 'i64':
        this.#op('i64_const');
        code.s64(value);
        break;
      case 'v128':
        code.byte(0xfd);
        code.u32(12);
        for (let i = 0n; i < 16n; i++) code.byte(Number((value >> (i * 8n)) & 0xffn));
        break;
      case 'f32':
      case 'f64':
        this.#op(type === 'f32' ? 'f32_const' : 'f64_const');
        for (let i = 0; i < WIDTH[type] / 8; i++) code.byte(Number((value >> BigInt(i * 8)) & 0xffn));
        break;
    }
  }

  #operation(v: OpNode, loose: boolean): void {
    const { op, args } = v;
    if (op in VECTOR_OPCODES) {
      for (const a of args) this.#push(a);
      this.#code.byte(0xfd);
      this.#code.u32(VECTOR_OPCODES[op]);
      for (const b of v.immediate) this.#code.byte(b);
      return;
    }
    if (op === 'select') this.#select(v);
    else if (op.startsWith('trunc.') || op.startsWith('zext.') || op.startsWith('sext.')) this.#resize(v, loose);
    else if (op in FLOAT) {
      for (const a of args) this.#push(a);
      this.#code.byte(FLOAT[op][args[0].type as 'f32' | 'f64']);
    } else if (op.includes('.')) {
      this.#push(args[0]);
      if (!writeFloatConversion(this.#code, op, args[0].type)) throw new Error(`no code for ${op} of ${args[0].type}`);
    } else this.#integer(v, loose);
  }

  #select(v: OpNode): void {
    const [condition, a, b] = v.args;
    this.#push(a);
    this.#push(b);
    this.#pushCondition(condition);
    if (v.type === 'i128') {
      this.#op('select_typed');
      this.#code.u32(1);
      this.#code.byte(TYPE_CODE.v128);
    } else this.#op('select');
  }

  #resize(v: OpNode, loose: boolean): void {
    const [a] = v.args;
    const [how] = v.op.split('.');
    const from = WASM_TYPE[a.type];
    const to = WASM_TYPE[v.type];
    const truncates = how === 'trunc';
    this.#push(a, truncates && from === 'i32');
    if (how === 'sext') writeSignExtension(this.#code, a.type);
    if (from === 'i64' && to === 'i32') this.#op('i32_wrap_i64');
    if (from === 'i32' && to === 'i64') this.#op(how === 'sext' ? 'i64_extend_i32_s' : 'i64_extend_i32_u');
    if ((truncates && !loose) || (how === 'sext' && to === 'i32' && !loose)) writeMask(this.#code, v.type);
  }

  #integer(v: OpNode, loose: boolean): void {
    const { op, args } = v;
    const [a, b] = args;
    const type = WASM_TYPE[a.type] as 'i32' | 'i64';
    if (op in MODULAR) this.#modular(v, type, loose);
    else if (op === 'shl') {
      this.#push(a, true);
      this.#push(b);
      this.#code.byte(type === 'i64' ? OP.i64_shl : OP.i32_shl);
      if (!loose) writeMask(this.#code, v.type);
    } else if (op === 'eq' && b.kind === 'const' && b.value === 0n) {
      this.#push(a);
      this.#op(type === 'i64' ? 'i64_eqz' : 'i32_eqz');
    } else if (op in UNSIGNED) {
      for (const arg of args) this.#push(arg);
      this.#code.byte(UNSIGNED[op][type]);
    } else if (op in SIGNED) {
      for (const arg of args) {
        this.#push(arg, true);
        writeSignExtension(this.#code, arg.type);
      }
      this.#code.byte(SIGNED[op][type]);
      if (v.type !== 'i1') writeMask(this.#code, v.type);
    } else if (op === 'shr_s') {
      this.#push(a, true);
      writeSignExtension(this.#code, a.type);
      this.#push(b);
      this.#code.byte(type === 'i64' ? OP.i64_shr_s : OP.i32_shr_s);
      if (!loose) writeMask(this.#code, v.type);
    } else this.#count(v, type);
  }

  #modular(v: OpNode, type: 'i32' | 'i64', loose: boolean): void {
    const [a, b] = v.args;
    const keepsZeros = v.op === 'and' || v.op === 'or' || v.op === 'xor';
    if (v.op === 'xor' && v.type === 'i1' && b.kind === 'const') {
      this.#push(a);
      this.#op('i32_eqz');
      return;
    }
    const looseArguments = loose || !keepsZeros;
    this.#push(a, looseArguments);
    this.#push(b, looseArguments);
    this.#code.byte(MODULAR[v.op][type]);
    if (!loose && !keepsZeros) writeMask(this.#code, v.type);
  }

  #count(v: OpNode, type: 'i32' | 'i64'): void {
    const [a] = v.args;
    const spare = (type === 'i64' ? 64 : 32) - WIDTH[a.type];
    this.#push(a);
    if (v.op === 'ctz') {
      if (spare > 0) {
        this.#i32(2 ** WIDTH[a.type]);
        this.#op('i32_or');
      }
      this.#op(type === 'i64' ? 'i64_ctz' : 'i32_ctz');
    } else if (v.op === 'clz') {
      this.#op(type === 'i64' ? 'i64_clz' : 'i32_clz');
      if (spare > 0) {
        this.#i32(spare);
        this.#op('i32_sub');
      }
    } else throw new Error(`no code for ${v.op}`);
  }
}
