/** What of a body is needed, and which values can be computed right where they are used. */
import { isPure } from '../../isa/ir/purity.ts';
import { type CallNode, isValue, type ResultNode, type Statement, type Value } from '../../isa/ir/types.ts';
import { StatementMap, StatementSet, sizeOf } from './statement-map.ts';

export interface Placement {
  /** Numbers of the body's statements are below this. */
  readonly size: number;
  /** Uses of each needed value. */
  readonly uses: StatementMap<number>;
  /** Values with one use, computed there and not in their own place. */
  readonly inlined: StatementSet;
  /** Results of calls that are needed, by the call and their index. */
  readonly results: ReadonlyMap<CallNode, readonly Value[]>;
}

/** Values that the code generator repeats at every use: a constant, a field, a parameter. */
export const isRepeated = (v: Value): boolean => v.kind === 'const' || v.kind === 'field' || v.kind === 'parameter';

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

/** What an analysis writes down before it reads it, in arrays that the next one uses again. */
interface Notes {
  readonly size: number;
  /** The last statement found that uses a value. */
  readonly user: StatementMap<Statement>;
  /** The list that a statement is in, and where what uses it is computed in that. */
  readonly list: StatementMap<readonly Statement[]>;
  readonly root: StatementMap<number>;
}
const newNotes = (size: number): Notes => ({
  size,
  user: new StatementMap(size),
  list: new StatementMap(size),
  root: new StatementMap(size),
});
let notes = newNotes(1024);
function notesFor(size: number): Notes {
  if (size > notes.size) notes = newNotes(2 * size);
  return notes;
}

class Analysis implements Placement {
  readonly size: number;
  readonly uses: StatementMap<number>;
  readonly inlined: StatementSet;
  readonly results = new Map<CallNode, Value[]>();
  readonly #notes: Notes;

  constructor(body: readonly Statement[]) {
    this.size = sizeOf(body);
    this.uses = new StatementMap(this.size);
    this.inlined = new StatementSet(this.size);
    this.#notes = notesFor(this.size);
    this.#count(body);
    this.#place(body);
  }

  /** Finds where statements are, and what those that must happen need. */
  #count(list: readonly Statement[]): void {
    for (let i = 0; i < list.length; i++) {
      const s = list[i];
      this.#notes.list.set(s, list);
      if (isRoot(s)) this.#use(s);
      if (s.kind === 'if') {
        this.#count(s.consequent);
        this.#count(s.alternate);
      } else if (s.kind === 'loop') this.#count(s.body);
    }
  }

  /** Its operands are needed. */
  #use(user: Statement): void {
    switch (user.kind) {
      case 'op':
      case 'call':
        this.#needAll(user.args, user);
        break;
      case 'getAt':
        this.#need(user.at, user);
        break;
      case 'set':
      case 'writeVariable':
        this.#need(user.value, user);
        break;
      case 'setAt':
        this.#need(user.at, user);
        this.#need(user.value, user);
        break;
      case 'load':
      case 'loadPhysical':
      case 'loadRaw':
        this.#need(user.address, user);
        break;
      case 'store':
      case 'storePhysical':
      case 'storeRaw':
        this.#need(user.address, user);
        this.#need(user.value, user);
        break;
      case 'if':
        this.#need(user.condition, user);
        break;
      case 'jump':
        this.#need(user.target, user);
        break;
      case 'raise':
        this.#need(user.vector, user);
        if (user.errorCode !== undefined) this.#need(user.errorCode, user);
        break;
      case 'return':
        this.#needAll(user.values, user);
        break;
      case 'copyRaw':
        this.#needAll([user.to, user.from, user.bytes], user);
        break;
      case 'fillRaw':
        this.#needAll([user.to, user.value, user.bytes], user);
        break;
    }
  }
  #needAll(values: readonly Value[], user: Statement): void {
    for (let i = 0; i < values.length; i++) this.#need(values[i], user);
  }
  #need(v: Value, user: Statement): void {
    if (isRepeated(v)) return;
    const n = this.uses.get(v) ?? 0;
    this.uses.set(v, n + 1);
    this.#notes.user.set(v, user);
    if (n > 0) return;
    if (v.kind === 'result') this.#useCall(v, v.call);
    else if (v.kind !== 'load') this.#use(v);
  }

  /** A call that only computes happens where one of its results is used. */
  #useCall(v: ResultNode, call: CallNode): void {
    const known = this.results.get(call);
    const results: Value[] = known ?? [];
    results[v.index] = v;
    if (known !== undefined) return;
    this.results.set(call, results);
    if (!isRoot(call)) this.#use(call);
  }

  #place(list: readonly Statement[]): void {
    const barriers: number[] = [0];
    for (let i = 0; i < list.length; i++) barriers.push(barriers[i] + (isBarrier(list[i]) ? 1 : 0));
    for (let i = list.length - 1; i >= 0; i--) {
      const s = list[i];
      this.#notes.root.set(s, i);
      if (isValue(s)) this.#placeValue(s, i, list, barriers);
      else if (s.kind === 'if') {
        this.#place(s.consequent);
        this.#place(s.alternate);
      } else if (s.kind === 'loop') this.#place(s.body);
    }
  }

  #placeValue(v: Value, i: number, list: readonly Statement[], barriers: readonly number[]): void {
    if (v.kind === 'load' || v.kind === 'result' || isRepeated(v) || this.uses.get(v) !== 1) return;
    const user = this.#notes.user.get(v)!;
    if (this.#notes.list.get(user) !== list) return;
    const at = this.#notes.root.get(user)!;
    if (isRead(v) && barriers[at] !== barriers[i + 1]) return;
    this.inlined.add(v);
    this.#notes.root.set(v, at);
  }
}

export function analyse(body: readonly Statement[]): Placement {
  return new Analysis(body);
}
