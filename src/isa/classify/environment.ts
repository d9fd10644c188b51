/** The state of one path through an instruction's meaning: what it has written so far, and what it depends on. */
import type { StateClass, StateFile } from '../ir/types.ts';
import type { Context, StateMap } from './model.ts';
import {
  type Abstract,
  equal,
  join,
  mapTaint,
  maskOf,
  NOWHERE,
  type Source,
  type Taint,
  UNTAINTED,
  unite,
  unknown,
} from './value.ts';

/** Something an instruction does that a monitor has to know of. */
export interface Effect {
  /** `exposes`: what the program sees depends on `source`. `changes`: `source` is written. */
  readonly kind: 'exposes' | 'changes';
  readonly source: Source;
  /** Where the program sees it. */
  readonly to: string;
  readonly how: 'value' | 'condition';
  /** Procedures from the instruction to the place. */
  readonly path: readonly string[];
}

/** Neither the program's own nor the engine's. */
export const isSystem = (cls: StateClass): boolean => cls !== 'user' && cls !== 'engine';

interface Written {
  readonly bytes: number;
  readonly value: Abstract;
}

const extract = (v: Abstract, from: bigint, width: number): Abstract => {
  const cut = (bits: bigint): bigint => (bits >> from) & maskOf(width);
  return {
    width,
    zeros: cut(v.zeros),
    ones: cut(v.ones),
    taint: mapTaint(v.taint, cut),
    sameAt: v.sameAt === NOWHERE ? NOWHERE : v.sameAt + Number(from) / 8,
    sameMask: cut(v.sameMask),
  };
};
const insert = (base: Abstract, v: Abstract, at: bigint): Abstract => {
  const hole = maskOf(v.width) << at;
  const keep = (bits: bigint): bigint => bits & ~hole;
  const place = (bits: bigint): bigint => (bits << at) & maskOf(base.width);
  const fits = v.sameAt !== NOWHERE && v.sameAt - Number(at) / 8 === base.sameAt;
  return {
    ...base,
    zeros: keep(base.zeros) | place(v.zeros),
    ones: keep(base.ones) | place(v.ones),
    taint: unite(mapTaint(base.taint, keep), mapTaint(v.taint, place)),
    sameMask: keep(base.sameMask) | (fits ? place(v.sameMask) : 0n),
  };
};

export class Environment {
  readonly states: StateMap;
  readonly context: Context;
  variables: Map<number, Abstract>;
  #written: Map<number, Written>;
  #elsewhere: Map<StateFile, Taint>;
  readonly effects: Map<string, Effect>;
  /** What it depends on that this path is taken at all. */
  control: Taint;

  constructor(states: StateMap, context: Context, from?: Environment) {
    this.states = states;
    this.context = context;
    this.variables = new Map(from?.variables);
    this.#written = new Map(from === undefined ? [] : from.#written);
    this.#elsewhere = new Map(from === undefined ? [] : from.#elsewhere);
    this.effects = new Map(from?.effects);
    this.control = from?.control ?? UNTAINTED;
  }
  copy(): Environment {
    return new Environment(this.states, this.context, this);
  }

  note(effect: Effect): void {
    const { kind, source, to, path } = effect;
    const key = `${kind} ${source.name} ${to} ${path.join()}`;
    if (!this.effects.has(key)) this.effects.set(key, effect);
  }

  /** What the state held before the instruction, as far as the context says. */
  before(offset: number, width: number, cls: StateClass): Abstract {
    if (cls === 'engine') return unknown(width);
    let zeros = 0n;
    let ones = 0n;
    for (const k of this.context.known) {
      const shift = BigInt((k.offset - offset) * 8);
      const place = (bits: bigint): bigint => (shift >= 0n ? bits << shift : bits >> -shift) & maskOf(width);
      if (k.offset + k.width / 8 <= offset || k.offset >= offset + width / 8) continue;
      ones |= place(k.value & k.mask);
      zeros |= place(~k.value & k.mask);
    }
    const decided = zeros | ones;
    let taint: Taint = UNTAINTED;
    if (isSystem(cls)) {
      const sources = this.states.at(offset, width / 8);
      taint = mapTaint(new Map(sources.map(({ source, mask }) => [source, mask])), (bits) => bits & ~decided);
    }
    return { width, zeros, ones, taint, sameAt: offset, sameMask: maskOf(width) };
  }

  read(offset: number, width: number, cls: StateClass): Abstract {
    const exact = this.#written.get(offset);
    if (exact !== undefined && exact.bytes * 8 === width) return exact.value;
    let value = this.before(offset, width, cls);
    const bytes = width / 8;
    for (const [at, written] of this.#written) {
      const from = Math.max(at, offset);
      const to = Math.min(at + written.bytes, offset + bytes);
      if (from >= to) continue;
      const part = extract(written.value, BigInt((from - at) * 8), (to - from) * 8);
      value = insert(value, part, BigInt((from - offset) * 8));
    }
    return value;
  }
  write(offset: number, value: Abstract): void {
    const bytes = value.width / 8;
    for (const [at, written] of this.#written) {
      if (at >= offset && at + written.bytes <= offset + bytes) this.#written.delete(at);
      else if (at <= offset && at + written.bytes >= offset + bytes) {
        const whole = insert(written.value, value, BigInt((offset - at) * 8));
        this.#written.set(at, { ...written, value: whole });
        return;
      }
    }
    this.#written.set(offset, { bytes, value });
  }

  /** Some register of a file, one that is not known here. */
  readSome(file: StateFile, width: number): Abstract {
    let taint = this.#elsewhere.get(file) ?? UNTAINTED;
    if (isSystem(file.class)) taint = unite(taint, new Map([[this.states.file(file), maskOf(width)]]));
    for (const [at, { value }] of this.#written) {
      if (at >= file.offset && at < file.offset + file.size) taint = unite(taint, value.taint);
    }
    return unknown(
      width,
      mapTaint(taint, () => maskOf(width)),
    );
  }
  writeSome(file: StateFile, value: Abstract): void {
    this.#elsewhere.set(file, unite(this.#elsewhere.get(file) ?? UNTAINTED, value.taint));
    for (const [at, { bytes, value: old }] of this.#written) {
      if (at < file.offset || at >= file.offset + file.size) continue;
      this.#written.set(at, { bytes, value: join(old, unknown(old.width, value.taint)) });
    }
  }
  /** A procedure that touches nothing of the system may have changed any register of the program's own. */
  forgetUserState(): void {
    for (const [at, { bytes }] of this.#written) {
      const fields = this.states.at(at, bytes);
      if (fields.every(({ source }) => !isSystem(source.class))) this.#written.delete(at);
    }
  }
  /** Something written here so far depends on state of the system. */
  hasTaintedState(): boolean {
    for (const { value } of this.#written.values()) if (value.taint.size > 0) return true;
    return this.#elsewhere.size > 0 && [...this.#elsewhere.values()].some((t) => t.size > 0);
  }

  /** Both paths may have been taken, by a condition that depends on `condition`. `control` stays that of this one. */
  merge(other: Environment, condition: Taint): void {
    for (const [id, value] of other.variables) {
      const mine = this.variables.get(id);
      this.variables.set(id, mine === undefined ? value : join(mine, value, condition));
    }
    const places = new Set([...this.#written.keys(), ...other.#written.keys()]);
    for (const at of places) {
      const { bytes } = (this.#written.get(at) ?? other.#written.get(at))!;
      const width = Math.max(bytes, other.#written.get(at)?.bytes ?? 0) * 8;
      const cls = this.states.at(at, bytes)[0]?.source.class ?? 'user';
      const value = join(this.read(at, width, cls), other.read(at, width, cls), condition);
      this.#written.set(at, { bytes: width / 8, value });
    }
    for (const [file, taint] of other.#elsewhere)
      this.#elsewhere.set(file, unite(this.#elsewhere.get(file) ?? UNTAINTED, taint));
    for (const [key, effect] of other.effects) if (!this.effects.has(key)) this.effects.set(key, effect);
  }

  /** Nothing of `other` is new: a loop has come to rest. */
  holds(other: Environment): boolean {
    if (other.effects.size !== this.effects.size) return false;
    const all = <K, V>(a: Map<K, V>, b: Map<K, V>, same: (x: V, y: V) => boolean): boolean =>
      a.size === b.size && [...a].every(([k, v]) => b.has(k) && same(v, b.get(k)!));
    return (
      all(this.variables, other.variables, equal) &&
      all(this.#written, other.#written, (a, b) => a.bytes === b.bytes && equal(a.value, b.value))
    );
  }
}
