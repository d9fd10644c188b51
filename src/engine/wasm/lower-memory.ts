/** Guest memory: a look into the TLB in line, everything else by a call. */
import type { AccessKind, LoadNode, Procedure, StoreNode, Type, Value } from '../../isa/ir/types.ts';
import { WIDTH } from '../../isa/ir/types.ts';
import { FAULT, TLB_BANK, TLB_BANK_SUPERVISOR } from '../../isa/x86/state.ts';
import { PAGE_SIZE, RAM_BASE } from '../layout.ts';
import { BLOCK_EMPTY, ByteWriter, OP, TYPE_CODE } from './encoder.ts';
import { ValueLowering } from './lower-values.ts';
import { WASM_TYPE, writeLoad, writeStore, writeVectorMemoryOp } from './op-code.ts';
import { slowLoad, slowStore } from './slow-path.ts';
import { TLB_ENTRY, TLB_INDEX_MASK } from './tlb.ts';

/** Locals that keep what the TLB said of a page, for later accesses that likely go there as well. */
export interface KeptPage {
  /** Its linear address. */
  readonly tag: number;
  /** Its address in linear memory. */
  readonly host: number;
  /** What offsets must be below; 0 while there is no page. */
  readonly limit: number;
  /** How often a page was put here: an access that goes to many gives up, for it would be mispredicted each time. */
  readonly times: number;
}
/** An access to bytes that the first of some accesses looked up for all of them. */
export interface GroupedAccess {
  readonly isFirst: boolean;
  /** Bytes that are looked up together. */
  readonly span: number;
  readonly writes: boolean;
  /** The bytes accessed, from the lowest of them. */
  readonly at: number;
  /** Local with the place of the lowest in linear memory; 0 where they are not on one page that the TLB has. */
  readonly host: number;
}
/** An access in the making. */
interface Access {
  readonly node: LoadNode | StoreNode;
  /** Of what is loaded or stored. */
  readonly type: Type;
  /** Code of the type that it leaves on the stack. */
  readonly result: number;
  /** A load into a vector, or a store of the lowest lane of one. */
  readonly vector: boolean;
  /** The local with what is stored; undefined for a constant. */
  readonly value: number | undefined;
}

/** From a linear address to the place of its entry in a bank. */
const PLACE_IN_BANK = ((): Uint8Array => {
  const code = new ByteWriter();
  code.byte(OP.i32_wrap_i64);
  code.i32(7);
  code.byte(OP.i32_shr_u);
  code.i32(TLB_INDEX_MASK);
  code.byte(OP.i32_and);
  return code.view();
})();

const MOST_TIMES = 16;
/** Any access that starts below does not cross the page's end. */
const KEPT_LIMIT = PAGE_SIZE - 16 + 1;

export class MemoryLowering extends ValueLowering {
  protected checkFault(): void {
    this.code.i32(0);
    writeLoad(this.code, 'i32', this.target.cpuBase + FAULT.offset);
    this.code.hint(false);
    this.code.open(OP.if);
    this.target.fault(this.code, this.depth + 1);
    this.code.byte(OP.end);
  }

  protected storePhysical(v: Value, value: Value): void {
    const address = this.inLocal(v);
    this.isRam(address);
    this.code.open(OP.if);
    this.arrived(address);
    this.code.get(address);
    this.code.byte(OP.i32_wrap_i64);
    this.push(value, true);
    writeStore(this.code, value.type, RAM_BASE);
    this.code.byte(OP.end);
  }

  /** Pushes where the bank that an access looks into starts. */
  protected pushBank(access: AccessKind): void {
    this.code.i32(0);
    const bank = access === 'supervisor' ? TLB_BANK_SUPERVISOR : TLB_BANK;
    writeLoad(this.code, 'i32', this.target.cpuBase + bank.offset);
  }

  /** For lowerings that keep pages. */
  protected keptPage(_access: LoadNode | StoreNode): KeptPage | undefined {
    return undefined;
  }

  /** For lowerings that look up several accesses at once. */
  protected groupedAccess(_access: LoadNode | StoreNode): GroupedAccess | undefined {
    return undefined;
  }

  /** Writes an access; a load leaves its value on the stack. */
  #access(a: Access): void {
    const { node, result } = a;
    const grouped = this.groupedAccess(node);
    const kept = this.keptPage(node);
    if (grouped?.isFirst) this.#accessFirst(grouped, a);
    else if (grouped !== undefined) {
      this.code.get(grouped.host);
      this.code.hint(true);
      this.code.open(OP.if, result);
      this.code.get(grouped.host);
      this.#found(a, grouped.at);
      this.code.byte(OP.else);
      this.#accessAlone(a, this.inLocal(node.address), 1);
      this.code.byte(OP.end);
    } else if (kept !== undefined) this.#accessKept(kept, a);
    else this.#accessAlone(a, this.inLocal(node.address), 0);
  }
  /** `labels`: those open around it, inside the access. */
  #accessAlone(a: Access, address: number, labels: number): void {
    const { node, type, result } = a;
    const entry = this.#lookUp(node.access, address, WIDTH[type] / 8, node.kind === 'store' || node.forWrite);
    this.code.hint(true);
    this.code.open(OP.if, result);
    this.#hostAddress(address, entry);
    this.#found(a);
    this.code.byte(OP.else);
    this.#slow(a, address, labels + 1);
    this.code.byte(OP.end);
  }
  #accessFirst({ span, writes, at, host }: GroupedAccess, a: Access): void {
    const address = this.inLocal(a.node.address);
    let low = address;
    if (at > 0) {
      low = this.take('i64');
      this.code.get(address);
      this.code.i64(-at);
      this.code.byte(OP.i64_add);
      this.code.set(low);
    }
    const entry = this.#lookUp(a.node.access, low, span, writes);
    this.code.hint(true);
    this.code.open(OP.if, a.result);
    this.#hostAddress(low, entry);
    this.code.tee(host);
    this.#found(a, at);
    this.code.byte(OP.else);
    this.code.i32(0);
    this.code.set(host);
    this.#accessAlone(a, address, 1);
    this.code.byte(OP.end);
  }
  #accessKept(kept: KeptPage, a: Access): void {
    const address = this.inLocal(a.node.address);
    const offset = this.take('i64');
    this.code.open(OP.block, a.result);
    this.code.open(OP.block);
    this.#offsetIn(kept, address);
    this.code.tee(offset);
    this.code.get(kept.limit);
    this.code.byte(OP.i64_lt_u);
    this.code.hint(true);
    this.code.indexed(OP.br_if, 0);
    const { access } = a.node;
    const entry = this.#lookUp(access, address, WIDTH[a.type] / 8, a.node.kind === 'store' || a.node.forWrite);
    this.code.hint(true);
    this.code.open(OP.if);
    this.#keep(kept, address, entry);
    this.#offsetIn(kept, address);
    this.code.set(offset);
    this.code.indexed(OP.br, 1);
    this.code.byte(OP.end);
    this.#slow(a, address, 2);
    this.code.indexed(OP.br, 1);
    this.code.byte(OP.end);
    this.code.get(offset);
    this.code.byte(OP.i32_wrap_i64);
    this.code.get(kept.host);
    this.code.byte(OP.i32_add);
    this.#found(a);
    this.code.byte(OP.end);
  }
  #offsetIn({ tag }: KeptPage, address: number): void {
    this.code.get(address);
    this.code.get(tag);
    this.code.byte(OP.i64_xor);
  }
  /** Keeps the page of an address for which the TLB has an entry. */
  #keep({ tag, host, limit, times }: KeptPage, address: number, entry: number): void {
    this.code.get(address);
    this.code.i64(-PAGE_SIZE);
    this.code.byte(OP.i64_and);
    this.code.set(tag);
    this.#hostAddress(tag, entry);
    this.code.set(host);
    this.code.i64(KEPT_LIMIT);
    this.code.i64(0);
    this.code.get(times);
    this.code.i32(1);
    this.code.byte(OP.i32_add);
    this.code.tee(times);
    this.code.i32(MOST_TIMES);
    this.code.byte(OP.i32_lt_u);
    this.code.byte(OP.select);
    this.code.set(limit);
  }

  /**
   * Pushes whether the TLB has the page of all of some bytes; the entry's place is in the local returned. A tag and an address of its page
   * differ in the offset alone.
   */
  #lookUp(access: AccessKind, address: number, bytes: number, writes: boolean): number {
    const code = this.code;
    const entry = this.take('i32');
    code.get(address);
    code.bytes(PLACE_IN_BANK);
    this.pushBank(access);
    code.byte(OP.i32_add);
    code.tee(entry);
    code.memory(OP.i64_load, writes ? TLB_ENTRY.writeTag : TLB_ENTRY.readTag);
    code.get(address);
    code.byte(OP.i64_xor);
    code.i64(PAGE_SIZE + 1 - bytes);
    code.byte(OP.i64_lt_u);
    return entry;
  }
  #hostAddress(address: number, entry: number): void {
    this.code.get(address);
    this.code.byte(OP.i32_wrap_i64);
    this.code.get(entry);
    this.code.memory(OP.i32_load, TLB_ENTRY.addend);
    this.code.byte(OP.i32_add);
  }

  /** Leaves the loaded value on the stack; `extended`: as a vector with zeros above it. */
  protected load(v: LoadNode, extended = false): void {
    const result = extended ? TYPE_CODE.v128 : TYPE_CODE[WASM_TYPE[v.type]];
    this.#access({ node: v, type: v.type, result, vector: extended, value: undefined });
  }
  protected store(s: StoreNode): void {
    const { type } = s.value;
    const vector = this.pushVectorOf(s.value);
    let value: number | undefined;
    if (vector) {
      value = this.take('v128');
      this.code.set(value);
    } else if (s.value.kind !== 'const') value = this.inLocal(s.value);
    this.#access({ node: s, type, result: BLOCK_EMPTY, vector, value });
  }

  /** The access itself, with an address of the host's on the stack, so many bytes before it. */
  #found({ node, type, vector, value }: Access, at = 0): void {
    if (node.kind === 'load') {
      if (vector) writeVectorMemoryOp(this.code, type === 'i32' ? 'v128_load32_zero' : 'v128_load64_zero', at);
      else writeLoad(this.code, type, at);
      return;
    }
    if (value === undefined) this.push(node.value);
    else this.code.get(value);
    if (vector) writeVectorMemoryOp(this.code, type === 'i32' ? 'v128_store32_lane' : 'v128_store64_lane', at);
    else writeStore(this.code, type, at);
  }
  /** The call for what the TLB does not have; `labels`: those open around it, inside the access. */
  #slow({ node, type, vector, value }: Access, address: number, labels: number): void {
    this.code.get(address);
    if (node.kind === 'load') {
      this.#pushSegment(node.access);
      this.slowCall(slowLoad(type, node.access, node.forWrite), labels);
      if (vector) this.#extend(type);
      return;
    }
    if (value === undefined) this.push(node.value);
    else this.code.get(value);
    if (vector) this.vector(type === 'i32' ? 'i32x4.extract' : 'i64x2.extract', [0]);
    this.#pushSegment(node.access);
    this.slowCall(slowStore(type, node.access), labels, node);
  }
  /** The value on the stack as a vector with zeros above it. */
  #extend(type: Type): void {
    const narrow = this.take(WASM_TYPE[type]);
    this.code.set(narrow);
    this.constant('i128', 0n);
    this.code.get(narrow);
    this.vector(type === 'i32' ? 'i32x4.replace' : 'i64x2.replace', [0]);
  }

  /** Pushes the vector whose lowest lane `v` is, if it is one that is computed where it is used; else does nothing. */
  protected pushVectorOf(v: Value): boolean {
    if (v.kind !== 'op' || !this.placement.inlined.has(v)) return false;
    if ((v.op !== 'i64x2.extract' && v.op !== 'i32x4.extract') || v.immediate[0] !== 0) return false;
    this.push(v.args[0]);
    return true;
  }

  #pushSegment(access: AccessKind): void {
    if (access === 'operand') this.target.field(this.code, { kind: 'field', number: 0, type: 'i32', name: 'segment' });
  }

  /** `labels`: those open around the call, inside the access; `store`: what it does, if that is one. */
  protected slowCall(procedure: Procedure, labels: number, store?: StoreNode): void {
    this.target.beforeCall(this.code);
    this.code.indexed(OP.call, this.target.functionIndex(procedure));
    this.depth += labels;
    if (store === undefined) this.checkFault();
    else this.checkStore(store);
    this.depth -= labels;
  }
  /** Behind a store that took the slow path. */
  protected checkStore(_s: StoreNode): void {
    this.checkFault();
  }
}
