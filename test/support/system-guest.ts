/**
 * A guest with descriptor tables, a handler for every vector and a task, in any mode and at any privilege level, on any engine.
 * Handlers are HLT; INT3 is how code says that it is done.
 */
import type { Engine, InterruptSource, Vcpu } from '../../src/engine/engine.ts';
import { createReferenceEngine } from '../../src/engine/reference/engine.ts';
import { createWasmEngine } from '../../src/engine/wasm/engine.ts';
import { listeningBus } from './flat-guest.ts';

const memoryBytes = 2 ** 20;

/** The engines that tests of the system run on. */
export const SYSTEM_ENGINES: Readonly<Record<string, () => Engine>> = {
  reference: () => createReferenceEngine({ memoryBytes }),
  wasm: () => createWasmEngine({ memoryBytes, tier: 'interpreter' }),
};

export const PLACE = {
  code: 0x1000,
  /** Where the stacks of level 0 and of the program end. */
  kernelStack: 0x8000,
  stack: 0x9000,
  gdt: 0x10000,
  idt: 0x11000,
  tss: 0x30000,
  otherTss: 0x13000,
  ldt: 0x14000,
  data: 0x18000,
  handlers: 0x20000,
  tables: 0x40000,
  /** A device register. */
  device: 0x180000,
};

/** Selectors of the GDT; `free` and up are for tests. */
export const SELECTOR = {
  code64: 0x08,
  data: 0x10,
  code32: 0x18,
  code16: 0x20,
  data16: 0x28,
  userCode64: 0x33,
  userData: 0x3b,
  userCode32: 0x43,
  userCode16: 0x4b,
  tss: 0x50,
  free: 0x60,
};

const GDT: readonly bigint[] = [
  0n,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cf9b000000ffffn,
  0x00009b000000ffffn,
  0x000093000000ffffn,
  0x00affb000000ffffn,
  0x00cff3000000ffffn,
  0x00cffb000000ffffn,
  0x0000fb000000ffffn,
];
export const GDT_LIMIT = 0xff;
const HLT = 0xf4;
/** Ends a test's code. */
export const INT3 = 0xcc;
const VECTORS_WITH_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);

export type Mode = 'real' | 'virtual8086' | 'protected16' | 'protected32' | 'compatibility' | 'long';

/** What came of the code. */
export interface Outcome {
  readonly vector: number;
  /** Undefined where the vector has none. */
  readonly code: number | undefined;
  /** As the handler's frame has them. */
  readonly ip: bigint;
  readonly cs: number;
  readonly flags: number;
}

export interface StartOptions {
  readonly cpl?: 0 | 3;
  readonly flags?: number;
  /** Registers to set last, by name. */
  readonly registers?: Readonly<Record<string, bigint>>;
}

/** A code or data descriptor, a gate's halves are the caller's. */
export function descriptor(base: number, limit: number, access: number): bigint {
  const [b, l] = [BigInt(base), BigInt(limit)];
  const low = (l & 0xffffn) | ((b & 0xffffffn) << 16n);
  return (
    low | (BigInt(access & 0xff) << 40n) | ((l >> 16n) << 48n) | (BigInt(access >> 12) << 52n) | ((b >> 24n) << 56n)
  );
}
/** A gate of the GDT or the IDT: the 8 bytes that all modes have. */
export function gate(selector: number, offset: number, access: number, parameters = 0): bigint {
  const o = BigInt(offset);
  const low = (o & 0xffffn) | (BigInt(selector) << 16n) | (BigInt(parameters) << 32n);
  return low | (BigInt(access) << 40n) | ((o >> 16n) << 48n);
}

/** A non-maskable and a maskable line. */
export class Lines implements InterruptSource {
  nmi = false;
  vector = -1;

  pending(): boolean {
    return this.vector >= 0;
  }
  acknowledge(): number {
    const { vector } = this;
    this.vector = -1;
    return vector;
  }
  takeNmi(): boolean {
    const latched = this.nmi;
    this.nmi = false;
    return latched;
  }
  taskPriority(): number {
    return 0;
  }
  setTaskPriority(): void {}
}

export class SystemGuest {
  readonly vcpu: Vcpu;
  readonly lines = new Lines();
  /** Ports that the guest wrote, with what. */
  readonly written: [number, number][] = [];
  /** What happens when the guest writes a port, and what it reads from a device. */
  wrote: (port: number) => void = () => {};
  readDevice: () => number = () => 0;
  readonly #engine: Engine;
  #mode: Mode = 'real';

  constructor(engine: Engine) {
    this.#engine = engine;
    const ports = listeningBus((port, value) => {
      this.written.push([port, value]);
      this.wrote(port);
    });
    this.vcpu = engine.createVcpu({
      mmio: { ...listeningBus(), read: () => this.readDevice() },
      ports,
      interrupts: this.lines,
      msrs: { read: () => undefined, write: () => false },
      timestamp: () => 0n,
      entropy: () => 0n,
    });
  }

  write(at: number, bytes: readonly number[]): void {
    this.#engine.memory.writable(at, bytes.length)!.set(bytes);
  }
  number(at: number, bytes: 1 | 2 | 4 | 8): bigint {
    const view = this.#engine.memory.readable(at, bytes)!;
    return view.reduceRight((v, b) => (v << 8n) | BigInt(b), 0n);
  }
  setNumber(at: number, bytes: 1 | 2 | 4 | 8, value: bigint | number): void {
    const v = BigInt(value);
    this.write(
      at,
      Array.from({ length: bytes }, (_, i) => Number((v >> BigInt(8 * i)) & 0xffn)),
    );
  }
  setDescriptor(selector: number, value: bigint): void {
    this.setNumber((selector & 4 ? PLACE.ldt : PLACE.gdt) + (selector & ~7), 8, value);
  }
  set(registers: Readonly<Record<string, bigint>>): void {
    for (const [name, value] of Object.entries(registers)) this.vcpu.setRegister(name, value);
  }
  get(name: string): bigint {
    return this.vcpu.register(name);
  }

  /** Puts the code in place and the processor before it, everything else fresh. */
  start(mode: Mode, code: readonly number[], options: StartOptions = {}): this {
    const { cpl = mode === 'virtual8086' ? 3 : 0 } = options;
    this.#mode = mode;
    this.vcpu.reset();
    this.#engine.memory.writable(0, memoryBytes)!.fill(0);
    this.written.length = 0;
    this.write(PLACE.code, [...code, INT3]);
    this.#tables();
    this.#control();
    this.#segments(cpl);
    const flags = (options.flags ?? 0) | 2 | (mode === 'virtual8086' ? 1 << 17 : 0);
    this.set({ RIP: BigInt(PLACE.code), RSP: BigInt(PLACE.stack), RFLAGS: BigInt(flags), ...options.registers });
    return this;
  }

  #tables(): void {
    for (const [i, d] of GDT.entries()) this.setNumber(PLACE.gdt + i * 8, 8, d);
    const long = this.#isLong();
    const tss = descriptor(PLACE.tss, 0x2fff, 0x8b);
    this.setNumber(PLACE.gdt + SELECTOR.tss, 8, tss);
    for (let v = 0; v < 256; v++) {
      const handler = PLACE.handlers + v * 16;
      this.write(handler, [HLT]);
      if (this.#mode === 'real') this.setNumber(v * 4, 4, (PLACE.handlers / 16 + v) * 0x10000);
      else if (long) this.setNumber(PLACE.idt + v * 16, 8, gate(SELECTOR.code64, handler, 0xee));
      else this.setNumber(PLACE.idt + v * 8, 8, gate(SELECTOR.code32, handler, 0xee));
    }
    if (long) this.setNumber(PLACE.tss + 4, 8, PLACE.kernelStack);
    else {
      this.setNumber(PLACE.tss + 4, 4, PLACE.kernelStack);
      this.setNumber(PLACE.tss + 8, 2, SELECTOR.data);
    }
    // Behind the TSS's fixed part, a permission bitmap without permissions.
    this.setNumber(PLACE.tss + 0x66, 2, 0x68);
    this.write(PLACE.tss + 0x68, new Array(0x2001).fill(0xff));
    if (long) {
      this.setNumber(PLACE.tables, 8, (PLACE.tables + 0x1000) | 7);
      this.setNumber(PLACE.tables + 0x1000, 8, (PLACE.tables + 0x2000) | 7);
      this.setNumber(PLACE.tables + 0x2000, 8, 0xe7);
    }
  }
  #isLong(): boolean {
    return this.#mode === 'long' || this.#mode === 'compatibility';
  }

  #control(): void {
    const real = this.#mode === 'real';
    this.set({
      'IDTR.base': BigInt(real ? 0 : PLACE.idt),
      'IDTR.limit': real ? 0x3ffn : 0xfffn,
      'GDTR.base': BigInt(PLACE.gdt),
      'GDTR.limit': BigInt(GDT_LIMIT),
      'TR.base': BigInt(PLACE.tss),
      'TR.limit': 0x2fffn,
      'TR.access': 0x8bn,
      'TR.selector': BigInt(SELECTOR.tss),
      'LDTR.access': 0x10000n,
      CR0: real ? 0x10n : 0x11n,
    });
    if (!this.#isLong()) return;
    this.set({ CR3: BigInt(PLACE.tables), CR4: 0x20n, IA32_EFER: 0xd01n, CR0: 0x80000011n });
  }

  #segments(cpl: 0 | 3): void {
    const mode = this.#mode;
    if (mode === 'real' || mode === 'virtual8086') {
      const access = mode === 'real' ? 0x93n : 0xf3n;
      for (const name of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS']) this.#segment(name, 0n, 0xffffn, access, 0n);
      return;
    }
    const level = BigInt(cpl) << 5n;
    const selectors = {
      long: [SELECTOR.code64, SELECTOR.userCode64],
      compatibility: [SELECTOR.code32, SELECTOR.userCode32],
      protected32: [SELECTOR.code32, SELECTOR.userCode32],
      protected16: [SELECTOR.code16, SELECTOR.userCode16],
    }[mode];
    const code = { long: 0xa09bn, compatibility: 0xc09bn, protected32: 0xc09bn, protected16: 0x009bn }[mode];
    const limit = mode === 'protected16' ? 0xffffn : 0xffffffffn;
    this.#segment('CS', 0n, limit, code | level, BigInt(selectors[cpl === 0 ? 0 : 1]));
    const narrow = mode === 'protected16' && cpl === 0;
    const data = cpl === 3 ? SELECTOR.userData : narrow ? SELECTOR.data16 : SELECTOR.data;
    for (const name of ['ES', 'SS', 'DS', 'FS', 'GS'])
      this.#segment(name, 0n, narrow ? 0xffffn : 0xffffffffn, (narrow ? 0x93n : 0xc093n) | level, BigInt(data));
  }
  #segment(name: string, base: bigint, limit: bigint, access: bigint, selector: bigint): void {
    this.set({
      [`${name}.base`]: base,
      [`${name}.limit`]: limit,
      [`${name}.access`]: access,
      [`${name}.selector`]: selector,
    });
  }

  /** Runs until a handler has it; fails where none does. */
  run(): Outcome {
    for (let left = 100; left > 0; left--) {
      const exit = this.vcpu.run(1000);
      if (exit.kind === 'shutdown') throw new Error('shutdown');
      if (exit.kind === 'halted') return this.#outcome();
    }
    throw new Error('the guest does not come to an end');
  }

  /** What the frame of the handler that halted tells. */
  #outcome(): Outcome {
    const linear = Number(this.get('CS.base') + this.get('RIP')) - 1;
    const vector = (linear - PLACE.handlers) / 16;
    if (!Number.isInteger(vector) || vector < 0 || vector > 255) throw new Error(`halted at ${linear.toString(16)}`);
    const word = this.#mode === 'real' ? 2 : this.#isLong() ? 8 : 4;
    const hasCode = this.#mode !== 'real' && VECTORS_WITH_CODE.has(vector);
    const stack = Number(this.get('SS.base') + this.get('RSP'));
    const at = (n: number): bigint => this.number(stack + n * word, word);
    const [ip, cs, flags] = [0, 1, 2].map((n) => at(n + (hasCode ? 1 : 0)));
    return { vector, code: hasCode ? Number(at(0)) : undefined, ip, cs: Number(cs & 0xffffn), flags: Number(flags) };
  }
}
