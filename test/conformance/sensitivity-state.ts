/** Random states of an x86 processor for the check of verdicts, and the surroundings in which one instruction is evaluated. */
import type { Environment } from '../../src/engine/reference/evaluate.ts';
import type { Known } from '../../src/isa/classify/model.ts';
import type { External, FieldName, LoadNode, State, StateFile, StoreNode, Type } from '../../src/isa/ir/types.ts';
import { WIDTH } from '../../src/isa/ir/types.ts';
import { ARITHMETIC_FLAGS, OTHER_FLAGS, SYSTEM_FLAGS } from '../../src/isa/x86/flags.ts';
import * as S from '../../src/isa/x86/state.ts';
import type { Random } from './random.ts';

/** What happened that another program, or the machine, would notice. */
export type SystemEffect = string;

const SELECTED = [S.GPR, S.SEGMENTS, S.DEBUG, S.X87, S.XMM] as const satisfies readonly StateFile[];

/** Byte ranges of the state block whose class fits. */
function ranges(fits: (cls: State['class']) => boolean): readonly (readonly [offset: number, end: number])[] {
  const bytes = new Uint8Array(S.STATE_SIZE);
  for (const state of S.REGISTERS.values())
    if (fits(state.class)) bytes.fill(1, state.offset, state.offset + WIDTH[state.type] / 8);
  for (const f of SELECTED) if (fits(f.class)) bytes.fill(1, f.offset, f.offset + f.size);
  if (fits('engine')) return [];
  bytes.fill(0, S.IP_BASE.offset, S.IP_BASE.offset + 8);
  const found: [number, number][] = [];
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 0) continue;
    const last = found.at(-1);
    if (last !== undefined && last[1] === i) last[1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}
const USER_RANGES = ranges((c) => c === 'user');
const SYSTEM_RANGES = ranges((c) => c === 'mode' || c === 'control' || c === 'io' || c === 'time');

const mix = (a: number, b: number): number => {
  let h = Math.imul(a ^ (b >>> 15), 0x85ebca6b) ^ b;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** The state of one processor, and what evaluating an instruction on it did. */
export class Trial implements Environment {
  readonly bytes = new Uint8Array(S.STATE_SIZE);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #before = new Uint8Array(S.STATE_SIZE);
  /** By address relative to the segments' base. */
  readonly stored = new Map<bigint, number>();
  readonly effects = new Set<SystemEffect>();
  fields: Readonly<Record<FieldName, bigint>> | undefined;
  vector: number | undefined;
  target: bigint | undefined;
  #programSeed = 0;
  #systemSeed = 0;
  /** Where the program's storage starts, as in Popek and Goldberg's relocation register. */
  #relocation = 0n;
  #addressMask = 0n;

  // --- making a state -----------------------------------------------------------------------------------------------------------

  /** What belongs to the program, and the memory it finds. */
  fillProgram(random: Random, long: boolean): void {
    this.#programSeed = random.u32();
    const aligned = random.chance(0.2) ? ~0x3fn : -1n;
    for (const [start, end] of USER_RANGES) for (let i = start; i < end; i++) this.bytes[i] = random.u32();
    for (let n = 0; n < 16; n++) {
      const value = random.chance(0.1) ? 0n : random.chance(0.3) ? BigInt(random.below(0x10000)) : random.u64();
      this.set(S.GPR.offset + n * 8, 'i64', BigInt.asUintN(long ? 64 : 32, value & aligned));
    }
    this.set(S.GPR.offset + S.ZERO_AT, 'i64', 0n);
    this.put(S.FLAG_AUX, random.u64() & 0xc000ff88n);
    this.put(S.FLAGS_OTHER, BigInt(random.u32() & OTHER_FLAGS & ~ARITHMETIC_FLAGS));
    this.put(S.FTOP, BigInt(random.below(8)));
    this.put(S.FSW, BigInt(random.chance(0.8) ? 0 : random.u32() & 0xc7ff));
    this.put(S.FCW, BigInt(0x40 | (random.chance(0.8) ? 0x33f : random.u32() & 0xf3f)));
    this.put(S.MXCSR, BigInt(random.chance(0.8) ? 0x1f80 : random.u32() & 0xffff));
    const ip = BigInt(random.u32() & 0x7ffff000);
    this.put(S.RIP, ip + 0x123n);
    this.set(S.IP_BASE.offset, 'i64', ip);
  }
  copyProgram(other: Trial): void {
    for (const [start, end] of USER_RANGES) this.bytes.set(other.bytes.subarray(start, end), start);
    this.bytes.set(other.bytes.subarray(S.IP_BASE.offset, S.IP_BASE.offset + 8), S.IP_BASE.offset);
    this.#programSeed = other.#programSeed;
  }

  /**
   * What belongs to the system, in agreement with `known`; `fixedBase` is where FS and GS start in 64-bit mode where addresses go
   * through them. Clocks are the program's: the first theorem exempts what depends on timing.
   */
  fillSystem(random: Random, known: readonly Known[], long: boolean, fixedBase: bigint | undefined): void {
    this.#systemSeed = random.u32();
    for (const [start, end] of SYSTEM_RANGES) for (let i = start; i < end; i++) this.bytes[i] = random.u32();
    this.#relocation = long ? 0n : BigInt(random.u32() & (random.chance(0.5) ? ~0x3f : ~0)) & 0xffffffffn;
    this.#addressMask = long ? 0xffffffffffffffffn : 0xffffffffn;
    for (let n = 0; n < 6; n++) this.#fillSegment(n * S.SEGMENT_STRIDE, random, long, fixedBase ?? random.u64() >> 17n);
    this.put(S.TSC_ADJUST, BigInt(this.#programSeed));
    this.put(S.FLAGS_SYSTEM, BigInt(random.u32() & SYSTEM_FLAGS));
    this.put(S.GDTR_LIMIT, BigInt(random.chance(0.8) ? 0xffff : random.below(0x10000)));
    this.put(S.IDTR_LIMIT, BigInt(random.chance(0.8) ? 0xffff : random.below(0x10000)));
    this.put(S.CR0, (this.get(S.CR0) & ~0xcn) | (random.chance(0.1) ? 0x8n : 0n));
    this.put(S.CR4, this.get(S.CR4) | 0x200n);
    for (const k of known) this.#apply(k);
    const blocked = (this.get(S.CR0) & 0xcn) !== 0n;
    this.put(S.FPU_BLOCKED, blocked ? 7n : 0n);
  }
  #fillSegment(at: number, random: Random, long: boolean, fixedBase: bigint): void {
    const offset = S.SEGMENTS.offset + at;
    this.set(offset + S.SEGMENT.base, 'i64', long ? fixedBase : this.#relocation);
    const isWhole = random.chance(0.95);
    const limit = isWhole ? 0xffffffffn : BigInt(random.u32());
    this.set(offset + S.SEGMENT.limit, 'i32', limit);
    this.set(offset + S.SEGMENT.readEnd, 'i64', limit + 1n);
    this.set(offset + S.SEGMENT.writeEnd, 'i64', limit + 1n);
  }
  #apply({ offset, width, mask, value }: Known): void {
    const type = `i${width}` as Type;
    this.set(offset, type, (this.readState(offset, type) & ~mask) | (value & mask));
  }
  get(state: State): bigint {
    return this.readState(state.offset, state.type);
  }
  put(state: State, value: bigint): void {
    this.set(state.offset, state.type, value);
  }
  set(offset: number, type: Type, value: bigint): void {
    this.writeState(offset, type, BigInt.asUintN(WIDTH[type], value));
  }

  // --- what an evaluation sees ----------------------------------------------------------------------------------------------------

  begin(fields: Readonly<Record<FieldName, bigint>>): void {
    this.fields = fields;
    this.stored.clear();
    this.effects.clear();
    this.vector = undefined;
    this.target = undefined;
    this.#before.set(this.bytes);
  }
  field(name: FieldName): bigint {
    return this.fields![name];
  }
  readState(offset: number, type: Type): bigint {
    switch (WIDTH[type]) {
      case 8:
        return BigInt(this.#view.getUint8(offset));
      case 16:
        return BigInt(this.#view.getUint16(offset, true));
      case 32:
        return BigInt(this.#view.getUint32(offset, true));
      case 64:
        return this.#view.getBigUint64(offset, true);
      default:
        return this.#view.getBigUint64(offset, true) | (this.#view.getBigUint64(offset + 8, true) << 64n);
    }
  }
  writeState(offset: number, type: Type, value: bigint): void {
    switch (WIDTH[type]) {
      case 8:
        this.#view.setUint8(offset, Number(value));
        break;
      case 16:
        this.#view.setUint16(offset, Number(value), true);
        break;
      case 32:
        this.#view.setUint32(offset, Number(value), true);
        break;
      case 64:
        this.#view.setBigUint64(offset, value, true);
        break;
      default:
        this.#view.setBigUint64(offset, BigInt.asUintN(64, value), true);
        this.#view.setBigUint64(offset + 8, value >> 64n, true);
    }
  }
  load(node: LoadNode, address: bigint): bigint {
    if (node.access === 'supervisor') return this.#table(node.type, address);
    const from = address - this.#relocation;
    let value = 0n;
    for (let i = WIDTH[node.type] / 8 - 1; i >= 0; i--)
      value = (value << 8n) | BigInt(this.#byte((from + BigInt(i)) & this.#addressMask));
    return value;
  }
  #byte(at: bigint): number {
    const written = this.stored.get(at);
    if (written !== undefined) return written;
    const place = Number(at & 0xffffffffn);
    // Every other word is small, as selectors and addresses are.
    const isSmall = (place & 7) >= 4 && (mix(this.#programSeed, place >>> 3) & 0x100) !== 0;
    return isSmall ? 0 : mix(this.#programSeed, place) & 0xff;
  }
  /** The processor's own tables: random words, descriptors and gates among them. */
  #table(type: Type, address: bigint): bigint {
    const at = Number(address & 0xffffffffn);
    const [low, high] = [mix(this.#systemSeed, at), mix(this.#systemSeed ^ 0x5bd1e995, at)];
    const word = (BigInt(high) << 32n) | BigInt(low);
    if (type !== 'i64') return BigInt.asUintN(WIDTH[type], word);
    const level = BigInt(low & 0x600) << 36n;
    switch (low & 7) {
      case 0: // Small, or an address.
        return low & 8 ? word & 0x7fffn : BigInt.asUintN(64, BigInt.asIntN(48, word));
      case 1:
      case 2:
      case 3:
      case 4: // A segment with the whole address space as its limit.
        return (word & ~(0x60n << 40n)) | level | (0x90n << 40n) | (0x80n << 48n) | 0xffffn | (0xfn << 48n);
      case 5:
      case 6: // A present gate, of a call or of an interrupt.
        return (word & ~(0xffn << 40n)) | level | ((0x8cn | (low & 8 ? 2n : 0n)) << 40n);
      default:
        return word | (0x80n << 40n);
    }
  }
  store(node: StoreNode, address: bigint, value: bigint): void {
    if (node.access === 'supervisor') {
      this.effects.add('a store to the tables of the processor');
      return;
    }
    const from = address - this.#relocation;
    for (let i = 0; i < WIDTH[node.value.type] / 8; i++)
      this.stored.set((from + BigInt(i)) & this.#addressMask, Number((value >> BigInt(i * 8)) & 0xffn));
  }
  loadPhysical(type: Type, address: bigint): bigint {
    return this.#table(type, address);
  }
  storePhysical(): void {
    this.effects.add('a store to page tables');
  }
  external(target: External, args: readonly bigint[]): readonly bigint[] {
    const isProgram = target.class === 'user' || target.class === 'time';
    // What only the engine knows is no state of the machine; it may always do nothing at once.
    if (target.class === 'engine') return target.results.map(() => 0n);
    if (target.changes) this.effects.add(target.name);
    return target.results.map((type, i) => {
      const seed = mix(isProgram ? this.#programSeed : this.#systemSeed, Number((args[0] ?? 0n) & 0xffffffffn) + i);
      return BigInt.asUintN(WIDTH[type], BigInt(seed) * 0x100000001n);
    });
  }
  fault(vector: number): void {
    this.vector = vector;
  }
  jump(target: bigint): void {
    this.target = target;
  }
  exit(): void {
    this.effects.add('a stop of the processor');
  }

  // --- judging it ---------------------------------------------------------------------------------------------------------------

  /** The first register of the system that is not what it was, or another change that the system would notice. */
  systemChange(): string | undefined {
    for (const [start, end] of SYSTEM_RANGES)
      for (let i = start; i < end; i++) if (this.bytes[i] !== this.#before[i]) return registerAt(i);
    for (const effect of this.effects) return effect;
    return undefined;
  }
  /** Where the program sees something else than in `other`. */
  programDifference(other: Trial): string | undefined {
    for (const [start, end] of USER_RANGES)
      for (let i = start; i < end; i++) if (this.bytes[i] !== other.bytes[i]) return registerAt(i);
    if (this.target !== other.target) return 'the instruction pointer';
    if (this.stored.size !== other.stored.size) return 'memory';
    for (const [at, byte] of this.stored) if (other.stored.get(at) !== byte) return 'memory';
    return undefined;
  }
}

function registerAt(offset: number): string {
  for (const state of S.REGISTERS.values())
    if (offset >= state.offset && offset < state.offset + WIDTH[state.type] / 8) return state.name;
  return SELECTED.find((f) => offset >= f.offset && offset < f.offset + f.size)?.name ?? `byte ${offset}`;
}
