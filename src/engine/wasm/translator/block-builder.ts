/** Builds the statements of a block of instructions. */
import { mayStore } from '../../../isa/ir/purity.ts';
import {
  type AccessKind,
  type External,
  type FieldName,
  type Procedure,
  type State,
  type StateFile,
  type StateType,
  type Type,
  type Value,
  WIDTH,
} from '../../../isa/ir/types.ts';
import type { Decoded } from '../../../isa/x86/decoder.ts';
import { type BoundOperand, bindOperand } from '../../../isa/x86/operands.ts';
import { FLAG_AUX, FLAG_RESULT, GPR, IP_BASE, IP_BASE_AT, SS_AT, XMM, ZERO_AT } from '../../../isa/x86/state.ts';
import { X86Builder } from '../../../isa/x86/x86-builder.ts';
import { insertionIn } from './insertions.ts';
import { registersTouched } from './registers-used.ts';

const VECTOR_BYTES = 16;
const NO_REGISTER = BigInt(ZERO_AT);
const FORWARDED: ReadonlySet<number> = new Set([FLAG_AUX.offset, FLAG_RESULT.offset]);

const constant = (type: Type, value: bigint | number): Value => ({
  kind: 'const',
  number: 0,
  type,
  value: BigInt.asUintN(WIDTH[type], BigInt(value)),
});
/** Constants that every block has: places of registers, and the like. */
const SMALL = 256;
const small = new Map<Type, (Value | undefined)[]>();

function smallConstant(type: Type, value: number): Value {
  let values = small.get(type);
  if (values === undefined) small.set(type, (values = Array(SMALL).fill(undefined)));
  return (values[value] ??= constant(type, value));
}

/** Builds the bodies of a block's instructions one after another, with their operands as constants. */
export class BlockBuilder extends X86Builder {
  #decoded: Decoded | undefined;
  #offset = 0;
  #stores = false;
  readonly #links: (0 | 1 | undefined)[] = [];
  /** What vector registers hold, by their place in the file. */
  readonly #vectors = new Map<number, Value>();

  /** Whether it may write memory. */
  instruction(decoded: Decoded, offset: number): boolean {
    this.#decoded = decoded;
    this.#offset = offset;
    this.#stores = false;
    const { encoding, parameters } = decoded;
    this.begin(parameters, encoding.absolute);
    const operands: BoundOperand[] = [];
    for (let i = 0; i < encoding.operands.length; i++) operands.push(bindOperand(this, encoding.operands[i]));
    encoding.definition.semantics(this, ...operands);
    return this.#stores;
  }
  /** Some instruction jumps over a link. */
  jumps(link: 0 | 1 | undefined): boolean {
    return this.#links.includes(link);
  }

  /** The same definitions are verified where their procedures and the interpreter's rows are built. */
  protected override get verifies(): boolean {
    return false;
  }

  override jump(target: Value, link?: 0 | 1): void {
    this.#links.push(link);
    super.jump(target, link);
  }
  override store(address: Value, value: Value, access?: AccessKind): void {
    this.#stores = true;
    super.store(address, value, access);
  }

  /** Constants are repeated where they are used: no block needs its own. */
  override const(type: Type, value: bigint | number): Value {
    return value >= 0 && value < SMALL ? smallConstant(type, Number(value)) : constant(type, value);
  }

  override currentIp(): Value {
    return this.add(this.get(IP_BASE), this.#offset);
  }

  override get inlines(): boolean {
    return true;
  }

  /** What is known of the flags: what was written last, where that surely happened. */
  readonly #known = new Map<number, Value>();

  override get(state: State): Value {
    return this.#known.get(state.offset) ?? super.get(state);
  }
  override set(state: State, value: Value | bigint | number): void {
    const v = this.value(state.type, value);
    if (state === FLAG_AUX && this.#insert(v)) return;
    super.set(state, v);
    if (!FORWARDED.has(state.offset)) return;
    if (this.nested) this.#known.delete(state.offset);
    else this.#known.set(state.offset, v);
  }
  /** Bits put into FLAG_AUX go into what it is there, not into what is known of it, which may never be made. */
  #insert(v: Value): boolean {
    const insertion = insertionIn(v);
    const known = this.#known.get(FLAG_AUX.offset);
    if (insertion === undefined || insertion.into !== known) return false;
    this.#known.delete(FLAG_AUX.offset);
    super.set(FLAG_AUX, this.or(this.and(super.get(FLAG_AUX), insertion.kept), insertion.bits));
    return true;
  }
  override call(target: Procedure | External, ...args: readonly Value[]): readonly Value[] {
    this.#calls(target);
    return super.call(target, ...args);
  }
  override callGuarded(target: Procedure | External, ...args: readonly Value[]): readonly Value[] {
    this.#calls(target);
    return super.callGuarded(target, ...args);
  }
  #calls(target: Procedure | External): void {
    if (mayStore(target)) this.#stores = true;
    for (const offset of registersTouched(target).written) {
      this.#known.delete(offset);
      this.#vectors.delete(offset - XMM.offset);
    }
  }

  override getAt(file: StateFile, at: Value, type: StateType): Value {
    // Of an address without base or index.
    if (file === GPR && at.kind === 'const' && at.value === NO_REGISTER) return this.const(type, 0);
    if (file !== XMM || type !== 'i128' || at.kind !== 'const') return super.getAt(file, at, type);
    const known = this.#vectors.get(Number(at.value));
    if (known !== undefined) return known;
    const value = super.getAt(file, at, type);
    if (!this.nested) this.#vectors.set(Number(at.value), value);
    return value;
  }
  override setAt(file: StateFile, at: Value, value: Value): void {
    super.setAt(file, at, value);
    if (file !== XMM) return;
    if (at.kind !== 'const') this.#vectors.clear();
    else if (value.type === 'i128' && !this.nested) this.#vectors.set(Number(at.value), value);
    else this.#vectors.delete(Number(at.value) & -VECTOR_BYTES);
  }
  protected override operandKind(): AccessKind {
    return this.#decoded!.fields.segment === SS_AT ? 'stack' : 'current';
  }

  override field(name: FieldName, type: Type): Value {
    const { fields, parameters } = this.#decoded!;
    switch (name) {
      case 'offset':
        return this.const(type, this.#offset);
      case 'displacement': {
        const relative = parameters.memory && fields.rm === IP_BASE_AT ? this.#offset + fields.length : 0;
        return this.const(type, fields.displacement + relative);
      }
      default:
        return this.const(type, fields[name]);
    }
  }
}
