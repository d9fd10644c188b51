/** Code that handlers and the main loop share: operands from records, state of the engine. */
import type { FieldNode } from '../../isa/ir/types.ts';
import { IP_BASE, RECORD, RETIRED } from '../../isa/x86/state.ts';
import { ByteWriter, OP } from './encoder.ts';
import { writeLoad, writeStore } from './op-code.ts';
import { FIELD_PLACES, RECORD_AT } from './record.ts';

/** Local 0 of handlers and of the main loop: the record. */
export const REC = 0;

/**
 * What a handler outside the main loop returns. 4 and 5: a jump over link 0 or 1, its target in RIP. `arrived` and `faulted` are of regions:
 * RIP and RETIRED are those of the next instruction, or of the one that faulted.
 */
export const STATUS = { next: 0, jump: 1, fault: 2, exit: 3, link: 4, arrived: 6, faulted: 7 } as const;

/** Small helpers over a code buffer. */
export class Emitter {
  readonly #cpuBase: number;

  readonly code: ByteWriter;

  constructor(cpuBase: number, code = new ByteWriter()) {
    this.code = code;
    this.#cpuBase = cpuBase;
  }
  op(...names: (keyof typeof OP)[]): void {
    for (const name of names) this.code.byte(OP[name]);
  }
  i32(n: number): void {
    this.code.i32(n);
  }
  i64(n: bigint): void {
    this.code.i64(n);
  }
  get(local: number): void {
    this.code.get(local);
  }
  set(local: number): void {
    this.code.set(local);
  }
  br(depth: number): void {
    this.code.indexed(OP.br, depth);
  }
  call(index: number): void {
    this.code.indexed(OP.call, index);
  }
  load(type: 'i32' | 'i64', state: { offset: number }): void {
    this.i32(0);
    writeLoad(this.code, type, this.#cpuBase + state.offset);
  }
  store(type: 'i32' | 'i64', state: { offset: number }, push: () => void): void {
    this.i32(0);
    push();
    writeStore(this.code, type, this.#cpuBase + state.offset);
  }
  recordField(type: 'i8' | 'i16' | 'i32' | 'i64', at: number): void {
    this.get(REC);
    writeLoad(this.code, type, at);
  }
  /** RETIRED += index of the record + `more`. */
  retire(more: number): void {
    this.store('i64', RETIRED, () => {
      this.load('i64', RETIRED);
      this.recordField('i8', RECORD_AT.index);
      if (more > 0) {
        this.i32(more);
        this.op('i32_add');
      }
      this.op('i64_extend_i32_u', 'i64_add');
    });
  }
  /** The instruction pointer of the record. */
  pushIp(): void {
    this.load('i64', IP_BASE);
    this.recordField('i16', RECORD_AT.offset);
    this.op('i64_extend_i32_u', 'i64_add');
  }
}

/** Operands come from the record; a field narrower than its value is extended by the load. */
export function pushField(code: ByteWriter, node: FieldNode): void {
  const { at, size } = FIELD_PLACES[node.name];
  code.get(REC);
  const stored = ({ 1: 'i8', 2: 'i16', 4: 'i32', 8: 'i64' } as const)[size];
  const narrow = node.type === 'i8' || node.type === 'i16' || (node.type === 'i32' && size === 8);
  writeLoad(code, narrow ? node.type : stored, at);
}

export const noteRecord = (cpuBase: number) => (code: ByteWriter) => {
  code.i32(0);
  code.get(REC);
  writeStore(code, 'i32', cpuBase + RECORD.offset);
};
