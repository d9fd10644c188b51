/** Guest memory: a look into the TLB in line, everything else by a call. */
import type { AccessKind, LoadNode, Procedure, StoreNode, Type, Value } from '../../isa/ir/types.ts';
import { WIDTH } from '../../isa/ir/types.ts';
import { FAULT, TLB_BANK, TLB_BANK_SUPERVISOR } from '../../isa/x86/state.ts';
import { PAGE_SIZE, RAM_BASE } from '../layout.ts';
import { BLOCK_EMPTY, OP, TYPE_CODE } from './encoder.ts';
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

  /**
   * An access of `bytes` bytes at the address in a local, checked by `tag`: `found` with the host's address on the stack, or `slow`. Both
   * leave what `result` says.
   */
  #access(
    access: LoadNode | StoreNode,
    address: number,
    how: { readonly bytes: number; readonly tag: number; readonly result: number },
    found: () => void,
    slow: (labels: number) => void,
  ): void {
    const kept = this.keptPage(access);
    if (kept !== undefined) {
      this.#accessKept(kept, access.access, address, how, found, slow);
      return;
    }
    const entry = this.lookUp(address, how.bytes, how.tag, access.access);
    this.code.hint(true);
    this.code.open(OP.if, how.result);
    this.hostAddress(address, entry);
    found();
    this.code.byte(OP.else);
    slow(1);
    this.code.byte(OP.end);
  }
  #accessKept(
    kept: KeptPage,
    access: AccessKind,
    address: number,
    { bytes, tag, result }: { readonly bytes: number; readonly tag: number; readonly result: number },
    found: () => void,
    slow: (labels: number) => void,
  ): void {
    const offset = this.take('i64');
    this.code.open(OP.block, result);
    this.code.open(OP.block);
    this.#offsetIn(kept, address);
    this.code.tee(offset);
    this.code.get(kept.limit);
    this.code.byte(OP.i64_lt_u);
    this.code.hint(true);
    this.code.indexed(OP.br_if, 0);
    const entry = this.lookUp(address, bytes, tag, access);
    this.code.hint(true);
    this.code.open(OP.if);
    this.#keep(kept, address, entry);
    this.#offsetIn(kept, address);
    this.code.set(offset);
    this.code.indexed(OP.br, 1);
    this.code.byte(OP.end);
    slow(2);
    this.code.indexed(OP.br, 1);
    this.code.byte(OP.end);
    this.code.get(offset);
    this.code.byte(OP.i32_wrap_i64);
    this.code.get(kept.host);
    this.code.byte(OP.i32_add);
    found();
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
    this.hostAddress(tag, entry);
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
   * Pushes whether the TLB has the page of all `bytes` at `address` in the tag `tag`; the entry's place is in the local returned. A tag
   * and an address of its page differ in the offset alone.
   */
  protected lookUp(address: number, bytes: number, tag: number, access: AccessKind): number {
    const code = this.code;
    const entry = this.take('i32');
    this.code.get(address);
    this.code.byte(OP.i32_wrap_i64);
    this.code.i32(7);
    this.code.byte(OP.i32_shr_u);
    this.code.i32(TLB_INDEX_MASK);
    this.code.byte(OP.i32_and);
    this.pushBank(access);
    this.code.byte(OP.i32_add);
    this.code.tee(entry);
    writeLoad(code, 'i64', tag);
    this.code.get(address);
    this.code.byte(OP.i64_xor);
    code.i64(PAGE_SIZE - bytes + 1);
    this.code.byte(OP.i64_lt_u);
    return entry;
  }
  protected hostAddress(address: number, entry: number): void {
    this.code.get(address);
    this.code.byte(OP.i32_wrap_i64);
    this.code.get(entry);
    writeLoad(this.code, 'i32', TLB_ENTRY.addend);
    this.code.byte(OP.i32_add);
  }

  /** Leaves the loaded value on the stack; `extended`: as a vector with zeros above it. */
  protected load(v: LoadNode, extended = false): void {
    const address = this.inLocal(v.address);
    const tag = v.forWrite ? TLB_ENTRY.writeTag : TLB_ENTRY.readTag;
    const result = extended ? TYPE_CODE.v128 : TYPE_CODE[WASM_TYPE[v.type]];
    const found = (): void => {
      if (extended) writeVectorMemoryOp(this.code, v.type === 'i32' ? 'v128_load32_zero' : 'v128_load64_zero');
      else writeLoad(this.code, v.type, 0);
    };
    this.#access(v, address, { bytes: WIDTH[v.type] / 8, tag, result }, found, (labels) => {
      this.code.get(address);
      this.#pushSegment(v.access);
      this.slowCall(slowLoad(v.type, v.access, v.forWrite), labels);
      if (extended) this.#extend(v.type);
    });
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

  protected store(s: StoreNode): void {
    const { type } = s.value;
    const address = this.inLocal(s.address);
    const value = this.#stored(s.value);
    const how = { bytes: WIDTH[type] / 8, tag: TLB_ENTRY.writeTag, result: BLOCK_EMPTY };
    const found = (): void => value.write();
    this.#access(s, address, how, found, (labels) => {
      this.code.get(address);
      value.push();
      this.#pushSegment(s.access);
      this.slowCall(slowStore(type, s.access), labels);
      this.stored();
    });
  }

  /** How a value is pushed, and how it is pushed and written to the address below it. */
  #stored(v: Value): { push(): void; write(): void } {
    if (this.pushVectorOf(v)) {
      const vector = this.take('v128');
      this.code.set(vector);
      const get = (): void => this.code.get(vector);
      return {
        push: () => {
          get();
          this.vector(v.type === 'i32' ? 'i32x4.extract' : 'i64x2.extract', [0]);
        },
        write: () => {
          get();
          writeVectorMemoryOp(this.code, v.type === 'i32' ? 'v128_store32_lane' : 'v128_store64_lane');
        },
      };
    }
    const local = v.kind === 'const' ? undefined : this.inLocal(v);
    const push = (): void => (local === undefined ? this.push(v) : this.code.get(local));
    return {
      push,
      write: () => {
        push();
        writeStore(this.code, v.type, 0);
      },
    };
  }

  #pushSegment(access: AccessKind): void {
    if (access === 'operand') this.target.field(this.code, { kind: 'field', number: 0, type: 'i32', name: 'segment' });
  }

  /** Behind what may have written where code lies. */
  protected stored(): void {}

  /** `labels`: those open around the call, inside the access. */
  protected slowCall(procedure: Procedure, labels: number): void {
    this.target.beforeCall(this.code);
    this.code.indexed(OP.call, this.target.functionIndex(procedure));
    this.depth += labels;
    this.checkFault();
    this.depth -= labels;
  }
}
