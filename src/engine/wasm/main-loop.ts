/**
 * The interpreter: one WebAssembly function that walks decoded records, with a case for each hot row generated from its definition; other
 * rows are functions of their own, made at their first use and reached through a table.
 */
import { external } from '../../isa/ir/procedure.ts';
import { storesIn } from '../../isa/ir/purity.ts';
import { walk } from '../../isa/ir/statements.ts';
import type { Statement } from '../../isa/ir/types.ts';
import { deliverFault } from '../../isa/x86/procedures/interrupts.ts';
import { EXIT, RETIRED, RIP, TRANSLATED } from '../../isa/x86/state.ts';
import { HANDLER_TYPE, type ModuleParts } from './assembly.ts';
import { Emitter, noteRecord, pushField, REC, STATUS } from './emitter.ts';
import { BLOCK_EMPTY, ByteWriter } from './encoder.ts';
import { Lowering } from './lowering.ts';
import { writeStore } from './op-code.ts';
import { COUNT_AT, PSEUDO, PSEUDO_COUNT, RECORD_AT, RECORD_SIZE } from './record.ts';
import { Locals, type Target } from './target.ts';
import { LINK_LOCAL, RIP_LOCAL, SCRATCH_LOCAL, TRANSFER_LOCALS, Transfer } from './transfer.ts';

/** A block that a record counts was entered often → the record to go on with. */
export const hotBlock = external('hotBlock', ['i32'], ['i32'], { class: 'engine' });
/** An exception is about to be delivered. */
export const noteFault = external('noteFault', [], [], { class: 'engine' });

/** RETIRED before a function of the table. */
const RETIRED_LOCAL = TRANSFER_LOCALS;
const FIXED_LOCALS = RETIRED_LOCAL + 1;

/** Writes the main loop for one mode. */
export class MainLoop {
  readonly #m: ModuleParts;
  readonly #e: Emitter;
  readonly #bodies: readonly (readonly Statement[])[];
  readonly #pairs: readonly (readonly [number, number])[];
  readonly #locals = new Locals(FIXED_LOCALS);
  readonly #transfer: Transfer;

  /** `bodies`: of the hot rows, in the order of their handler numbers. `pairs`: those of two of them, which come behind. */
  constructor(
    m: ModuleParts,
    bodies: readonly (readonly Statement[])[],
    pairs: readonly (readonly [first: number, second: number])[],
    long: boolean,
  ) {
    this.#m = m;
    this.#e = new Emitter(m.cpuBase);
    this.#bodies = bodies;
    this.#pairs = pairs;
    this.#transfer = new Transfer(this.#e, m.functionIndex, long);
  }

  /**
   * The function: start record → exit reason. Labels from outside in: the loop, `transfer` (goes to RIP_LOCAL), `lookUp` (as that, past
   * the jump cache), `fault` (of the record), `deliver` (of RIP), then a block per handler, the first innermost.
   */
  write(): Uint8Array {
    const e = this.#e;
    const rows = PSEUDO_COUNT + this.#bodies.length;
    const handlers = rows + this.#pairs.length;
    e.op('loop');
    e.code.byte(BLOCK_EMPTY);
    // transfer, lookUp, deliver, fault, the cold handlers, then one for each handler.
    for (let i = 0; i < 5 + handlers; i++) {
      e.op('block');
      e.code.byte(BLOCK_EMPTY);
    }
    e.recordField('i16', RECORD_AT.handler);
    e.op('br_table');
    e.code.u32(handlers);
    for (let i = 0; i < handlers; i++) e.code.u32(i);
    e.code.u32(handlers);
    for (let i = 0; i < handlers; i++) {
      e.op('end');
      // Open: the handlers behind this one, cold, fault, deliver, lookUp, transfer, loop.
      const depth = handlers - 1 - i;
      if (i < PSEUDO_COUNT) this.#pseudo(i, depth);
      else if (i < rows) this.#hot(this.#bodies[i - PSEUDO_COUNT], depth);
      else this.#pair(this.#pairs[i - rows], depth);
    }
    e.op('end');
    this.#cold(handlers);
    e.op('end');
    this.#fault();
    e.op('end');
    this.#deliver();
    e.op('end');
    this.#transfer.viaCache();
    e.op('end');
    this.#transfer.lookUp();
    e.op('end', 'unreachable', 'end');
    return this.#withFixedLocals();
  }

  /** Declares RIP, link, scratch and linear locals before those that handlers take. */
  #withFixedLocals(): Uint8Array {
    const fixed = new Locals(1);
    fixed.take('i64');
    fixed.take('i32');
    fixed.take('i32');
    fixed.take('i64');
    fixed.take('i64');
    const all = new ByteWriter();
    const rest = new ByteWriter();
    fixed.write(all);
    this.#locals.write(rest);
    const [a, b] = [all.view(), rest.view()];
    const out = new ByteWriter();
    const countOf = (bytes: Uint8Array): [number, number] =>
      bytes[0] < 128 ? [bytes[0], 1] : [(bytes[0] & 127) | (bytes[1] << 7), 2];
    const [fixedCount, fixedAt] = countOf(a);
    const [restCount, restAt] = countOf(b);
    out.u32(fixedCount + restCount);
    out.bytes(a.subarray(fixedAt));
    out.bytes(b.subarray(restAt));
    out.append(this.#e.code);
    return out.body();
  }

  /** Distances of the outer labels from a place inside which `depth` further blocks are open. */
  #to(label: 'fault' | 'deliver' | 'transfer' | 'lookUp' | 'loop', depth: number): number {
    return depth + { cold: 0, fault: 1, deliver: 2, transfer: 3, lookUp: 4, loop: 5 }[label];
  }

  /** To the instruction at RIP, with no branch to remember it by. */
  #goOn(depth: number): void {
    const e = this.#e;
    e.load('i64', RIP);
    e.set(RIP_LOCAL);
    e.i32(0);
    e.set(LINK_LOCAL);
    e.br(this.#to('transfer', depth));
  }

  #pseudo(handler: number, depth: number): void {
    const e = this.#e;
    switch (handler) {
      case PSEUDO.stale:
        e.pushIp();
        e.set(RIP_LOCAL);
        e.retire(0);
        e.i32(1);
        e.set(LINK_LOCAL);
        this.#transfer.pushWithinLimit();
        e.op('br_if');
        e.code.u32(this.#to('lookUp', depth));
        // Nothing is left to run: there execution ends.
        e.br(this.#to('transfer', depth));
        break;
      case PSEUDO.start:
        this.#goOn(depth);
        break;
      case PSEUDO.fault:
        e.br(this.#to('deliver', depth));
        break;
      case PSEUDO.enter:
        this.#countEntry(depth);
        break;
      default:
        this.#jump(depth, 0, () => e.pushIp(), 0);
    }
  }
  #countEntry(depth: number): void {
    const e = this.#e;
    e.get(REC);
    e.recordField('i32', COUNT_AT.left);
    e.i32(1);
    e.op('i32_sub', 'local_tee');
    e.code.u32(SCRATCH_LOCAL);
    writeStore(e.code, 'i32', COUNT_AT.left);
    e.get(SCRATCH_LOCAL);
    e.op('i32_eqz', 'if');
    e.code.byte(BLOCK_EMPTY);
    e.get(REC);
    e.call(this.#m.functionIndex(hotBlock));
    e.set(REC);
    e.br(this.#to('loop', depth + 1));
    e.op('end');
    this.#next(depth);
  }

  #hot(body: readonly Statement[], depth: number): void {
    this.#body(body, depth);
    this.#next(depth);
  }
  /** One instruction and the next, which the first may make stale. */
  #pair([first, second]: readonly [number, number], depth: number): void {
    const e = this.#e;
    const body = this.#bodies[first];
    this.#body(body, depth);
    e.get(REC);
    e.i32(RECORD_SIZE);
    e.op('i32_add');
    e.set(REC);
    if (storesIn(body)) {
      e.recordField('i16', RECORD_AT.handler);
      e.i32(PSEUDO.stale);
      e.op('i32_eq', 'br_if');
      e.code.u32(this.#to('loop', depth));
    }
    this.#hot(this.#bodies[second], depth);
  }

  #body(body: readonly Statement[], depth: number): void {
    const e = this.#e;
    const hasImmediate = [...walk(body)].some((s) => s.kind === 'field' && s.name === 'immediate');
    const target: Target = {
      cpuBase: this.#m.cpuBase,
      functionIndex: this.#m.functionIndex,
      field: pushField,
      beforeCall: noteRecord(this.#m.cpuBase),
      fault: (_code, inner) => e.br(this.#to('fault', depth + inner)),
      jump: (_code, inner, link, pushTarget) => {
        if (link === undefined && !hasImmediate) this.#noteTarget(pushTarget);
        this.#jump(depth + inner, link, pushTarget, 1);
      },
      exit: () => {
        throw new Error('an instruction of the main loop does not leave it');
      },
      return: (_code, inner) => this.#next(depth + inner),
    };
    new Lowering(e.code, this.#locals, target).body(body);
  }

  #next(depth: number): void {
    const e = this.#e;
    e.get(REC);
    e.i32(RECORD_SIZE);
    e.op('i32_add');
    e.set(REC);
    e.br(this.#to('loop', depth));
  }

  /** The translator wants to know where computed jumps go. */
  #noteTarget(pushTarget: () => void): void {
    const e = this.#e;
    e.get(REC);
    pushTarget();
    writeStore(e.code, 'i64', RECORD_AT.target);
  }

  /** `retired`: 1 where the record is an instruction. */
  #jump(depth: number, link: 0 | 1 | undefined, pushTarget: () => void, retired: number): void {
    const e = this.#e;
    if (link === undefined) {
      pushTarget();
      e.set(RIP_LOCAL);
      e.retire(retired);
      e.i32(0);
      e.set(LINK_LOCAL);
      e.br(this.#to('transfer', depth));
      return;
    }
    e.retire(retired);
    e.recordField('i32', RECORD_AT.link[link]);
    e.op('local_tee');
    e.code.u32(SCRATCH_LOCAL);
    this.#transfer.pushWithinLimit();
    e.op('i32_and', 'if');
    e.code.byte(BLOCK_EMPTY);
    e.get(SCRATCH_LOCAL);
    e.set(REC);
    e.br(this.#to('loop', depth + 1));
    e.op('end');
    pushTarget();
    e.set(RIP_LOCAL);
    e.get(REC);
    e.i32(RECORD_AT.link[link]);
    e.op('i32_add');
    e.set(LINK_LOCAL);
    e.br(this.#to('transfer', depth));
  }

  #cold(handlers: number): void {
    const e = this.#e;
    e.load('i64', RETIRED);
    e.set(RETIRED_LOCAL);
    e.get(REC);
    e.recordField('i16', RECORD_AT.handler);
    e.i32(handlers);
    e.op('i32_sub', 'call_indirect');
    e.code.u32(this.#m.builder.type(HANDLER_TYPE));
    e.code.u32(0);
    e.set(SCRATCH_LOCAL);
    const statuses = 8;
    for (let i = 0; i < statuses; i++) {
      e.op('block');
      e.code.byte(BLOCK_EMPTY);
    }
    e.get(SCRATCH_LOCAL);
    e.op('br_table');
    e.code.u32(statuses - 1);
    for (let i = 0; i < statuses; i++) e.code.u32(i);
    for (let status = 0; status < statuses; status++) {
      e.op('end');
      // Inside the cold block's successor: fault is the innermost outer label.
      this.#coldStatus(status, statuses - 1 - status - 1);
    }
  }

  /** `open`: blocks of the status switch still open; the label `fault` is one further out. */
  #coldStatus(status: number, open: number): void {
    const e = this.#e;
    const depth = open;
    switch (status) {
      case STATUS.next:
        this.#next(depth);
        break;
      case STATUS.fault:
        e.br(this.#to('fault', depth));
        break;
      case STATUS.exit:
        e.store('i64', RIP, () => {
          e.pushIp();
          e.recordField('i8', RECORD_AT.length);
          e.op('i64_extend_i32_u', 'i64_add');
        });
        e.retire(1);
        e.i32(EXIT.halt);
        e.op('return');
        break;
      case STATUS.arrived:
        this.#countRegion();
        this.#goOn(depth);
        break;
      case STATUS.faulted:
        this.#countRegion();
        e.br(this.#to('deliver', depth));
        break;
      case STATUS.jump:
        this.#jump(depth, undefined, () => e.load('i64', RIP), 1);
        break;
      default:
        this.#jump(depth, (status - STATUS.link) as 0 | 1, () => e.load('i64', RIP), 1);
    }
  }

  /** A region came back: what it and those that it went on to retired. */
  #countRegion(): void {
    const e = this.#e;
    e.store('i64', TRANSLATED, () => {
      e.load('i64', TRANSLATED);
      e.load('i64', RETIRED);
      e.get(RETIRED_LOCAL);
      e.op('i64_sub', 'i64_add');
    });
  }

  /** The record's instruction ended in an exception. */
  #fault(): void {
    const e = this.#e;
    e.store('i64', RIP, () => e.pushIp());
    e.retire(0);
  }

  #deliver(): void {
    const e = this.#e;
    e.call(this.#m.functionIndex(noteFault));
    e.call(this.#m.functionIndex(deliverFault));
    e.op('if');
    e.code.byte(BLOCK_EMPTY);
    e.i32(EXIT.shutdown);
    e.op('return', 'end');
    e.load('i64', RIP);
    e.set(RIP_LOCAL);
    e.i32(0);
    e.set(LINK_LOCAL);
  }
}
