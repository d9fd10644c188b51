/** The arithmetic flags, deferred: see FLAG_RESULT and FLAG_AUX in `state.ts` for what the two words hold. */
import type { IrBuilder } from '../ir/builder.ts';
import { type Value, WIDTH } from '../ir/types.ts';
import { FLAG_AUX, FLAG_RESULT, FLAGS_OTHER, FLAGS_SYSTEM } from './state.ts';

/** Bits of RFLAGS (SDM vol. 1 §3.4.3). */
export const RFLAGS = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;
export const ARITHMETIC_FLAGS = RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.OF;
export const OTHER_FLAGS = RFLAGS.TF | RFLAGS.DF | RFLAGS.NT | RFLAGS.RF | RFLAGS.AC | RFLAGS.ID;
export const SYSTEM_FLAGS = RFLAGS.IF | RFLAGS.IOPL | RFLAGS.VM | RFLAGS.VIF | RFLAGS.VIP;

const CARRY_AND_OVERFLOW = 0xc0000000;

export interface FlagValues {
  readonly cf: Value;
  readonly pf: Value;
  readonly af: Value;
  readonly zf: Value;
  readonly sf: Value;
  readonly of: Value;
}

/** What the flags were last computed from. Conditions are then computed from that, and the flags themselves may never be needed. */
export type FlagOrigin =
  | { readonly kind: 'difference'; readonly a: Value; readonly b: Value; readonly result: Value }
  | { readonly kind: 'sum'; readonly a: Value; readonly result: Value }
  | { readonly kind: 'logic'; readonly result: Value }
  /** ZF, SF and PF alone follow the result. */
  | { readonly kind: 'result'; readonly result: Value; readonly carry: Value | undefined }
  /** Each flag by itself. */
  | { readonly kind: 'each'; readonly flags: FlagValues };

const resultAlone = (result: Value): FlagOrigin => ({ kind: 'result', result, carry: undefined });

export class Flags {
  readonly #b: IrBuilder;
  #origin: FlagOrigin | undefined;

  constructor(b: IrBuilder) {
    this.#b = b;
  }

  /** Flags that may or may not have been set come from nowhere in particular. */
  #remember(origin: FlagOrigin | undefined): void {
    this.#origin = this.#b.nested ? undefined : origin;
  }

  /** What the flags were last computed from, as far as that is known. */
  get origin(): FlagOrigin | undefined {
    return this.#origin;
  }
  /** The flags were computed from this before the body. */
  assume(origin: FlagOrigin): void {
    this.#origin = origin;
  }

  /** From a result and the carry out of each of its bits. */
  #arithmetic(result: Value, carries: Value): void {
    const b = this.#b;
    const width = WIDTH[result.type];
    const top = width === 64 ? b.trunc(b.shrU(carries, 32), 'i32') : b.shl(b.zext(carries, 'i32'), 32 - width);
    b.set(FLAG_AUX, b.or(b.and(top, CARRY_AND_OVERFLOW), b.and(b.trunc(b.zext(carries, 'i32'), 'i32'), 8)));
    b.set(FLAG_RESULT, b.sext(result, 'i64'));
  }

  /** `r = a + b`, or `a + b + CF` with `withCarry`. */
  add(a: Value, c: Value, r: Value, withCarry = false): void {
    const b = this.#b;
    this.#arithmetic(r, b.or(b.and(a, c), b.and(b.or(a, c), b.not(r))));
    this.#remember(withCarry ? resultAlone(r) : { kind: 'sum', a, result: r });
  }

  /** `r = a - b`, or `a - b - CF` with `withCarry`. */
  sub(a: Value, c: Value, r: Value, withCarry = false): void {
    const b = this.#b;
    const isZero = c.kind === 'const' && c.value === 0n && !withCarry;
    // To take nothing away carries nothing.
    this.#arithmetic(r, isZero ? c : b.or(b.and(b.not(a), c), b.and(b.not(b.xor(a, c)), r)));
    this.#remember(withCarry ? resultAlone(r) : { kind: 'difference', a, b: c, result: r });
  }

  /** AND, OR, XOR, TEST: CF, OF and AF are clear. */
  logic(r: Value): void {
    this.#b.set(FLAG_AUX, 0);
    this.#b.set(FLAG_RESULT, this.#b.sext(r, 'i64'));
    this.#remember({ kind: 'logic', result: r });
  }

  /** ZF, SF, PF and AF (clear) from the result; CF and OF as given (`i1`). */
  shift(r: Value, cf: Value, of: Value): void {
    const b = this.#b;
    const carry = b.zext(cf, 'i32');
    const aux = b.or(b.shl(carry, 31), b.shl(b.xor(carry, b.zext(of, 'i32')), 30));
    b.set(FLAG_AUX, aux);
    b.set(FLAG_RESULT, b.sext(r, 'i64'));
    this.#remember({ kind: 'result', result: r, carry: cf });
  }

  /** Sets CF alone. */
  setCarry(cf: Value): void {
    const b = this.#b;
    const change = b.neg(b.zext(b.xor(this.cf(), cf), 'i32'));
    b.set(FLAG_AUX, b.xor(b.get(FLAG_AUX), b.and(change, CARRY_AND_OVERFLOW)));
    this.#keepResult(cf);
  }
  #keepResult(carry: Value): void {
    const result = this.#result;
    this.#remember(result && { kind: 'result', result, carry });
  }

  get #result(): Value | undefined {
    return this.#origin?.kind === 'each' ? undefined : this.#origin?.result;
  }

  /** Sets CF and OF alone (rotations). */
  setCarryAndOverflow(cf: Value, of: Value): void {
    const b = this.#b;
    const carry = b.zext(cf, 'i32');
    const top = b.or(b.shl(carry, 31), b.shl(b.xor(carry, b.zext(of, 'i32')), 30));
    b.set(FLAG_AUX, b.or(b.and(b.get(FLAG_AUX), ~CARRY_AND_OVERFLOW), top));
    this.#keepResult(cf);
  }

  /** INC and DEC: as `add` or `sub` without CF. Call with the old CF. */
  keepCarry(oldCarry: Value): void {
    this.setCarry(oldCarry);
  }

  /** Any combination. */
  setAll(f: FlagValues): void {
    const b = this.#b;
    const bit = (v: Value, at: number): Value => b.shl(b.zext(v, 'i32'), at);
    const top = b.or(bit(f.cf, 31), b.shl(b.zext(b.xor(f.cf, f.of), 'i32'), 30));
    const parity = bit(b.xor(f.pf, b.const('i1', 1)), 8);
    b.set(FLAG_AUX, b.or(b.or(top, parity), b.or(bit(f.af, 3), bit(f.sf, 7))));
    // A result that is positive, of even parity in its low byte, and zero only where ZF is set.
    b.set(FLAG_RESULT, b.shl(b.zext(b.xor(f.zf, b.const('i1', 1)), 'i64'), 8));
    this.#remember({ kind: 'each', flags: f });
  }

  cf(): Value {
    const b = this.#b;
    switch (this.#origin?.kind) {
      case 'difference':
        return b.ltU(this.#origin.a, this.#origin.b);
      case 'sum':
        return b.ltU(this.#origin.result, this.#origin.a);
      case 'logic':
        return b.const('i1', 0);
      case 'each':
        return this.#origin.flags.cf;
      case 'result':
        return this.#origin.carry ?? b.ltS(b.get(FLAG_AUX), 0);
      default:
        return b.ltS(b.get(FLAG_AUX), 0);
    }
  }
  of(): Value {
    const b = this.#b;
    if (this.#origin?.kind === 'logic') return b.const('i1', 0);
    if (this.#origin?.kind === 'each') return this.#origin.flags.of;
    const aux = b.get(FLAG_AUX);
    return b.ltS(b.xor(aux, b.shl(aux, 1)), 0);
  }
  zf(): Value {
    const origin = this.#origin;
    if (origin?.kind === 'difference') return this.#b.eq(origin.a, origin.b);
    if (origin?.kind === 'each') return origin.flags.zf;
    return this.#b.eq(origin?.result ?? this.#b.get(FLAG_RESULT), 0);
  }
  sf(): Value {
    const b = this.#b;
    if (this.#origin?.kind === 'each') return this.#origin.flags.sf;
    if (this.#origin !== undefined) return b.ltS(this.#origin.result, 0);
    return b.xor(b.ltS(b.get(FLAG_RESULT), 0), b.bit(b.get(FLAG_AUX), 7));
  }
  af(): Value {
    if (this.#origin?.kind === 'each') return this.#origin.flags.af;
    return this.#b.bit(this.#b.get(FLAG_AUX), 3);
  }
  pf(): Value {
    const b = this.#b;
    if (this.#origin?.kind === 'each') return this.#origin.flags.pf;
    const bits = b.xor(b.trunc(b.get(FLAG_RESULT), 'i32'), b.shrU(b.get(FLAG_AUX), 8));
    return b.xor(b.trunc(b.op('popcnt', [b.and(bits, 0xff)]), 'i1'), b.const('i1', 1));
  }
  all(): FlagValues {
    return { cf: this.cf(), pf: this.pf(), af: this.af(), zf: this.zf(), sf: this.sf(), of: this.of() };
  }

  /** BE, L and LE of a comparison are comparisons. */
  #compared(cc: number): Value | undefined {
    const b = this.#b;
    const origin = this.#origin;
    if (origin?.kind !== 'difference') return undefined;
    switch (cc >> 1) {
      case 3:
        return b.leU(origin.a, origin.b);
      case 6:
        return b.ltS(origin.a, origin.b);
      case 7:
        return b.leS(origin.a, origin.b);
      default:
        return undefined;
    }
  }

  /** Condition `cc`, 0–15 (SDM vol. 2 appendix B.1.4.7). */
  condition(cc: number): Value {
    const b = this.#b;
    const positive = (): Value => {
      const compared = this.#compared(cc);
      if (compared !== undefined) return compared;
      switch (cc >> 1) {
        case 0:
          return this.of();
        case 1:
          return this.cf();
        case 2:
          return this.zf();
        case 3:
          return b.or(this.cf(), this.zf());
        case 4:
          return this.sf();
        case 5:
          return this.pf();
        case 6:
          return b.xor(this.sf(), this.of());
        default:
          return b.or(this.zf(), b.xor(this.sf(), this.of()));
      }
    };
    return cc & 1 ? b.xor(positive(), b.const('i1', 1)) : positive();
  }

  /** RFLAGS as PUSHF sees it, `i32`. */
  image(): Value {
    const b = this.#b;
    const f = this.all();
    const at = (v: Value, flag: number): Value => b.shl(b.zext(v, 'i32'), Math.log2(flag));
    const low = b.or(b.or(at(f.cf, RFLAGS.CF), at(f.pf, RFLAGS.PF)), b.or(at(f.af, RFLAGS.AF), at(f.zf, RFLAGS.ZF)));
    const high = b.or(at(f.sf, RFLAGS.SF), at(f.of, RFLAGS.OF));
    const rest = b.or(b.get(FLAGS_OTHER), b.or(b.get(FLAGS_SYSTEM), 2));
    return b.or(b.or(low, high), rest);
  }

  /** The arithmetic flags from an image of RFLAGS (`i32`). */
  setArithmetic(image: Value): void {
    const at = (flag: number): Value => this.#b.bit(image, Math.log2(flag));
    this.setAll({
      cf: at(RFLAGS.CF),
      pf: at(RFLAGS.PF),
      af: at(RFLAGS.AF),
      zf: at(RFLAGS.ZF),
      sf: at(RFLAGS.SF),
      of: at(RFLAGS.OF),
    });
  }

  /** Writes the bits of `image` (`i32`) that `changeable` (`i32`) has; arithmetic flags always. */
  write(image: Value, changeable: Value): void {
    const b = this.#b;
    this.setArithmetic(image);
    for (const [state, bits] of [
      [FLAGS_OTHER, OTHER_FLAGS],
      [FLAGS_SYSTEM, SYSTEM_FLAGS],
    ] as const) {
      const take = b.and(changeable, bits);
      b.set(state, b.or(b.and(b.get(state), b.not(take)), b.and(image, take)));
    }
  }
}
