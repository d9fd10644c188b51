/** The virtual CPU's state in linear memory, by name and by declaration. */
import type { State } from '../isa/ir/types.ts';
import { OTHER_FLAGS, RFLAGS, SYSTEM_FLAGS } from '../isa/x86/flags.ts';
import * as S from '../isa/x86/state.ts';
import { IP_BASE, REGISTERS, RIP, SEGMENT_NAMES, STATE_SIZE } from '../isa/x86/state.ts';

const EXPONENT_BITS = 0xffffn;

export class Registers {
  readonly #view: DataView;
  readonly #base: number;

  constructor(memory: WebAssembly.Memory, base: number) {
    this.#view = new DataView(memory.buffer);
    this.#base = base;
  }

  /** Bit pattern of `bytes` (1, 2, 4, 8 or 16) at an offset in the CPU's block. */
  readAt(offset: number, bytes: number): bigint {
    const at = this.#base + offset;
    switch (bytes) {
      case 1:
        return BigInt(this.#view.getUint8(at));
      case 2:
        return BigInt(this.#view.getUint16(at, true));
      case 4:
        return BigInt(this.#view.getUint32(at, true));
      case 8:
        return this.#view.getBigUint64(at, true);
      default:
        return this.#view.getBigUint64(at, true) | (this.#view.getBigUint64(at + 8, true) << 64n);
    }
  }
  writeAt(offset: number, bytes: number, value: bigint): void {
    const at = this.#base + offset;
    switch (bytes) {
      case 1:
        this.#view.setUint8(at, Number(value));
        break;
      case 2:
        this.#view.setUint16(at, Number(value), true);
        break;
      case 4:
        this.#view.setUint32(at, Number(value), true);
        break;
      case 8:
        this.#view.setBigUint64(at, value, true);
        break;
      default:
        this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
        this.#view.setBigUint64(at + 8, value >> 64n, true);
    }
  }
  get(state: State): bigint {
    return this.readAt(state.offset, sizeOf(state));
  }
  set(state: State, value: bigint): void {
    const bytes = sizeOf(state);
    this.writeAt(state.offset, bytes, BigInt.asUintN(bytes * 8, value));
  }
  /** A 32-bit register, or the low half of a wider one, without BigInt. */
  u32(state: Pick<State, 'offset'>, half = 0): number {
    return this.#view.getUint32(this.#base + state.offset + half * 4, true);
  }
  setU32(state: State, value: number, half = 0): void {
    this.#view.setUint32(this.#base + state.offset + half * 4, value, true);
  }
  /** A 64-bit register as a number; exact below 2^53. */
  number(state: State): number {
    return this.u32(state) + this.u32(state, 1) * 2 ** 32;
  }
  setNumber(state: State, value: number): void {
    this.setU32(state, value % 2 ** 32);
    this.setU32(state, Math.floor(value / 2 ** 32), 1);
  }

  clear(): void {
    for (let i = 0; i < STATE_SIZE; i++) this.#view.setUint8(this.#base + i, 0);
  }

  /** RFLAGS, gathered from where the engine keeps its parts. */
  get rflags(): bigint {
    const result = BigInt.asIntN(64, this.get(S.FLAG_RESULT));
    const aux = this.u32(S.FLAG_AUX);
    let parity = Number(BigInt.asUintN(8, result)) ^ ((aux >>> 8) & 0xff);
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    const bit = (on: boolean, flag: number): number => (on ? flag : 0);
    const arithmetic =
      bit(aux >>> 31 !== 0, RFLAGS.CF) |
      bit((parity & 1) === 0, RFLAGS.PF) |
      bit((aux & 8) !== 0, RFLAGS.AF) |
      bit(result === 0n, RFLAGS.ZF) |
      bit(result < 0n !== ((aux & 0x80) !== 0), RFLAGS.SF) |
      bit(((aux ^ (aux << 1)) & 0x80000000) !== 0, RFLAGS.OF);
    return BigInt((arithmetic | this.u32(S.FLAGS_OTHER) | this.u32(S.FLAGS_SYSTEM) | 2) >>> 0);
  }
  set rflags(value: bigint) {
    const image = Number(BigInt.asUintN(32, value));
    const has = (flag: number): number => ((image & flag) !== 0 ? 1 : 0);
    const carry = has(RFLAGS.CF);
    const aux =
      (carry << 31) |
      ((carry ^ has(RFLAGS.OF)) << 30) |
      ((1 - has(RFLAGS.PF)) << 8) |
      (has(RFLAGS.SF) << 7) |
      (has(RFLAGS.AF) << 3);
    this.setU32(S.FLAG_AUX, aux >>> 0);
    this.set(S.FLAG_RESULT, BigInt(1 - has(RFLAGS.ZF)) << 8n);
    this.setU32(S.FLAGS_OTHER, image & OTHER_FLAGS);
    this.setU32(S.FLAGS_SYSTEM, image & SYSTEM_FLAGS);
  }

  /** A register by its manual name; x87 ones are `R0.significand`, `R0.exponent` … and `ST0`…`ST7`. */
  byName(name: string): bigint {
    if (name === 'RFLAGS') return this.rflags;
    if (/^ST[0-7]$/.test(name)) return this.#stackRegister(Number(name[2]));
    return this.get(known(name));
  }
  setByName(name: string, value: bigint): void {
    if (name === 'RFLAGS') this.rflags = value;
    else if (/^ST[0-7]$/.test(name)) this.#setStackRegister(Number(name[2]), value);
    else this.set(known(name), value);
  }

  #stackRegister(i: number): bigint {
    const n = (this.u32(S.FTOP) + i) & 7;
    return this.get(known(`R${n}.significand`)) | (this.get(known(`R${n}.exponent`)) << 64n);
  }
  #setStackRegister(i: number, value: bigint): void {
    const n = (this.u32(S.FTOP) + i) & 7;
    this.set(known(`R${n}.significand`), value);
    this.set(known(`R${n}.exponent`), (value >> 64n) & EXPONENT_BITS);
  }
}

const BYTES = { i8: 1, i16: 2, i32: 4, i64: 8, i128: 16 } as const;
const sizeOf = (state: State): number => BYTES[state.type];

function known(name: string): State {
  const state = REGISTERS.get(name);
  if (state === undefined) throw new RangeError(`no register ${name}`);
  return state;
}

/** Registers that follow from others; `refresh` computes them. The flags are saved together, as RFLAGS. */
const DERIVED: ReadonlySet<State> = new Set([
  ...[S.CPL, S.CODE_SIZE, S.STACK_MASK, S.FPU_BLOCKED],
  ...[S.FLAG_RESULT, S.FLAG_AUX, S.FLAGS_OTHER, S.FLAGS_SYSTEM],
]);

/** Every register of `VcpuState`: what programs can see, and what waits to be delivered. */
const SAVED: readonly string[] = [
  'RFLAGS',
  ...[...REGISTERS.values()].filter((s) => s.class !== 'engine' && !DERIVED.has(s)).map((s) => s.name),
  S.WAITING_FAULT.name,
];

/** The largest values of registers that count something; others may hold anything. */
const LARGEST: readonly (readonly [State, bigint])[] = [
  [S.FTOP, 7n],
  [S.HELD, 2n],
  [S.NMI_BLOCKED, 1n],
];

export function saveRegisters(r: Registers): ReadonlyMap<string, bigint> {
  return new Map(SAVED.map((name) => [name, r.byName(name)]));
}

/** @throws RangeError when one is missing, unknown or impossible. */
export function checkRegisters(registers: ReadonlyMap<string, bigint>): void {
  const unknown = [...registers.keys()].find((name) => !SAVED.includes(name));
  if (unknown !== undefined) throw new RangeError(`there is no register ${unknown}`);
  const missing = SAVED.find((name) => !registers.has(name));
  if (missing !== undefined) throw new RangeError(`register ${missing} is missing`);
  for (const [state, largest] of LARGEST)
    if (BigInt.asUintN(64, registers.get(state.name)!) > largest) throw new RangeError(`${state.name} is out of range`);
}

/** Sets all registers; `apply` brings what the engine keeps beside them up to date. */
export function restoreRegisters(r: Registers, registers: ReadonlyMap<string, bigint>, apply: () => void): void {
  const restore = (): void => {
    for (const [name, value] of registers) r.setByName(name, value);
  };
  restore();
  apply();
  // What the guest's tables hold now is not what these were once loaded from.
  restore();
}

/** After power-on (SDM vol. 3 table 9-1); the loader then sets what its boot protocol asks for. */
export function resetRegisters(r: Registers): void {
  r.clear();
  r.rflags = 2n;
  r.set(RIP, 0xfff0n);
  r.set(IP_BASE, 0n);
  r.setByName('RDX', 0x600n);
  for (const name of SEGMENT_NAMES) {
    r.setByName(`${name}.limit`, 0xffffn);
    r.setByName(`${name}.access`, 0x93n);
  }
  r.setByName('CS.selector', 0xf000n);
  r.setByName('CS.base', 0xffff0000n);
  for (const [name, access] of [
    ['TR', 0x8bn],
    ['LDTR', 0x82n],
  ] as const) {
    r.setByName(`${name}.limit`, 0xffffn);
    r.setByName(`${name}.access`, access);
  }
  r.set(S.GDTR_LIMIT, 0xffffn);
  r.set(S.IDTR_LIMIT, 0xffffn);
  r.set(S.CR0, 0x60000010n);
  r.setByName('DR6', 0xffff0ff0n);
  r.setByName('DR7', 0x400n);
  r.set(S.PAT, 0x0007040600070406n);
  r.set(S.XCR0, 1n);
  // Fast strings; neither branch trace store nor precise sampling.
  r.set(S.MISC_ENABLE, 0x1801n);
  r.set(S.FCW, 0x37fn);
  r.set(S.MXCSR, 0x1f80n);
}
