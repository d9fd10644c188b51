/** What of a body is needed, and which values can be computed right where they are used. */
import { isPure } from '../../isa/ir/purity.ts';
import { type CallNode, isValue, type Statement, type Value } from '../../isa/ir/types.ts';

export interface Placement {
  /** Uses of each needed value. */
  readonly uses: ReadonlyMap<Value, number>;
  /** Values with one use, computed there and not in their own place. */
  readonly inlined: ReadonlySet<Value>;
}

/** Values that the code generator repeats at every use: a constant, a field, a parameter. */
export const isRepeated = (v: Value): boolean => v.kind === 'const' || v.kind === 'field' || v.kind === 'parameter';

export function operandsOf(s: Statement): readonly Value[] {
  switch (s.kind) {
    case 'op':
      return s.args;
    case 'getAt':
      return [s.at];
    case 'load':
    case 'loadPhysical':
    case 'loadRaw':
      return [s.address];
    case 'set':
    case 'writeVariable':
      return [s.value];
    case 'setAt':
      return [s.at, s.value];
    case 'store':
    case 'storePhysical':
    case 'storeRaw':
      return [s.address, s.value];
    case 'call':
      return s.args;
    case 'return':
      return s.values;
    case 'if':
      return [s.condition];
    case 'raise':
      return s.errorCode === undefined ? [s.vector] : [s.vector, s.errorCode];
    case 'jump':
      return [s.target];
    default:
      return [];
  }
}

/** A statement that must happen: everything but values that have no effect. Loads may fault. */
const isRoot = (s: Statement): boolean => (isValue(s) ? s.kind === 'load' : s.kind !== 'call' || !isPure(s.target));

/** Values that depend on when they are read. */
const isRead = (v: Value): boolean =>
  v.kind === 'get' ||
  v.kind === 'getAt' ||
  v.kind === 'readVariable' ||
  v.kind === 'loadPhysical' ||
  v.kind === 'loadRaw';

/** Statements over which a read may not move. */
const isBarrier = (s: Statement): boolean => !isValue(s) && s.kind !== 'store';

class Analysis {
  readonly uses = new Map<Value, number>();
  readonly inlined = new Set<Value>();
  readonly #usedCalls = new Set<CallNode>();
  /** The last statement found that uses a value. */
  readonly #user = new Map<Value, Statement>();
  readonly #list = new Map<Statement, readonly Statement[]>();

  locate(list: readonly Statement[]): void {
    for (const s of list) {
      this.#list.set(s, list);
      if (s.kind === 'if') {
        this.locate(s.consequent);
        this.locate(s.alternate);
      } else if (s.kind === 'loop') this.locate(s.body);
    }
  }

  count(list: readonly Statement[]): void {
    for (const s of list) {
      if (isRoot(s)) this.#use(s);
      if (s.kind === 'if') {
        this.count(s.consequent);
        this.count(s.alternate);
      } else if (s.kind === 'loop') this.count(s.body);
    }
  }

  #use(user: Statement): void {
    for (const v of operandsOf(user)) {
      const n = this.uses.get(v) ?? 0;
      this.uses.set(v, n + 1);
      this.#user.set(v, user);
      if (n > 0) continue;
      if (v.kind === 'result') this.#useCall(v.call);
      else if (!isRoot(v)) this.#use(v);
    }
  }

  /** A call that only computes happens where one of its results is used. */
  #useCall(call: CallNode): void {
    if (isRoot(call) || this.#usedCalls.has(call)) return;
    this.#usedCalls.add(call);
    this.#use(call);
  }

  place(list: readonly Statement[]): void {
    const root = new Map<Statement, number>();
    const barriers: number[] = new Array(list.length + 1).fill(0);
    for (let i = 0; i < list.length; i++) barriers[i + 1] = barriers[i] + (isBarrier(list[i]) ? 1 : 0);
    for (let i = list.length - 1; i >= 0; i--) {
      const s = list[i];
      root.set(s, i);
      if (isValue(s)) this.#placeValue(s, i, list, root, barriers);
      else if (s.kind === 'if') {
        this.place(s.consequent);
        this.place(s.alternate);
      } else if (s.kind === 'loop') this.place(s.body);
    }
  }

  #placeValue(v: Value, i: number, list: readonly Statement[], root: Map<Statement, number>, barriers: number[]): void {
    if (v.kind === 'load' || v.kind === 'result' || isRepeated(v) || this.uses.get(v) !== 1) return;
    const user = this.#user.get(v)!;
    if (this.#list.get(user) !== list) return;
    const at = root.get(user)!;
    if (isRead(v) && barriers[at] !== barriers[i + 1]) return;
    this.inlined.add(v);
    root.set(v, at);
  }
}

export function analyse(body: readonly Statement[]): Placement {
  const a = new Analysis();
  a.locate(body);
  a.count(body);
  a.place(body);
  return a;
}
