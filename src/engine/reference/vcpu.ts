/** A virtual CPU that the reference evaluator executes, one instruction at a time, decoding each anew and walking page tables always. */
import type { External, FieldName, LoadNode, Procedure, Statement, StoreNode, Type } from '../../isa/ir/types.ts';
import { WIDTH } from '../../isa/ir/types.ts';
import { bodyOf } from '../../isa/x86/body.ts';
import { cpuidLeaf } from '../../isa/x86/cpuid.ts';
import { type Decoded, decode } from '../../isa/x86/decoder.ts';
import type { CodeSize } from '../../isa/x86/prefixes.ts';
import { checkStackAddress } from '../../isa/x86/procedures/checks.ts';
import { beginStep, checkWatched, endStep } from '../../isa/x86/procedures/debug.ts';
import { checkFetchEnd, translateFetch } from '../../isa/x86/procedures/fetch.ts';
import {
  deliverDebugTrap,
  deliverFault,
  deliverInterrupt,
  deliverNmi,
  deliverWaitingFault,
} from '../../isa/x86/procedures/interrupts.ts';
import { ACCESS, translate } from '../../isa/x86/procedures/paging.ts';
import { refresh } from '../../isa/x86/procedures/refresh.ts';
import * as S from '../../isa/x86/state.ts';
import { handlerKey, TOO_LONG, UNDEFINED } from '../bodies.ts';
import { Boundary, type BoundaryProcedures } from '../boundary.ts';
import { cpuidContext } from '../cpuid-context.ts';
import type { EngineHost, Exit, Vcpu, VcpuState, VcpuStatistics } from '../engine.ts';
import { CPU_BASE, PAGE_SIZE } from '../layout.ts';
import type { EngineMemory } from '../memory.ts';
import { checkRegisters, Registers, resetRegisters, restoreRegisters, saveRegisters } from '../registers.ts';
import { type Executor, RunLoop } from '../run-loop.ts';
import { callProcedure, type Environment, evaluate, GuestFault } from './evaluate.ts';

const MAX_INSTRUCTION = 15;
/** Of RETIRED_LIMIT, which instructions set to 0 to ask for attention; nothing else looks at it here. */
const NO_LIMIT = -1;
const PLAIN = { operandSize: 32, addressSize: 32, long: false, memory: false, segmented: false, rep: 'none' } as const;

export class ReferenceVcpu implements Vcpu, Environment, Executor {
  readonly #host: EngineHost;
  readonly #memory: EngineMemory;
  readonly #registers: Registers;
  readonly #bodies = new Map<number, readonly Statement[]>();
  readonly #vectors = new Map<number, number>();
  readonly #loop: RunLoop;
  #decoded: Decoded | undefined;
  #offset = 0;
  #retired = 0;
  #retiredBeforeReset = 0;
  #target: bigint | undefined;
  #halts = false;
  #changed = true;

  constructor(memory: EngineMemory, host: EngineHost) {
    this.#memory = memory;
    this.#host = host;
    this.#registers = new Registers(memory.wasm, CPU_BASE);
    const boundary = new Boundary(this.#registers, host.interrupts, this.#procedures, (vector) => this.#count(vector));
    this.#loop = new RunLoop(this, boundary, { exactStops: host.exactStops ?? false, trace: host.trace });
    this.reset();
  }

  // --- the environment of evaluations -------------------------------------------------------------------------------------------

  field(name: FieldName): bigint {
    const { fields, parameters } = this.#decoded!;
    switch (name) {
      case 'offset':
        return BigInt(this.#offset);
      case 'displacement': {
        const relative = parameters.memory && fields.rm === S.IP_BASE_AT ? this.#offset + fields.length : 0;
        return BigInt(fields.displacement + relative);
      }
      case 'immediate':
        return fields.immediate;
      default:
        return BigInt(fields[name]);
    }
  }
  readState(offset: number, type: Type): bigint {
    return this.#registers.readAt(offset, WIDTH[type] / 8);
  }
  writeState(offset: number, type: Type, value: bigint): void {
    this.#registers.writeAt(offset, WIDTH[type] / 8, value);
  }

  /** Both pages are translated before a byte moves. */
  #places(address: bigint, length: number, access: number): (i: number) => number {
    const first = Number(this.#translate(address, access));
    const boundary = BigInt.asUintN(64, (address + BigInt(length - 1)) & -BigInt(PAGE_SIZE));
    const crossing = boundary > address;
    const second = crossing ? Number(this.#translate(boundary, access)) : 0;
    const before = crossing ? Number(boundary - address) : length;
    return (i) => (i < before ? first + i : second + i - before);
  }
  #translate(address: bigint, access: number): bigint {
    return callProcedure(this, translate, [address, BigInt(access)])[0];
  }
  #access(node: LoadNode | StoreNode, write: boolean): number {
    const base = write ? ACCESS.write : 0;
    if (node.access === 'supervisor') return base | ACCESS.implicit;
    return base | (this.#registers.u32(S.CPL) === 3 ? ACCESS.user : 0);
  }
  #watch(node: LoadNode | StoreNode, address: bigint, length: number, write: boolean): void {
    const ofStack = node.access === 'stack' || (node.access === 'operand' && this.field('segment') === BigInt(S.SS_AT));
    if (ofStack) callProcedure(this, checkStackAddress, [address, BigInt(length)]);
    if (node.access === 'supervisor' || this.#registers.u32(S.WATCHED) === 0) return;
    callProcedure(this, checkWatched, [address, BigInt(length), write ? 1n : 0n]);
  }
  load(node: LoadNode, address: bigint): bigint {
    const length = WIDTH[node.type] / 8;
    this.#watch(node, address, length, false);
    const place = this.#places(address, length, this.#access(node, node.forWrite));
    return this.#transfer(place, length, 'read', 0n);
  }
  store(node: StoreNode, address: bigint, value: bigint): void {
    const length = WIDTH[node.value.type] / 8;
    this.#watch(node, address, length, true);
    this.#transfer(this.#places(address, length, this.#access(node, true)), length, 'write', value);
  }
  /** Bytes to or from RAM; a device register of up to four bytes at once. */
  #transfer(place: (i: number) => number, length: number, what: 'read' | 'write', value: bigint): bigint {
    const contiguous = place(length - 1) === place(0) + length - 1;
    const unit = contiguous ? Math.min(length, 4) : 1;
    let result = 0n;
    for (let i = 0; i < length; i += unit) {
      const part = BigInt.asUintN(unit * 8, value >> BigInt(i * 8));
      result |= this.#transferUnit(place(i), unit as 1 | 2 | 4, what, part) << BigInt(i * 8);
    }
    return result;
  }
  #transferUnit(at: number, width: 1 | 2 | 4, what: 'read' | 'write', value: bigint): bigint {
    const { mmio } = this.#host;
    const ram = what === 'read' ? this.#memory.readable(at, width) : this.#memory.writable(at, width);
    if (ram === undefined) {
      if (what === 'read') return BigInt(mmio.read(at, width));
      mmio.write(at, width, Number(value));
      return 0n;
    }
    let result = 0n;
    for (let i = 0; i < width; i++) {
      if (what === 'read') result |= BigInt(ram[i]) << BigInt(i * 8);
      else ram[i] = Number((value >> BigInt(i * 8)) & 0xffn);
    }
    return result;
  }
  /** Page tables lie in RAM; elsewhere they read as zero. */
  loadPhysical(type: Type, address: bigint): bigint {
    const bytes = this.#memory.readable(Number(address), WIDTH[type] / 8);
    if (bytes === undefined) return 0n;
    return bytes.reduceRight((v, b) => (v << 8n) | BigInt(b), 0n);
  }
  storePhysical(type: Type, address: bigint, value: bigint): void {
    const bytes = this.#memory.writable(Number(address), WIDTH[type] / 8);
    bytes?.forEach((_, i) => {
      bytes[i] = Number((value >> BigInt(i * 8)) & 0xffn);
    });
  }

  external(target: External, args: readonly bigint[]): readonly bigint[] {
    const host = this.#host;
    const [a, b, c] = args;
    switch (target.name) {
      case 'portRead':
        return [this.#loop.atBlockEnd(() => BigInt(host.ports.read(Number(a & 0xffffn), Number(b) as 1 | 2 | 4)))];
      case 'portWrite':
        this.#loop.atBlockEnd(() => host.ports.write(Number(a & 0xffffn), Number(b) as 1 | 2 | 4, Number(c)));
        return [];
      case 'timestamp':
        return [BigInt.asUintN(64, host.timestamp())];
      case 'entropy':
        return [BigInt.asUintN(64, host.entropy())];
      case 'cpuid':
        return this.#cpuid(Number(a), Number(b)).map((v) => BigInt(v >>> 0));
      case 'msrRead': {
        const value = host.msrs.read(Number(a));
        return [BigInt.asUintN(64, value ?? 0n), value === undefined ? 0n : 1n];
      }
      case 'msrWrite':
        return [this.#loop.atBlockEnd(() => (host.msrs.write(Number(a), b) ? 1n : 0n))];
      case 'taskPriorityRead':
        return [BigInt(host.interrupts.taskPriority())];
      case 'taskPriorityWrite':
        this.#loop.atBlockEnd(() => {
          host.interrupts.setTaskPriority(Number(a));
          this.kick();
        });
        return [];
      case 'atOnce':
        return [a];
      case 'copyOnPage':
      case 'fillOnPage':
        return [0n];
      case 'dropTranslations':
      case 'forgetJumps':
        return [];
      default:
        throw new Error(`the host has no ${target.name}`);
    }
  }
  #cpuid(leaf: number, subleaf: number): readonly number[] {
    const r = this.#registers;
    return cpuidLeaf(leaf, subleaf, cpuidContext(this.#host, r.get(S.CR4), r.get(S.XCR0)));
  }

  fault(vector: number, errorCode: number | undefined): void {
    const r = this.#registers;
    r.setU32(S.FAULT, 1);
    r.setU32(S.FAULT_VECTOR, vector);
    r.setU32(S.FAULT_HAS_CODE, errorCode === undefined ? 0 : 1);
    r.setU32(S.FAULT_CODE, errorCode ?? 0);
  }
  jump(target: bigint): void {
    this.#target = target;
  }
  exit(): void {
    this.#halts = true;
  }

  // --- running ------------------------------------------------------------------------------------------------------------------

  run(budget: number): Exit {
    if (this.#changed) this.#applyChanges();
    return this.#loop.run(budget);
  }
  execute(): number {
    return this.step();
  }
  /** One instruction, or the exception that comes in its place. */
  step(): number {
    const r = this.#registers;
    r.setU32(S.HELD, 0);
    r.setNumber(S.RETIRED_LIMIT, NO_LIMIT);
    this.#halts = false;
    if (!this.#instruction() && this.#procedures.deliverFault()) return S.EXIT.shutdown;
    return this.#halts ? S.EXIT.halt : S.EXIT.budget;
  }
  limit(limit: number): void {
    if (limit === 0) this.#registers.setNumber(S.RETIRED_LIMIT, 0);
  }
  asksAttention(): boolean {
    return this.#registers.number(S.RETIRED_LIMIT) === 0;
  }

  /** False where an exception ended it. */
  #instruction(): boolean {
    const r = this.#registers;
    try {
      this.#decoded = this.#fetch();
      const { fields } = this.#decoded;
      callProcedure(this, checkFetchEnd, [BigInt(fields.length)]);
      const ip = r.get(S.RIP);
      r.set(S.IP_BASE, ip - BigInt(this.#offset));
      this.#target = undefined;
      evaluate(this, this.#body(this.#decoded));
      r.set(S.RIP, this.#target ?? ip + BigInt(fields.length));
      this.#retired++;
      return true;
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      return false;
    }
  }

  #body(decoded: Decoded): readonly Statement[] {
    const key = handlerKey(decoded.encoding, decoded.parameters);
    let body = this.#bodies.get(key);
    if (body === undefined) {
      body = bodyOf(decoded.encoding, decoded.parameters);
      this.#bodies.set(key, body);
    }
    return body;
  }

  #fetch(): Decoded {
    const r = this.#registers;
    const size = r.u32(S.CODE_SIZE) as CodeSize;
    callProcedure(this, translateFetch, [0n]);
    const physical = r.number(S.FETCH_PHYSICAL);
    this.#offset = physical % PAGE_SIZE;
    const here = Math.min(MAX_INSTRUCTION, PAGE_SIZE - this.#offset);
    const bytes = new Uint8Array(MAX_INSTRUCTION).fill(0xff);
    bytes.set(this.#memory.readable(physical, here) ?? [], 0);
    let result = decode(bytes.subarray(0, here), size);
    if (result === 'truncated' && here < MAX_INSTRUCTION) {
      callProcedure(this, translateFetch, [BigInt(here)]);
      bytes.set(this.#memory.readable(r.number(S.FETCH_PHYSICAL), MAX_INSTRUCTION - here) ?? [], here);
      result = decode(bytes, size);
    }
    if (typeof result !== 'string') return result;
    return {
      encoding: result === 'invalid' ? UNDEFINED : TOO_LONG,
      parameters: PLAIN,
      fields: { length: 1, segment: 0, scale: 0, reg: 0, rm: 0, index: 0, displacement: 0, immediate: 0n },
      prefixes: { rex: 0, lock: false, operandSize: false, addressSize: false, repeat: 'none', segment: undefined },
    };
  }

  readonly #procedures: BoundaryProcedures = {
    deliverWaitingFault: () => this.#call(deliverWaitingFault) !== 0n,
    deliverDebugTrap: () => this.#call(deliverDebugTrap) !== 0n,
    deliverNmi: () => this.#call(deliverNmi) !== 0n,
    deliverInterrupt: (vector) => this.#call(deliverInterrupt, BigInt(vector)) !== 0n,
    deliverFault: () => {
      this.#noteFault();
      return this.#call(deliverFault) !== 0n;
    },
    beginStep: () => {
      try {
        this.#call(beginStep);
        return false;
      } catch (error) {
        if (!(error instanceof GuestFault)) throw error;
        return true;
      }
    },
    endStep: (ip) => {
      this.#call(endStep, ip);
    },
  };
  #call(p: Procedure, ...args: bigint[]): bigint {
    return callProcedure(this, p, args)[0] ?? 0n;
  }
  #noteFault(): void {
    const r = this.#registers;
    const vector = r.u32(S.FAULT_VECTOR);
    this.#count(vector);
    this.#loop.countException();
    this.#host.trace?.exception?.(vector, r.u32(S.FAULT_HAS_CODE) ? r.u32(S.FAULT_CODE) : undefined, r.get(S.RIP));
  }
  #count(vector: number): void {
    this.#vectors.set(vector, (this.#vectors.get(vector) ?? 0) + 1);
  }

  #applyChanges(): void {
    this.#changed = false;
    callProcedure(this, refresh, []);
    this.#registers.setU32(S.FAULT, 0);
  }

  kick(): void {
    this.#registers.setU32(S.INTERRUPT_PENDING, 1);
    this.#loop.kick();
  }
  retired(): number {
    return this.#retired;
  }
  register(name: string): bigint {
    if (this.#changed) this.#applyChanges();
    return this.#registers.byName(name);
  }
  setRegister(name: string, value: bigint): void {
    this.#registers.setByName(name, value);
    // Whoever sends the processor elsewhere wants it to run.
    if (name === 'RIP') this.#loop.halted = false;
    this.#changed = true;
  }
  reset(): void {
    this.#retiredBeforeReset += this.#retired;
    this.#retired = 0;
    resetRegisters(this.#registers);
    this.#registers.set(S.RAM_SIZE, BigInt(this.#memory.size));
    this.#registers.setU32(S.CODE_SIZE, 16);
    this.#loop.halted = false;
    this.#changed = true;
  }
  state(): VcpuState {
    if (this.#changed) this.#applyChanges();
    return { registers: saveRegisters(this.#registers), halted: this.#loop.halted, retired: this.#retired };
  }
  restore({ registers, halted, retired }: VcpuState): void {
    checkRegisters(registers);
    this.reset();
    restoreRegisters(this.#registers, registers, () => this.#applyChanges());
    this.#retired = retired;
    this.#loop.halted = halted;
  }

  statistics(): VcpuStatistics {
    return { vectors: this.#vectors, decodedInstructions: this.#retiredBeforeReset + this.#retired };
  }
}
