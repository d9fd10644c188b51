/** What x86 semantics are written with: the IR builder plus operands, addresses, flags, stack and faults of the processor. */
import { IrBuilder } from '../ir/builder.ts';
import { procedure } from '../ir/procedure.ts';
import {
  type AccessKind,
  type External,
  type IntegerType,
  integerType,
  type Procedure,
  type State,
  type StateType,
  type Type,
  type Value,
  WIDTH,
} from '../ir/types.ts';
import type { Parameters } from './definition.ts';
import { VECTOR } from './exceptions.ts';
import { Flags } from './flags.ts';
import { checkFpu, checkSegment } from './procedures/checks.ts';
import type { Looks } from './procedures/sse-ranges.ts';
import {
  CPL,
  CS_AT,
  FPU_BLOCKED,
  FPU_GROUP,
  GPR,
  IP_BASE,
  RSP,
  SEGMENT,
  SEGMENTS,
  SS_AT,
  STACK_MASK,
} from './state.ts';

/** Parameters of procedures: they serve every mode. */
const NEUTRAL: Parameters = {
  operandSize: 64,
  addressSize: 64,
  long: false,
  memory: false,
  segmented: true,
  rep: 'none',
};

export class X86Builder extends IrBuilder {
  readonly flags: Flags;
  #parameters: Parameters;
  #absolute = false;
  #address: Value | undefined;
  /** Groups of instructions that were found to be allowed. */
  readonly #allowed = new Set<keyof typeof FPU_GROUP>();
  /** At vector registers, as far as several are looked at as one. */
  readonly looks: Looks;
  /** What `remembered` gave. */
  readonly #remembered = new Map<object, unknown>();
  /** Addresses of the instruction's memory operand in 64-bit mode, which may be no addresses. */
  #operandAddresses: Value[] = [];

  /** `absolute`: the address of the memory operand is the immediate (operand code O). */
  constructor(parameters: Parameters = NEUTRAL, absolute = false, wanted: Looks['wanted'] = []) {
    super();
    this.looks = { wanted, found: [] };
    this.flags = new Flags(this);
    this.#parameters = parameters;
    this.begin(parameters, absolute);
  }

  /** Goes on with another instruction. */
  begin(parameters: Parameters, absolute: boolean): void {
    this.#parameters = parameters;
    this.#absolute = absolute;
    if (this.#operandAddresses.length > 0) this.#operandAddresses = [];
    // Computed at the front, so that every later use sees it; what is not used vanishes.
    this.#address = parameters.memory || absolute ? this.#effectiveAddress() : undefined;
  }

  get parameters(): Parameters {
    return this.#parameters;
  }

  get operandType(): IntegerType {
    return integerType(this.parameters.operandSize);
  }

  /** The immediate as a value of `type`; the decoder has extended it to 64 bits. */
  immediate(type: IntegerType): Value {
    return this.trunc(this.field('immediate', 'i64'), type);
  }

  // --- registers ----------------------------------------------------------------------------------------------------------------

  /** General register `n` (0 RAX … 15 R15), its low `type`. */
  register(n: number, type: IntegerType): Value {
    return this.getAt(GPR, this.const('i32', n * 8), type);
  }
  /** Writes of 32 bits clear the upper half. */
  setRegister(n: number, value: Value): void {
    this.setAt(GPR, this.const('i32', n * 8), value.type === 'i32' ? this.zext(value, 'i64') : value);
  }

  // --- addresses ----------------------------------------------------------------------------------------------------------------

  #effectiveAddress(): Value {
    if (this.#absolute) return this.field('immediate', 'i64');
    const base = this.getAt(GPR, this.field('rm', 'i32'), 'i64');
    const index = this.getAt(GPR, this.field('index', 'i32'), 'i64');
    // Where there is known to be no index, the scale does not matter.
    const isNone = index.kind === 'const' && index.value === 0n;
    const scaled = isNone ? index : this.shl(index, this.zext(this.field('scale', 'i32'), 'i64'));
    const sum = this.add(this.add(base, scaled), this.sext(this.field('displacement', 'i32'), 'i64'));
    return this.maskAddress(sum);
  }

  /** Wraps an offset at the address size. */
  maskAddress(offset: Value): Value {
    const { addressSize } = this.parameters;
    return addressSize === 64 ? offset : this.and(offset, (1n << BigInt(addressSize)) - 1n);
  }

  /** The offset of the memory operand in its segment, `i64`. */
  effectiveAddress(): Value {
    if (this.#address === undefined) throw new Error('no memory operand');
    return this.#address;
  }

  /** The segment of the memory operand: byte offset in SEGMENTS. */
  segment(): Value {
    return this.field('segment', 'i32');
  }

  /**
   * The linear address of `bytes` bytes at `offset` (`i64`, already wrapped) of a segment. Outside 64-bit mode the segment's limit and
   * type are checked; in 64-bit mode segments other than FS and GS have base 0 (SDM vol. 3 §3.2.4).
   */
  linear(segment: Value, offset: Value, bytes: number, access: 'read' | 'write'): Value {
    const { long, segmented } = this.parameters;
    if (long) return segmented ? this.add(this.getAt(SEGMENTS, segment, 'i64'), offset) : offset;
    const end = this.getAt(SEGMENTS, this.add(segment, access === 'read' ? SEGMENT.readEnd : SEGMENT.writeEnd), 'i64');
    this.ifRarely(this.ltU(end, this.add(offset, bytes)), () => {
      this.call(checkSegment, segment, offset, this.const('i32', bytes), this.const('i32', access === 'write' ? 1 : 0));
    });
    return this.and(this.add(this.getAt(SEGMENTS, segment, 'i64'), offset), 0xffffffffn);
  }

  /** As `linear`, for a segment that is known here: ES, CS, SS, DS have no base in 64-bit mode. */
  linearIn(segmentAt: number, offset: Value, bytes: number, access: 'read' | 'write'): Value {
    if (this.parameters.long) return offset;
    return this.linear(this.const('i32', segmentAt), offset, bytes, access);
  }

  /** The linear address of `bytes` bytes, `plus` bytes into the memory operand. */
  operandAddress(bytes: number, access: 'read' | 'write', plus = 0): Value {
    const offset = plus === 0 ? this.effectiveAddress() : this.maskAddress(this.add(this.effectiveAddress(), plus));
    return this.operandAddressAt(offset, bytes, access);
  }
  /** As `operandAddress`, with an offset of its own. */
  operandAddressAt(offset: Value, bytes: number, access: 'read' | 'write'): Value {
    const { long, segmented } = this.parameters;
    if (long && !segmented) this.#operandAddresses.push(offset);
    return this.linear(this.segment(), offset, bytes, access);
  }
  /** Accesses to what `operandAddress` gave are the operand's. */
  #kind(address: Value, access: AccessKind): AccessKind {
    return access === 'current' && this.#operandAddresses.includes(address) ? this.operandKind() : access;
  }
  /** For builders that know the segment of the operand now. */
  protected operandKind(): AccessKind {
    return 'operand';
  }
  override load(type: StateType, address: Value, access: AccessKind = 'current'): Value {
    return super.load(type, address, this.#kind(address, access));
  }
  override loadForWrite(type: StateType, address: Value, access: AccessKind = 'current'): Value {
    return super.loadForWrite(type, address, this.#kind(address, access));
  }
  override store(address: Value, value: Value, access: AccessKind = 'current'): void {
    super.store(address, value, this.#kind(address, access));
  }

  loadOperand(type: StateType, forWrite?: 'forWrite'): Value {
    const address = this.operandAddress(WIDTH[type] / 8, forWrite ? 'write' : 'read');
    return forWrite ? this.loadForWrite(type, address) : this.load(type, address);
  }

  storeOperand(value: Value): void {
    this.store(this.operandAddress(WIDTH[value.type] / 8, 'write'), value);
  }

  // --- stack --------------------------------------------------------------------------------------------------------------------

  /** RSP wrapped at the size of the stack. */
  stackPointer(): Value {
    const rsp = this.get(RSP);
    return this.parameters.long ? rsp : this.and(rsp, this.get(STACK_MASK));
  }
  /** RSP with as many bits of `value` as the stack has. */
  movedStackPointer(value: Value): Value {
    if (this.parameters.long) return value;
    const mask = this.get(STACK_MASK);
    return this.or(this.and(this.get(RSP), this.not(mask)), this.and(value, mask));
  }
  /** Sets as many bits of RSP as the stack has. */
  setStackPointer(value: Value): void {
    this.set(RSP, this.movedStackPointer(value));
  }
  /** The linear address of `bytes` bytes at `offset` of the stack segment. */
  stackAddress(offset: Value, bytes: number, access: 'read' | 'write'): Value {
    const wrapped = this.parameters.long ? offset : this.and(offset, this.get(STACK_MASK));
    return this.linearIn(SS_AT, wrapped, bytes, access);
  }
  push(value: Value): void {
    const bytes = WIDTH[value.type] / 8;
    const pointer = this.sub(this.stackPointer(), bytes);
    this.store(this.stackAddress(pointer, bytes, 'write'), value, 'stack');
    this.setStackPointer(pointer);
  }
  /** The value at the top of the stack, `plus` bytes up; RSP is left alone. */
  peek(type: IntegerType, plus = 0): Value {
    const pointer = this.stackPointer();
    return this.load(type, this.stackAddress(this.add(pointer, plus), WIDTH[type] / 8, 'read'), 'stack');
  }
  /** Drops `bytes` bytes from the stack. */
  drop(bytes: number | Value): void {
    this.setStackPointer(this.add(this.stackPointer(), bytes));
  }

  // --- control ------------------------------------------------------------------------------------------------------------------

  /** The instruction pointer of this instruction. */
  currentIp(): Value {
    return this.add(this.get(IP_BASE), this.zext(this.field('offset', 'i32'), 'i64'));
  }
  nextIp(): Value {
    return this.add(this.currentIp(), this.zext(this.field('length', 'i32'), 'i64'));
  }

  /** Goes to the next instruction plus the immediate; `link` 0 the branch taken, 1 the next instruction. */
  jumpRelative(commit: () => void = () => {}): void {
    const { long, operandSize } = this.parameters;
    const sum = this.add(this.nextIp(), this.field('immediate', 'i64'));
    if (long) {
      commit();
      this.jump(sum, 0);
      return;
    }
    const target = this.and(sum, operandSize === 16 ? 0xffffn : 0xffffffffn);
    this.checkCodeLimit(target);
    commit();
    this.jump(target, 0);
  }
  jumpNext(): void {
    this.jump(this.nextIp(), 1);
  }
  /** A near jump to an offset of the operand size; `commit` changes registers once the target is known to be good. */
  jumpNear(target: Value, commit: () => void = () => {}): void {
    const wide = this.zext(target, 'i64');
    if (this.parameters.long) this.checkCanonical(wide);
    else this.checkCodeLimit(wide);
    commit();
    this.jump(wide);
  }

  /** #GP(0) where `target` lies beyond the code segment. */
  checkCodeLimit(target: Value): void {
    const limit = this.getAt(SEGMENTS, this.const('i32', CS_AT + SEGMENT.limit), 'i32');
    this.if(this.ltU(this.zext(limit, 'i64'), target), () => this.raise(VECTOR.GP, 0));
  }
  /** #GP(0) for an address whose upper 17 bits differ (48-bit linear addresses). */
  checkCanonical(address: Value): void {
    this.if(this.xor(this.isCanonical(address), this.const('i1', 1)), () => this.raise(VECTOR.GP, 0));
  }
  isCanonical(address: Value): Value {
    return this.eq(this.shrS(this.shl(address, 16), 16), address);
  }

  // --- inlining -----------------------------------------------------------------------------------------------------------------

  /** Builders that write an `Inlinable` out where it is used. */
  get inlines(): boolean {
    return false;
  }
  /** The results of `p`. */
  apply(p: Inlinable, ...args: readonly Value[]): readonly Value[] {
    return this.inlines ? p.build(this, ...args) : this.call(p.procedure, ...args);
  }
  /** What `build` makes from `state`, made once as long as that does not change but for sticky bits. */
  remembered<T>(state: State, key: object, build: () => T): T {
    const known = this.#remembered.get(key);
    if (known !== undefined) return known as T;
    const made = build();
    if (!this.nested) {
      this.#remembered.set(key, made);
      this.#states.add(state);
    }
    return made;
  }
  readonly #states = new Set<State>();
  override set(state: State, value: Value | bigint | number): void {
    super.set(state, value);
    if (this.#states.has(state)) this.#forget();
  }
  override call(target: Procedure | External, ...args: readonly Value[]): readonly Value[] {
    if (!this.nested) this.#forget();
    return super.call(target, ...args);
  }
  #forget(): void {
    this.#remembered.clear();
    this.#states.clear();
  }

  // --- faults -------------------------------------------------------------------------------------------------------------------

  raiseIf(condition: Value, vector: number, errorCode?: Value | number): void {
    this.ifRarely(condition, () => this.raise(vector, errorCode));
  }
  undefined(): void {
    this.raise(VECTOR.UD);
  }
  /** #GP(0) unless the current privilege level is 0. */
  requireCpl0(): void {
    this.raiseIf(this.ne(this.get(CPL), 0), VECTOR.GP, 0);
  }
  /** #NM or #UD where CR0 and CR4 do not allow the group (SDM vol. 3 §2.5, table 9-1). */
  requireFpu(group: keyof typeof FPU_GROUP): void {
    if (this.#allowed.has(group)) return;
    // What allows it changes between blocks only.
    if (!this.nested) this.#allowed.add(group);
    this.ifRarely(this.ne(this.and(this.get(FPU_BLOCKED), FPU_GROUP[group]), 0), () => {
      this.call(checkFpu, this.const('i32', FPU_GROUP[group]));
    });
  }
}

/** A procedure that some builders write out where it is used. */
export interface Inlinable {
  readonly procedure: Procedure;
  build(x: X86Builder, ...args: readonly Value[]): readonly Value[];
}

/** `build` gives the results; it has one way out, but may raise. So has `inline`, which builders write that know more of the arguments. */
export function inlinable(
  definition: { name: string; parameters: readonly Type[]; results: readonly Type[]; mayFault?: boolean },
  build: Inlinable['build'],
  inline = build,
): Inlinable {
  return { procedure: x86Procedure(definition, (x, ...args) => x.return(...build(x, ...args))), build: inline };
}

/** A procedure written with the x86 builder. */
export function x86Procedure(
  definition: { name: string; parameters: readonly Type[]; results: readonly Type[]; mayFault?: boolean },
  build: (x: X86Builder, ...parameters: Value[]) => void,
): Procedure {
  return procedure(() => new X86Builder(), definition, build);
}
