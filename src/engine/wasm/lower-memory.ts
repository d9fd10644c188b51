/** Guest memory: a look into the TLB in line, everything else by a call. */
import type { AccessKind, LoadNode, Procedure, StoreNode, Type, Value } from '../../isa/ir/types.ts';
import { WIDTH } from '../../isa/ir/types.ts';
import { FAULT, TLB_BANK, TLB_BANK_SUPERVISOR } from '../../isa/x86/state.ts';
import { PAGE_SIZE, RAM_BASE } from '../layout.ts';
import { BLOCK_EMPTY, TYPE_CODE } from './encoder.ts';
import { ValueLowering } from './lower-values.ts';
import { WASM_TYPE, writeMemoryOp, writeVectorMemoryOp } from './op-code.ts';
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
    this.i32(0);
    writeMemoryOp(this.code, 'load', 'i32', this.target.cpuBase + FAULT.offset);
    this.code.hint(false);
    this.op('if');
    this.code.byte(BLOCK_EMPTY);
    this.target.fault(this.code, this.depth + 1);
    this.op('end');
  }

  protected storePhysical(v: Value, value: Value): void {
    const address = this.inLocal(v);
    this.isRam(address);
    this.op('if');
    this.code.byte(BLOCK_EMPTY);
    this.local('local_get', address);
    this.op('i32_wrap_i64');
    this.push(value, true);
    writeMemoryOp(this.code, 'store', value.type, RAM_BASE);
    this.op('end');
  }

  /** Pushes where the bank that an access looks into starts. */
  protected pushBank(access: AccessKind): void {
    this.i32(0);
    const bank = access === 'supervisor' ? TLB_BANK_SUPERVISOR : TLB_BANK;
    writeMemoryOp(this.code, 'load', 'i32', this.target.cpuBase + bank.offset);
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
    this.op('if');
    this.code.byte(how.result);
    this.hostAddress(address, entry);
    found();
    this.op('else');
    slow(1);
    this.op('end');
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
    this.op('block');
    this.code.byte(result);
    this.op('block');
    this.code.byte(BLOCK_EMPTY);
    this.#offsetIn(kept, address);
    this.local('local_tee', offset);
    this.local('local_get', kept.limit);
    this.op('i64_lt_u');
    this.code.hint(true);
    this.op('br_if');
    this.code.u32(0);
    const entry = this.lookUp(address, bytes, tag, access);
    this.code.hint(true);
    this.op('if');
    this.code.byte(BLOCK_EMPTY);
    this.#keep(kept, address, entry);
    this.#offsetIn(kept, address);
    this.local('local_set', offset);
    this.op('br');
    this.code.u32(1);
    this.op('end');
    slow(2);
    this.op('br');
    this.code.u32(1);
    this.op('end');
    this.local('local_get', offset);
    this.op('i32_wrap_i64');
    this.local('local_get', kept.host);
    this.op('i32_add');
    found();
    this.op('end');
  }
  #offsetIn({ tag }: KeptPage, address: number): void {
    this.local('local_get', address);
    this.local('local_get', tag);
    this.op('i64_xor');
  }
  /** Keeps the page of an address for which the TLB has an entry. */
  #keep({ tag, host, limit, times }: KeptPage, address: number, entry: number): void {
    this.local('local_get', address);
    this.constant('i64', BigInt(-PAGE_SIZE));
    this.op('i64_and');
    this.local('local_set', tag);
    this.hostAddress(tag, entry);
    this.local('local_set', host);
    this.constant('i64', BigInt(KEPT_LIMIT));
    this.constant('i64', 0n);
    this.local('local_get', times);
    this.i32(1);
    this.op('i32_add');
    this.local('local_tee', times);
    this.i32(MOST_TIMES);
    this.op('i32_lt_u');
    this.op('select');
    this.local('local_set', limit);
  }

  /**
   * Pushes whether the TLB has the page of all `bytes` at `address` in the tag `tag`; the entry's place is in the local returned. A tag
   * and an address of its page differ in the offset alone.
   */
  protected lookUp(address: number, bytes: number, tag: number, access: AccessKind): number {
    const code = this.code;
    const entry = this.take('i32');
    this.local('local_get', address);
    this.op('i32_wrap_i64');
    this.i32(7);
    this.op('i32_shr_u');
    this.i32(TLB_INDEX_MASK);
    this.op('i32_and');
    this.pushBank(access);
    this.op('i32_add');
    this.local('local_tee', entry);
    writeMemoryOp(code, 'load', 'i64', tag);
    this.local('local_get', address);
    this.op('i64_xor');
    this.op('i64_const');
    code.s64(BigInt(PAGE_SIZE - bytes + 1));
    this.op('i64_lt_u');
    return entry;
  }
  protected hostAddress(address: number, entry: number): void {
    this.local('local_get', address);
    this.op('i32_wrap_i64');
    this.local('local_get', entry);
    writeMemoryOp(this.code, 'load', 'i32', TLB_ENTRY.addend);
    this.op('i32_add');
  }

  /** Leaves the loaded value on the stack; `extended`: as a vector with zeros above it. */
  protected load(v: LoadNode, extended = false): void {
    const address = this.inLocal(v.address);
    const tag = v.forWrite ? TLB_ENTRY.writeTag : TLB_ENTRY.readTag;
    const result = extended ? TYPE_CODE.v128 : TYPE_CODE[WASM_TYPE[v.type]];
    const found = (): void => {
      if (extended) writeVectorMemoryOp(this.code, v.type === 'i32' ? 'v128_load32_zero' : 'v128_load64_zero');
      else writeMemoryOp(this.code, 'load', v.type, 0);
    };
    this.#access(v, address, { bytes: WIDTH[v.type] / 8, tag, result }, found, (labels) => {
      this.local('local_get', address);
      this.#pushSegment(v.access);
      this.slowCall(slowLoad(v.type, v.access, v.forWrite), labels);
      if (extended) this.#extend(v.type);
    });
  }
  /** The value on the stack as a vector with zeros above it. */
  #extend(type: Type): void {
    const narrow = this.take(WASM_TYPE[type]);
    this.local('local_set', narrow);
    this.constant('i128', 0n);
    this.local('local_get', narrow);
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
      this.local('local_get', address);
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
      this.local('local_set', vector);
      const get = (): void => this.local('local_get', vector);
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
    const push = (): void => (local === undefined ? this.push(v) : this.local('local_get', local));
    return {
      push,
      write: () => {
        push();
        writeMemoryOp(this.code, 'store', v.type, 0);
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
    this.op('call');
    this.code.u32(this.target.functionIndex(procedure));
    this.depth += labels;
    this.checkFault();
    this.depth -= labels;
  }
}
