/** How the interpreter goes from one block to another whose record it does not know. */
import { external } from '../../isa/ir/procedure.ts';
import type { External } from '../../isa/ir/types.ts';
import { CS_AT, EXIT, IP_BASE, RETIRED, RETIRED_LIMIT, RIP, SEGMENTS } from '../../isa/x86/state.ts';
import { PAGE_SIZE } from '../layout.ts';
import { type Emitter, REC } from './emitter.ts';
import { BLOCK_EMPTY } from './encoder.ts';
import { pushCachedRecord, pushIsCached } from './jump-cache.ts';
import { writeStore } from './op-code.ts';
import { CROSSES_PAGE, PSEUDO, RECORD_AT } from './record.ts';

/** Looks the instruction at RIP up, decoding where it must; 0 where an indirect jump leads there → its record. */
export const findBlock = external('findBlock', ['i32'], ['i32'], { class: 'engine' });

export const RIP_LOCAL = 1;
export const LINK_LOCAL = 2;
export const SCRATCH_LOCAL = 3;
const LINEAR_LOCAL = 4;
/** Locals up to those of a transfer. */
export const TRANSFER_LOCALS = 5;

export class Transfer {
  readonly #e: Emitter;
  readonly #functionIndex: (target: External) => number;
  readonly #long: boolean;

  constructor(e: Emitter, functionIndex: (target: External) => number, long: boolean) {
    this.#e = e;
    this.#functionIndex = functionIndex;
    this.#long = long;
  }

  /** All ones while there are instructions left to run, else zero. */
  pushWithinLimit(): void {
    const e = this.#e;
    e.i32(0);
    e.load('i64', RETIRED);
    e.load('i64', RETIRED_LIMIT);
    e.op('i64_lt_s', 'i32_sub');
  }

  /** Goes to RIP_LOCAL through the jump cache; LINK_LOCAL is the address of the link that may lead there, or 0. */
  viaCache(): void {
    const e = this.#e;
    this.pushWithinLimit();
    e.op('i32_eqz', 'if');
    e.code.byte(BLOCK_EMPTY);
    e.store('i64', RIP, () => e.get(RIP_LOCAL));
    e.i32(EXIT.budget);
    e.op('return', 'end');
    this.#pushLinear();
    e.set(LINEAR_LOCAL);
    pushIsCached(e, LINEAR_LOCAL, SCRATCH_LOCAL, this.#long);
    e.op('if');
    e.code.byte(BLOCK_EMPTY);
    this.#cacheHit();
    e.op('end');
  }

  #pushLinear(): void {
    const e = this.#e;
    e.get(RIP_LOCAL);
    if (this.#long) return;
    e.load('i64', { offset: SEGMENTS.offset + CS_AT });
    e.op('i64_add');
    e.i64(0xffffffffn);
    e.op('i64_and');
  }

  #cacheHit(): void {
    const e = this.#e;
    const base = (): void => {
      e.get(RIP_LOCAL);
      e.get(LINEAR_LOCAL);
      e.i64(BigInt(PAGE_SIZE - 1));
      e.op('i64_and', 'i64_sub');
    };
    pushCachedRecord(e, SCRATCH_LOCAL);
    e.set(REC);
    // A link may lead from one instruction to another of the same page, unless that is stale already.
    e.get(LINK_LOCAL);
    e.op('if');
    e.code.byte(BLOCK_EMPTY);
    e.load('i64', IP_BASE);
    base();
    e.op('i64_eq');
    e.recordField('i8', RECORD_AT.flags);
    e.i32(CROSSES_PAGE);
    e.op('i32_and', 'i32_eqz', 'i32_and');
    e.recordField('i16', RECORD_AT.handler);
    e.i32(PSEUDO.stale);
    e.op('i32_ne', 'i32_and', 'if');
    e.code.byte(BLOCK_EMPTY);
    e.get(LINK_LOCAL);
    e.get(REC);
    writeStore(e.code, 'i32', 0);
    e.op('end', 'end');
    e.store('i64', IP_BASE, base);
    // if, lookUp, loop.
    e.br(2);
  }

  lookUp(): void {
    const e = this.#e;
    e.store('i64', RIP, () => e.get(RIP_LOCAL));
    e.get(LINK_LOCAL);
    e.call(this.#functionIndex(findBlock));
    e.set(REC);
    e.br(0);
  }
}
