/** The lowering of regions: registers in locals, which hold them between the region's entry and its exits. */
import {
  type AccessKind,
  type CallNode,
  type ConstNode,
  type GetAtNode,
  type GetNode,
  type IntegerType,
  type OpNode,
  type SetAtNode,
  type SetNode,
  type StateFile,
  type StateType,
  type Value,
  WIDTH,
} from '../../../isa/ir/types.ts';
import { FLAG_AUX, IP_BASE, MXCSR, RETIRED, registerAt, TLB_BANK } from '../../../isa/x86/state.ts';
import { type ByteWriter, OP } from '../encoder.ts';
import { Lowering } from '../lowering.ts';
import { MODULAR, WASM_TYPE, writeLoad, writeMask, writeStore } from '../op-code.ts';
import type { Locals, Target } from '../target.ts';
import { bitOf } from './narrow-registers.ts';
import { isVector, registerOf, registersOf, registersTouched, type Use } from './registers-used.ts';

type Cached = { readonly local: number; readonly type: StateType; readonly offset: number };

function typeAt(offset: number): StateType {
  if (isVector(offset)) return 'i128';
  return offset === FLAG_AUX.offset || offset === TLB_BANK.offset || offset === MXCSR.offset ? 'i32' : 'i64';
}
/** Shape of the lanes of a type. */
const SHAPE = { i8: 'i8x16', i16: 'i16x8', i32: 'i32x4', i64: 'i64x2' } as const;
/** Operations that keep zeros above 32 bits. */
const LOGIC = /^(and|x?or)$/;

export class RegisterLowering extends Lowering {
  /** Registers that live in locals, by their offset in the CPU's block. */
  readonly #cached = new Map<number, Cached>();
  readonly #dirty: ReadonlySet<number>;
  /** The registers that are narrow all through the instruction. */
  protected narrow = 0;
  /** The local that counts retired instructions, up to the current block. */
  protected readonly retired: number;

  /** `uses`: of all blocks of the region; `rare`: registers that stay in memory. */
  constructor(code: ByteWriter, locals: Locals, target: Target, uses: readonly Use[], rare: ReadonlySet<number>) {
    super(code, locals, target);
    const all = new Set<number>();
    const written = new Set<number>();
    for (const use of uses) for (const offset of use.read) all.add(offset);
    for (const use of uses) for (const offset of use.written) written.add(offset);
    for (const offset of [...written, IP_BASE.offset, TLB_BANK.offset]) all.add(offset);
    for (const offset of all) {
      if (rare.has(offset)) continue;
      this.#cached.set(offset, { local: locals.take(WASM_TYPE[typeAt(offset)]), type: typeAt(offset), offset });
    }
    // What raises an exception has written that before: it is always in memory as well.
    written.delete(MXCSR.offset);
    this.#dirty = written;
    this.retired = locals.take('i64');
  }

  protected storeState(offset: number, type: StateType, push: () => void): void {
    this.code.i32(0);
    push();
    writeStore(this.code, type, this.target.cpuBase + offset);
  }
  protected loadState(offset: number, type: StateType): void {
    this.code.i32(0);
    writeLoad(this.code, type, this.target.cpuBase + offset);
  }
  /** From memory; `only`: of these registers. */
  protected loadRegisters(only?: ReadonlySet<number>): void {
    for (const { local, type, offset } of this.#cached.values()) {
      if (only !== undefined && !only.has(offset)) continue;
      this.loadState(offset, type);
      this.code.set(local);
    }
  }
  /** To memory; `only`: of these registers, `but`: not these. */
  protected spill(only?: ReadonlySet<number>, but?: ReadonlySet<number>): void {
    for (const { local, type, offset } of this.#cached.values()) {
      if (!this.#dirty.has(offset) || (only !== undefined && !only.has(offset)) || but?.has(offset)) continue;
      this.storeState(offset, type, () => this.code.get(local));
    }
  }
  protected spillAll(but?: ReadonlySet<number>): void {
    this.spill(undefined, but);
    this.storeState(RETIRED.offset, 'i64', () => this.code.get(this.retired));
  }
  /** Names of registers by their locals. */
  protected *registerLocals(): Generator<[local: number, name: string]> {
    for (const { local, offset } of this.#cached.values()) yield [local, registerAt(offset)];
    yield [this.retired, 'RETIRED'];
  }
  protected pushCached(offset: number): void {
    this.code.get(this.#cached.get(offset)!.local);
  }

  protected setCached(offset: number): void {
    this.code.set(this.#cached.get(offset)!.local);
  }

  protected override pushBank(access: AccessKind): void {
    if (access === 'supervisor') super.pushBank(access);
    else this.pushCached(TLB_BANK.offset);
  }

  /** Register and byte of an access to a register file at a constant place. */
  #registerAt(file: StateFile, at: Value): { cached: Cached; byte: number } | undefined {
    const offset = registerOf(file, at);
    const cached = offset === undefined ? undefined : this.#cached.get(offset);
    return cached && { cached, byte: file.offset + Number((at as ConstNode).value) - cached.offset };
  }

  protected override readState(v: GetNode): void {
    const cached = this.#cached.get(v.state.offset);
    if (cached !== undefined) this.code.get(cached.local);
    else super.readState(v);
  }
  protected override readFile(v: GetAtNode, loose: boolean): void {
    const place = this.#registerAt(v.file, v.at);
    if (place === undefined) {
      // Which register it is shows when it runs: all of them are read from memory.
      this.spill(new Set(registersOf(v.file, v.at)));
      super.readFile(v, loose);
      return;
    }
    const { cached, byte } = place;
    this.code.get(cached.local);
    if (v.type === cached.type) return;
    if (cached.type === 'i128') {
      this.#lane('extract', v.type as IntegerType, byte);
      return;
    }
    if (byte > 0) {
      this.code.i64(8 * byte);
      this.code.byte(OP.i64_shr_u);
    }
    this.code.byte(OP.i32_wrap_i64);
    if (!loose) writeMask(this.code, v.type);
  }

  protected override writeState(s: SetNode): void {
    const cached = this.#cached.get(s.state.offset);
    if (cached === undefined) {
      super.writeState(s);
      return;
    }
    this.push(s.value);
    this.code.set(cached.local);
    if (s.state === MXCSR) this.storeState(cached.offset, cached.type, () => this.code.get(cached.local));
  }
  protected override writeFile(s: SetAtNode): void {
    const place = this.#registerAt(s.file, s.at);
    if (place === undefined) this.#writeAnyOf(new Set(registersOf(s.file, s.at)), () => super.writeFile(s));
    else if (place.cached.type === 'i128') this.#writeVector(place.cached, place.byte, s.value);
    else this.#writeRegister(place.cached, 8 * place.byte, s.value);
  }

  /** The local of a narrow register of which 32 bits are read where they are used. */
  #narrowLocal(v: Value): number | undefined {
    if (v.kind !== 'getAt' || v.type !== 'i32' || !this.placement.inlined.has(v)) return undefined;
    const place = this.#registerAt(v.file, v.at);
    return place?.byte === 0 && this.narrow & bitOf(place.cached.offset) ? place.cached.local : undefined;
  }
  protected override resize(v: OpNode, how: 'trunc' | 'zext' | 'sext', loose: boolean): void {
    const [a] = v.args;
    const isLogic = a.kind === 'op' && LOGIC.test(a.op) && this.placement.inlined.has(a);
    const locals = (isLogic ? a.args : v.args).map((arg) => this.#narrowLocal(arg));
    if (how !== 'zext' || v.type !== 'i64' || locals.includes(undefined)) super.resize(v, how, loose);
    else {
      for (const local of locals) this.code.get(local!);
      if (isLogic) this.code.byte(MODULAR[a.op].i64);
    }
  }

  protected override pushVectorOf(v: Value): boolean {
    if (v.kind !== 'getAt' || !this.placement.inlined.has(v)) return super.pushVectorOf(v);
    const place = this.#registerAt(v.file, v.at);
    if (place?.cached.type !== 'i128' || place.byte !== 0 || (v.type !== 'i64' && v.type !== 'i32')) return false;
    this.code.get(place.cached.local);
    return true;
  }
  /** A write to one of some registers, which of them shows when it runs: in memory. */
  #writeAnyOf(registers: ReadonlySet<number>, write: () => void): void {
    this.spill(registers);
    write();
    this.loadRegisters(registers);
  }

  #lane(what: 'extract' | 'replace', type: IntegerType, byte: number): void {
    this.vector(`${SHAPE[type]}.${what}`, [(8 * byte) / WIDTH[type]]);
  }
  #writeVector({ local }: Cached, byte: number, value: Value): void {
    if (value.type === 'i128') this.push(value);
    else {
      this.code.get(local);
      this.push(value, true);
      this.#lane('replace', value.type as IntegerType, byte);
    }
    this.code.set(local);
  }

  #writeRegister({ local }: Cached, shift: number, value: Value): void {
    if (value.type !== 'i64') {
      const ones = value.type === 'i8' ? 0xffn : 0xffffn;
      this.code.get(local);
      this.code.i64(~(ones << BigInt(shift)));
      this.code.byte(OP.i64_and);
      this.push(value);
      this.code.byte(OP.i64_extend_i32_u);
      if (shift > 0) {
        this.code.i64(shift);
        this.code.byte(OP.i64_shl);
      }
      this.code.byte(OP.i64_or);
    } else this.push(value);
    this.code.set(local);
  }

  /** Procedures find and leave registers in memory. */
  protected override call(s: CallNode): void {
    const { read, written } = registersTouched(s.target);
    this.spill(new Set([...read, ...written]));
    super.call(s);
    this.loadRegisters(new Set(written));
  }
}
