/**
 * Runs cases on an engine, in user mode of a small guest: the code and scratch pages are mapped as in the native child, every exception
 * goes to a HLT in supervisor mode, and the frame that its delivery pushed tells where and why the case ended.
 */
import type { Engine, Vcpu } from '../../src/engine/engine.ts';
import { SILENT_HOST } from '../support/silent-host.ts';
import type { Case, Outcome } from './cpu-case.ts';
import {
  CODE_PAGE,
  CS32,
  CS64,
  DATA_SELECTOR,
  FS_BASE,
  FX_BYTES,
  GS_BASE,
  PAGE_SIZE,
  SCRATCH_PAGE,
} from './native-layout.ts';

/** RAM that the guest needs. */
export const GUEST_RAM = 1 << 20;

/** Guest-physical addresses. The first 2 MiB are also at `SUPERVISOR`. */
const PHYSICAL = {
  pml4: 0x1000,
  lowPdpt: 0x2000,
  lowDirectory: 0x3000,
  codeTable: 0x4000,
  scratchTable: 0x5000,
  highPdpt: 0x6000,
  highDirectory: 0x7000,
  code: 0x8000,
  scratch: 0x9000,
  gdt: 0xa000,
  idt: 0xb000,
  tss: 0xc000,
  stackTop: 0xe000,
  handlers: 0xf000,
} as const;
const SUPERVISOR = 0xffff_8000_0000_0000n;
const HANDLER_STRIDE = 8;
/** HLT, and a jump back to it. */
const HALT = 0xfd_eb_f4n;
/** IRETQ, behind the handlers: the way into each case. */
const ENTRY = PHYSICAL.handlers + 0x900;

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const LARGE = 0x80n;
const NO_EXECUTE = 1n << 63n;
const TABLE = PRESENT | WRITABLE | USER;

const KERNEL_CS = 0x10n;
const TSS_SELECTOR = 0x40n;
const GDT: readonly bigint[] = [
  0n,
  0n,
  0x00af_9b00_0000_ffffn,
  0x00cf_9300_0000_ffffn,
  0x00cf_fb00_0000_ffffn,
  0x00cf_f300_0000_ffffn,
  0x00af_fb00_0000_ffffn,
  0n,
];
const ACCESS = { code64: 0xa09bn, data: 0xc0f3n, tss: 0x8bn, unusable: 0x1_0000n } as const;

const PAGE_FAULT = 14;
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);
/** More than any case executes. */
const BUDGET = 100_000;

/** What a delivered exception left. */
interface Frame {
  readonly vector: number;
  readonly words: readonly bigint[];
  readonly errorCode: number;
}

export class EmulatedRunner {
  readonly #vcpu: Vcpu;
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#buildTables();
    this.#vcpu = engine.createVcpu(SILENT_HOST);
    this.#enterSupervisor();
  }

  #view(at: number, length: number): DataView {
    const bytes = this.#engine.memory.writable(at, length)!;
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }
  #put(at: number, value: bigint): void {
    this.#view(at, 8).setBigUint64(0, value, true);
  }

  #buildTables(): void {
    const entry = (table: number, index: number, value: bigint): void => this.#put(table + index * 8, value);
    const high = Number(BigInt.asUintN(9, SUPERVISOR >> 39n));
    entry(PHYSICAL.pml4, 0, BigInt(PHYSICAL.lowPdpt) | TABLE);
    entry(PHYSICAL.lowPdpt, 0, BigInt(PHYSICAL.lowDirectory) | TABLE);
    entry(PHYSICAL.lowDirectory, CODE_PAGE >> 21, BigInt(PHYSICAL.codeTable) | TABLE);
    entry(PHYSICAL.lowDirectory, SCRATCH_PAGE >> 21, BigInt(PHYSICAL.scratchTable) | TABLE);
    entry(PHYSICAL.codeTable, 0, BigInt(PHYSICAL.code) | TABLE);
    entry(PHYSICAL.scratchTable, 0, BigInt(PHYSICAL.scratch) | TABLE | NO_EXECUTE);
    entry(PHYSICAL.pml4, high, BigInt(PHYSICAL.highPdpt) | PRESENT | WRITABLE);
    entry(PHYSICAL.highPdpt, 0, BigInt(PHYSICAL.highDirectory) | PRESENT | WRITABLE);
    entry(PHYSICAL.highDirectory, 0, PRESENT | WRITABLE | LARGE);
    for (const [i, descriptor] of GDT.entries()) entry(PHYSICAL.gdt, i, descriptor);
    const tss = SUPERVISOR + BigInt(PHYSICAL.tss);
    entry(PHYSICAL.gdt, 8, 0x0000_8b00_0000_0067n | ((tss & 0xff_ffffn) << 16n) | (((tss >> 24n) & 0xffn) << 56n));
    entry(PHYSICAL.gdt, 9, tss >> 32n);
    this.#put(PHYSICAL.tss + 4, SUPERVISOR + BigInt(PHYSICAL.stackTop));
    // The map of I/O ports lies beyond the segment's limit: user mode may use none.
    this.#put(PHYSICAL.tss + 0x60, 0x68n << 48n);
    for (let vector = 0; vector < 256; vector++) this.#gate(vector);
    this.#view(ENTRY, 2).setUint16(0, 0xcf48, true);
  }

  /** A 64-bit interrupt gate that user mode may use (SDM vol. 3 §6.14.1), to a HLT. */
  #gate(vector: number): void {
    const at = PHYSICAL.handlers + vector * HANDLER_STRIDE;
    this.#put(at, HALT);
    const target = SUPERVISOR + BigInt(at);
    const low = (target & 0xffffn) | (KERNEL_CS << 16n) | (0xee00n << 32n) | (((target >> 16n) & 0xffffn) << 48n);
    this.#put(PHYSICAL.idt + vector * 16, low);
    this.#put(PHYSICAL.idt + vector * 16 + 8, target >> 32n);
  }

  #enterSupervisor(): void {
    const segment = (
      name: string,
      selector: bigint,
      base: bigint,
      access: bigint,
      limit = 0xffff_ffffn,
    ): (readonly [string, bigint])[] => [
      [`${name}.selector`, selector],
      [`${name}.base`, base],
      [`${name}.limit`, limit],
      [`${name}.access`, access],
    ];
    const settings: (readonly [string, bigint])[] = [
      // PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE; SCE, LME, LMA, NXE; PE, MP, ET, NE, WP, AM, PG.
      ['CR4', 0x5_0620n],
      ['CR3', BigInt(PHYSICAL.pml4)],
      ['IA32_EFER', 0xd01n],
      ['CR0', 0x8005_0033n],
      ['GDTR.base', SUPERVISOR + BigInt(PHYSICAL.gdt)],
      ['GDTR.limit', 0x4fn],
      ['IDTR.base', SUPERVISOR + BigInt(PHYSICAL.idt)],
      ['IDTR.limit', 0xfffn],
      ...segment('CS', KERNEL_CS, 0n, ACCESS.code64),
      ...segment('SS', 0n, 0n, ACCESS.unusable),
      ...segment('DS', BigInt(DATA_SELECTOR), 0n, ACCESS.data),
      ...segment('ES', BigInt(DATA_SELECTOR), 0n, ACCESS.data),
      ...segment('FS', 0n, BigInt(FS_BASE), ACCESS.unusable),
      ...segment('GS', 0n, BigInt(GS_BASE), ACCESS.unusable),
      ...segment('TR', TSS_SELECTOR, SUPERVISOR + BigInt(PHYSICAL.tss), ACCESS.tss, 0x67n),
      ...segment('LDTR', 0n, 0n, ACCESS.unusable, 0n),
      ['RFLAGS', 2n],
    ];
    for (const [name, value] of settings) this.#vcpu.setRegister(name, value);
  }

  /** Prepares a case; the processor is left at the instruction that enters it. */
  load(c: Case): void {
    const { memory } = this.#engine;
    memory.writable(PHYSICAL.code, PAGE_SIZE)!.fill(0);
    memory.writable(PHYSICAL.code, c.code.length)!.set(c.code);
    memory.writable(PHYSICAL.scratch, PAGE_SIZE)!.set(c.scratch);
    const frame = PHYSICAL.stackTop - 0x100;
    const words = [c.rip, BigInt(c.mode === 64 ? CS64 : CS32), BigInt(c.flags), c.general[4], BigInt(DATA_SELECTOR)];
    for (const [i, word] of words.entries()) this.#put(frame + i * 8, word);
    for (const [n, value] of c.general.entries()) this.#vcpu.setRegister(NAMES[n], value);
    this.#vcpu.setRegister('RSP', SUPERVISOR + BigInt(frame));
    this.#vcpu.setRegister('RIP', SUPERVISOR + BigInt(ENTRY));
    this.#loadFloatingPoint(c.fx);
  }

  #loadFloatingPoint(fx: Uint8Array): void {
    const view = new DataView(fx.buffer, fx.byteOffset);
    const set = (name: string, value: bigint): void => this.#vcpu.setRegister(name, value);
    const status = view.getUint16(2, true);
    const top = (status >> 11) & 7;
    set('FCW', BigInt(view.getUint16(0, true)));
    set('FSW', BigInt(status & ~0x3800));
    set('FTOP', BigInt(top));
    set('FTW', BigInt(fx[4]));
    set('MXCSR', BigInt(view.getUint32(24, true)));
    for (let i = 0; i < 8; i++) {
      const physical = (top + i) & 7;
      set(`R${physical}.significand`, view.getBigUint64(32 + 16 * i, true));
      set(`R${physical}.exponent`, BigInt(view.getUint16(40 + 16 * i, true)));
    }
    for (let i = 0; i < 16; i++) {
      set(`XMM${i}`, view.getBigUint64(160 + 16 * i, true) | (view.getBigUint64(168 + 16 * i, true) << 64n));
    }
  }

  #saveFloatingPoint(): Uint8Array {
    const fx = new Uint8Array(FX_BYTES);
    const view = new DataView(fx.buffer);
    const get = (name: string): bigint => this.#vcpu.register(name);
    const top = Number(get('FTOP'));
    view.setUint16(0, Number(get('FCW')), true);
    view.setUint16(2, Number(get('FSW')) | (top << 11), true);
    fx[4] = Number(get('FTW'));
    view.setUint32(24, Number(get('MXCSR')), true);
    for (let i = 0; i < 8; i++) {
      const physical = (top + i) & 7;
      view.setBigUint64(32 + 16 * i, get(`R${physical}.significand`), true);
      view.setUint16(40 + 16 * i, Number(get(`R${physical}.exponent`)), true);
    }
    for (let i = 0; i < 16; i++) {
      const value = get(`XMM${i}`);
      view.setBigUint64(160 + 16 * i, BigInt.asUintN(64, value), true);
      view.setBigUint64(168 + 16 * i, value >> 64n, true);
    }
    return fx;
  }

  /** Executes one instruction (the first enters the case). The instruction pointer, undefined once an exception has ended the case. */
  step(): bigint | undefined {
    this.#vcpu.run(1);
    const rip = this.#vcpu.register('RIP');
    return rip >= SUPERVISOR ? undefined : rip;
  }

  flags(): number {
    return Number(this.#vcpu.register('RFLAGS'));
  }
  setFlags(flags: number): void {
    this.#vcpu.setRegister('RFLAGS', BigInt(flags));
  }
  count(): number {
    return Number(this.#vcpu.register('RCX') & 0xffn);
  }

  /** Runs to the exception that ends the case. @throws Error when none comes. */
  finish(): Outcome {
    const exit = this.#vcpu.run(BUDGET);
    if (exit.kind !== 'halted') throw new Error(`the case did not end: ${exit.kind}`);
    const frame = this.#frame();
    const general = BigUint64Array.from(NAMES, (name) => this.#vcpu.register(name));
    general[4] = frame.words[3];
    return {
      general,
      rip: frame.words[0],
      flags: Number(frame.words[2]),
      fx: this.#saveFloatingPoint(),
      scratch: this.#engine.memory.readable(PHYSICAL.scratch, PAGE_SIZE)!.slice(),
      vector: frame.vector,
      errorCode: frame.errorCode,
      faultAddress: frame.vector === PAGE_FAULT ? this.#vcpu.register('CR2') : undefined,
    };
  }

  #frame(): Frame {
    const vector = Number(
      (this.#vcpu.register('RIP') - SUPERVISOR - BigInt(PHYSICAL.handlers)) / BigInt(HANDLER_STRIDE),
    );
    const at = Number(this.#vcpu.register('RSP') - SUPERVISOR);
    const hasCode = WITH_ERROR_CODE.has(vector);
    const view = this.#view(at, hasCode ? 48 : 40);
    const words = Array.from({ length: 5 }, (_, i) => view.getBigUint64((i + (hasCode ? 1 : 0)) * 8, true));
    return { vector, words, errorCode: hasCode ? view.getUint32(0, true) : 0 };
  }
}

const NAMES = [
  'RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15',
] as const; // biome-ignore format: a table
