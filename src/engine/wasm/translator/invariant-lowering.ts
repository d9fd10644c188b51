/** What hardly ever changes within a region, in locals: vector constants, and what follows from MXCSR. */
import type { CallNode, SetNode, Type, Value } from '../../../isa/ir/types.ts';
import { MXCSR } from '../../../isa/x86/state.ts';
import { ByteWriter } from '../encoder.ts';
import { analyse } from '../liveness.ts';
import { WASM_TYPE, writeVectorOp } from '../op-code.ts';
import { StatementMap } from '../statement-map.ts';
import type { Invariants } from './invariants.ts';
import { RegisterLowering } from './register-lowering.ts';
import { mayWrite } from './registers-used.ts';

const LANE = (1n << 64n) - 1n;
/** What one instruction makes. */
const isCheap = (value: bigint): boolean => value === 0n || value === (LANE << 64n) + LANE;

interface Kept {
  readonly local: number;
  /** One of those that are computed alike. */
  readonly value: Value;
}

export class InvariantLowering extends RegisterLowering {
  /** Locals of vector constants. */
  readonly #constants = new Map<bigint, number>();
  readonly #kept = new Map<string, Kept>();
  readonly #locals = new Map<Value, number>();

  /** `blocks`: all of the region. */
  protected keepInvariants(blocks: readonly Invariants[]): void {
    for (const { kept } of blocks) {
      for (const [value, key] of kept) {
        let known = this.#kept.get(key);
        if (known === undefined) {
          known = { local: this.locals.take(WASM_TYPE[value.type]), value };
          this.#kept.set(key, known);
        }
        this.#locals.set(value, known.local);
      }
    }
  }
  /** Where the region is entered, and where MXCSR was changed. */
  protected computeInvariants(): void {
    if (this.#kept.size === 0) return;
    const { values, placement } = this;
    this.values = new StatementMap(0);
    this.placement = analyse([]);
    for (const { local, value } of this.#kept.values()) {
      this.compute(value, false);
      this.code.set(local);
    }
    this.values = values;
    this.placement = placement;
  }
  protected override place(v: Value): void {
    const local = this.#locals.size === 0 ? undefined : this.#locals.get(v);
    if (local === undefined) {
      super.place(v);
      return;
    }
    // What it is now: it may change before it is used.
    this.code.get(local);
    this.keep(v);
  }
  protected override writeState(s: SetNode): void {
    super.writeState(s);
    if (mayWrite(s, MXCSR)) this.computeInvariants();
  }
  protected override call(s: CallNode): void {
    super.call(s);
    if (mayWrite(s, MXCSR)) this.computeInvariants();
  }

  /** The host's compiler would make a vector constant anew at each use, with three instructions. */
  protected override constant(type: Type, value: bigint): void {
    if (type !== 'i128' || isCheap(value)) {
      super.constant(type, value);
      return;
    }
    let local = this.#constants.get(value);
    if (local === undefined) {
      local = this.locals.takeNew('v128');
      this.#constants.set(value, local);
    }
    this.code.get(local);
  }
  /** What must stand before all other code of the function. */
  protected constants(): ByteWriter {
    const code = new ByteWriter();
    for (const [value, local] of this.#constants) {
      // Not as one constant: the compiler would repeat that.
      code.i64(value & LANE);
      writeVectorOp(code, 'i64x2.splat', []);
      if (value >> 64n !== (value & LANE)) {
        code.i64(value >> 64n);
        writeVectorOp(code, 'i64x2.replace', [1]);
      }
      code.set(local);
    }
    return code;
  }
}
