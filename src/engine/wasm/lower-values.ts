/** Values of the IR as WebAssembly expressions. */
import { type GetAtNode, type GetNode, type OpNode, type Type, type Value, WIDTH } from '../../isa/ir/types.ts';
import { RAM_SIZE } from '../../isa/x86/state.ts';
import { ABSENT_PAGES, RAM_BASE } from '../layout.ts';
import { type ByteWriter, OP, TYPE_CODE, type WasmType } from './encoder.ts';
import { arrive } from './late-pages.ts';
import { analyse, type Placement } from './liveness.ts';
import {
  FLOAT,
  MODULAR,
  SIGNED,
  UNSIGNED,
  WASM_TYPE,
  writeFloatConversion,
  writeLoad,
  writeMask,
  writeSignExtension,
  writeVectorOp,
} from './op-code.ts';
import { StatementMap } from './statement-map.ts';
import type { Locals, Target } from './target.ts';
import { VECTOR_OPCODES } from './vector-opcodes.ts';

/** How an operation is written. */
type Group =
  | 'vector'
  | 'select'
  | 'trunc'
  | 'zext'
  | 'sext'
  | 'float'
  | 'conversion'
  | 'modular'
  | 'unsigned'
  | 'signed'
  | 'integer';

/** With the opcodes of those that have one for each width. */
interface Operation {
  readonly group: Group;
  readonly i32: number;
  readonly i64: number;
}
const operations = new Map<string, Operation>();
function operationOf(op: string): Operation {
  const known = operations.get(op);
  if (known !== undefined) return known;
  const { i32, i64 } = MODULAR[op] ?? UNSIGNED[op] ?? SIGNED[op] ?? NO_OPCODE;
  const operation = { group: findGroup(op), i32, i64 };
  operations.set(op, operation);
  return operation;
}
const NO_OPCODE = { i32: OP.unreachable, i64: OP.unreachable };
function findGroup(op: string): Group {
  const [how] = op.split('.');
  if (op in VECTOR_OPCODES) return 'vector';
  if (how === 'select' || how === 'trunc' || how === 'zext' || how === 'sext') return how;
  if (op in FLOAT) return 'float';
  if (op.includes('.')) return 'conversion';
  if (op in MODULAR) return 'modular';
  if (op in UNSIGNED) return 'unsigned';
  return op in SIGNED ? 'signed' : 'integer';
}

export class ValueLowering {
  protected readonly code: ByteWriter;
  protected readonly locals: Locals;
  protected readonly target: Target;
  protected placement: Placement = analyse([]);
  protected values = new StatementMap<number>(0);
  protected variables: Map<number, number> | undefined;
  protected loops: Map<number, number> | undefined;
  protected taken: [WasmType, number][] = [];
  /** Labels open inside the body. */
  protected depth = 0;

  constructor(code: ByteWriter, locals: Locals, target: Target) {
    this.code = code;
    this.locals = locals;
    this.target = target;
  }

  protected take(type: WasmType): number {
    const index = this.locals.take(type);
    this.taken.push([type, index]);
    return index;
  }
  protected variable(id: number, type: Type): number {
    this.variables ??= new Map();
    const known = this.variables.get(id);
    if (known !== undefined) return known;
    const local = this.take(WASM_TYPE[type]);
    this.variables.set(id, local);
    return local;
  }

  /** The value in a local, for several uses. */
  protected inLocal(v: Value): number {
    const known = this.values.get(v);
    if (known !== undefined) return known;
    this.push(v);
    const local = this.take(WASM_TYPE[v.type]);
    this.code.set(local);
    return local;
  }

  /** Pushes whether an aligned physical address is RAM. */
  protected isRam(address: number): void {
    this.code.get(address);
    this.code.i32(0);
    writeLoad(this.code, 'i64', this.target.cpuBase + RAM_SIZE.offset);
    this.code.byte(OP.i64_lt_u);
  }
  /** The page of a physical address in RAM comes, where any page is still to come. */
  protected arrived(address: number): void {
    this.code.i32(0);
    writeLoad(this.code, 'i32', ABSENT_PAGES);
    this.code.hint(false);
    this.code.open(OP.if);
    this.code.get(address);
    this.code.indexed(OP.call, this.target.functionIndex(arrive));
    this.code.byte(OP.end);
  }
  /** What is not RAM reads as zero: a page table there maps nothing. */
  protected loadPhysical(v: Value, type: Type): void {
    const address = this.inLocal(v);
    this.isRam(address);
    this.code.open(OP.if, TYPE_CODE[WASM_TYPE[type]]);
    this.arrived(address);
    this.code.get(address);
    this.code.byte(OP.i32_wrap_i64);
    writeLoad(this.code, type, RAM_BASE);
    this.code.byte(OP.else);
    this.constant(type, 0n);
    this.code.byte(OP.end);
  }

  /** Pushes a value. `loose`: what lies above a narrow integer may be anything. */
  protected push(v: Value, loose = false): void {
    const local = this.values.get(v);
    if (local !== undefined) this.code.get(local);
    else this.compute(v, loose);
  }

  /** Pushes something that is zero exactly where the truth value is false. */
  protected pushCondition(v: Value): void {
    if (v.kind === 'op' && v.op === 'ne' && this.placement.inlined.has(v) && WASM_TYPE[v.args[0].type] === 'i32') {
      const [a, b] = v.args;
      if (b.kind === 'const' && b.value === 0n) {
        this.push(a);
        return;
      }
    }
    this.push(v);
  }

  protected compute(v: Value, loose: boolean): void {
    const code = this.code;
    switch (v.kind) {
      case 'const':
        this.constant(v.type, v.value);
        break;
      case 'field':
        this.target.field(code, v);
        break;
      case 'parameter':
        this.code.get(v.index);
        break;
      case 'get':
        this.readState(v);
        break;
      case 'getAt':
        this.readFile(v, loose);
        break;
      case 'readVariable':
        this.code.get(this.variable(v.variable.id, v.type));
        break;
      case 'loadPhysical':
        this.loadPhysical(v.address, v.type);
        break;
      case 'loadRaw':
        this.push(v.address);
        writeLoad(code, v.type, 0);
        break;
      case 'op':
        this.operation(v, loose);
        break;
      default:
        throw new Error(`IR value ${v.kind} has no local`);
    }
  }

  protected readState({ type, state }: GetNode): void {
    this.code.i32(0);
    writeLoad(this.code, type, this.target.cpuBase + state.offset);
  }
  protected readFile({ type, file, at }: GetAtNode, _loose: boolean): void {
    this.push(at);
    writeLoad(this.code, type, this.target.cpuBase + file.offset);
  }

  protected constant(type: Type, value: bigint): void {
    const code = this.code;
    switch (WASM_TYPE[type]) {
      case 'i32':
        this.code.i32(Number(value) | 0);
        break;
      case 'i64':
        code.i64(value);
        break;
      case 'v128':
        code.byte(0xfd);
        code.u32(12);
        for (let i = 0n; i < 16n; i++) code.byte(Number((value >> (i * 8n)) & 0xffn));
        break;
      case 'f32':
      case 'f64':
        this.code.byte(type === 'f32' ? OP.f32_const : OP.f64_const);
        for (let i = 0; i < WIDTH[type] / 8; i++) code.byte(Number((value >> BigInt(i * 8)) & 0xffn));
        break;
    }
  }

  protected vector(op: string, immediate: readonly number[]): void {
    writeVectorOp(this.code, op, immediate);
  }

  protected operation(v: OpNode, loose: boolean): void {
    const { op, args } = v;
    const operation = operationOf(op);
    switch (operation.group) {
      case 'vector':
        for (const a of args) this.push(a);
        this.vector(op, v.immediate);
        break;
      case 'select':
        this.select(v);
        break;
      case 'trunc':
      case 'zext':
      case 'sext':
        this.resize(v, operation.group, loose);
        break;
      case 'float':
        for (const a of args) this.push(a);
        this.code.byte(FLOAT[op][args[0].type as 'f32' | 'f64']);
        break;
      case 'conversion':
        this.push(args[0]);
        if (!writeFloatConversion(this.code, op, args[0].type)) throw new Error(`no code for ${op} of ${args[0].type}`);
        break;
      case 'modular':
        this.modular(v, args[0].type === 'i64' ? operation.i64 : operation.i32, loose);
        break;
      default:
        this.integer(v, operation, loose);
    }
  }

  protected select(v: OpNode): void {
    const [condition, a, b] = v.args;
    this.push(a);
    this.push(b);
    this.pushCondition(condition);
    if (v.type === 'i128') {
      this.code.byte(OP.select_typed);
      this.code.u32(1);
      this.code.byte(TYPE_CODE.v128);
    } else this.code.byte(OP.select);
  }

  protected resize(v: OpNode, how: 'trunc' | 'zext' | 'sext', loose: boolean): void {
    const a = v.args[0];
    const from = WASM_TYPE[a.type];
    const to = WASM_TYPE[v.type];
    const truncates = how === 'trunc';
    this.push(a, truncates && from === 'i32');
    if (how === 'sext') writeSignExtension(this.code, a.type);
    if (from === 'i64' && to === 'i32') this.code.byte(OP.i32_wrap_i64);
    if (from === 'i32' && to === 'i64') this.code.byte(how === 'sext' ? OP.i64_extend_i32_s : OP.i64_extend_i32_u);
    if ((truncates && !loose) || (how === 'sext' && to === 'i32' && !loose)) writeMask(this.code, v.type);
  }

  protected integer(v: OpNode, { group, i32, i64 }: Operation, loose: boolean): void {
    const { op, args } = v;
    const [a, b] = args;
    const type = a.type === 'i64' ? 'i64' : 'i32';
    const code = type === 'i64' ? i64 : i32;
    if (op === 'shl') {
      this.push(a, true);
      this.push(b);
      this.code.byte(type === 'i64' ? OP.i64_shl : OP.i32_shl);
      if (!loose) writeMask(this.code, v.type);
    } else if (op === 'eq' && b.kind === 'const' && b.value === 0n) {
      this.push(a);
      this.code.byte(type === 'i64' ? OP.i64_eqz : OP.i32_eqz);
    } else if (group === 'unsigned') {
      for (const arg of args) this.push(arg);
      this.code.byte(code);
    } else if (group === 'signed') {
      for (const arg of args) {
        this.push(arg, true);
        writeSignExtension(this.code, arg.type);
      }
      this.code.byte(code);
      if (v.type !== 'i1') writeMask(this.code, v.type);
    } else if (op === 'shr_s') {
      this.push(a, true);
      writeSignExtension(this.code, a.type);
      this.push(b);
      this.code.byte(type === 'i64' ? OP.i64_shr_s : OP.i32_shr_s);
      if (!loose) writeMask(this.code, v.type);
    } else this.count(v, type);
  }

  protected modular(v: OpNode, code: number, loose: boolean): void {
    const [a, b] = v.args;
    const keepsZeros = v.op === 'and' || v.op === 'or' || v.op === 'xor';
    if (v.op === 'xor' && v.type === 'i1' && b.kind === 'const') {
      this.push(a);
      this.code.byte(OP.i32_eqz);
      return;
    }
    const looseArguments = loose || !keepsZeros;
    this.push(a, looseArguments);
    this.push(b, looseArguments);
    this.code.byte(code);
    if (!loose && !keepsZeros) writeMask(this.code, v.type);
  }

  protected count(v: OpNode, type: 'i32' | 'i64'): void {
    const [a] = v.args;
    const spare = (type === 'i64' ? 64 : 32) - WIDTH[a.type];
    this.push(a);
    if (v.op === 'ctz') {
      if (spare > 0) {
        this.code.i32(2 ** WIDTH[a.type]);
        this.code.byte(OP.i32_or);
      }
      this.code.byte(type === 'i64' ? OP.i64_ctz : OP.i32_ctz);
    } else if (v.op === 'clz') {
      this.code.byte(type === 'i64' ? OP.i64_clz : OP.i32_clz);
      if (spare > 0) {
        this.code.i32(spare);
        this.code.byte(OP.i32_sub);
      }
    } else throw new Error(`no code for ${v.op}`);
  }
}
