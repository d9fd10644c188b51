/**
 * Accesses of a block whose addresses differ by constants, such as those to a stack frame, or a load and a store of the same place. The
 * first looks for all of them whether they lie on one page that the TLB has.
 */
import { mayStore } from '../../../isa/ir/purity.ts';
import {
  type LoadNode,
  type OpNode,
  type Statement,
  type StoreNode,
  type Value,
  WIDTH,
} from '../../../isa/ir/types.ts';
import { GPR, IP_BASE } from '../../../isa/x86/state.ts';
import { isGeneral, registerOf, registersTouched, registersUsed } from './registers-used.ts';

export type Access = LoadNode | StoreNode;

export interface PageGroup {
  readonly first: Access;
  /** Bytes from the lowest address of all accesses to the end of the highest. */
  readonly span: number;
  /** One of them is a store. */
  readonly writes: boolean;
}
export interface GroupMember {
  readonly group: PageGroup;
  /** Bytes from the group's lowest address. */
  readonly at: number;
}
export type PageGroups = ReadonlyMap<Access, GroupMember>;

/** Those that are farther apart would often lie on two pages. */
const MOST_SPAN = 512;
/** Distances beyond are not computed with. */
const FAR = 2 ** 50;

/** A number by one that is not known, and the distance from that. */
interface Place {
  readonly root: number;
  readonly offset: number;
}
const CONSTANT = 0;
const IP = 1;
const FIRST_ROOT = 2;

interface Gathered {
  readonly root: number;
  readonly ofSupervisor: boolean;
  readonly members: { readonly access: Access; readonly offset: number }[];
  low: number;
  high: number;
  writes: boolean;
}

class Grouping {
  readonly #places = new Map<Value, Place>();
  /** What general registers hold, by their offset. */
  readonly #registers = new Map<number, Place>();
  /** Roots of sums and multiples of others. */
  readonly #made = new Map<string, number>();
  #roots = FIRST_ROOT;
  /** To which accesses may be added. */
  #open: Gathered[] = [];
  readonly #all: Gathered[] = [];

  statement(s: Statement): void {
    switch (s.kind) {
      case 'getAt':
        if (s.file === GPR && s.type === 'i64') this.#places.set(s, this.#inRegister(registerOf(s.file, s.at)));
        break;
      case 'get':
        if (isGeneral(s.state.offset)) this.#places.set(s, this.#inRegister(s.state.offset));
        break;
      case 'set':
        if (isGeneral(s.state.offset)) this.#write(s.state.offset, s.value);
        break;
      case 'setAt':
        if (s.file === GPR) this.#write(registerOf(s.file, s.at), s.value);
        break;
      case 'load':
        this.#access(s, s.type, s.forWrite);
        break;
      case 'store':
        this.#access(s, s.value.type, true);
        break;
      case 'call':
        // It may change what is mapped.
        if (mayStore(s.target)) this.#open = [];
        this.#forget(registersTouched(s.target).written);
        break;
      case 'if':
        this.#nested(s.consequent);
        this.#nested(s.alternate);
        break;
      case 'loop':
        this.#nested(s.body);
        break;
    }
  }

  groups(): PageGroups {
    const members = new Map<Access, GroupMember>();
    for (const { members: found, low, high, writes } of this.#all) {
      if (found.length < 2) continue;
      const group = { first: found[0].access, span: high - low, writes };
      for (const { access, offset } of found) members.set(access, { group, at: offset - low });
    }
    return members;
  }

  /** What may happen, or happen again. */
  #nested(statements: readonly Statement[]): void {
    for (const s of statements) {
      if (s.kind === 'call') this.statement(s);
      else if (s.kind === 'if' || s.kind === 'loop') this.statement(s);
    }
    this.#forget(registersUsed(statements).written);
  }
  #forget(registers: readonly number[]): void {
    for (const offset of registers) this.#registers.delete(offset);
  }
  #inRegister(offset: number | undefined): Place {
    if (offset === undefined) return this.#unknown();
    let place = this.#registers.get(offset);
    if (place === undefined) this.#registers.set(offset, (place = this.#unknown()));
    return place;
  }
  #write(offset: number | undefined, value: Value): void {
    if (offset === undefined) this.#registers.clear();
    else if (value.type === 'i64') this.#registers.set(offset, this.#placeOf(value));
    else this.#registers.delete(offset);
  }

  #access(access: Access, type: LoadNode['type'], writes: boolean): void {
    const { root, offset } = this.#placeOf(access.address);
    const end = offset + WIDTH[type] / 8;
    const ofSupervisor = access.access === 'supervisor';
    let to = this.#open.find(
      (g) =>
        g.root === root &&
        g.ofSupervisor === ofSupervisor &&
        Math.max(g.high, end) - Math.min(g.low, offset) <= MOST_SPAN,
    );
    if (to === undefined) {
      to = { root, ofSupervisor, members: [], low: offset, high: end, writes };
      this.#open.push(to);
      this.#all.push(to);
    }
    to.members.push({ access, offset });
    to.low = Math.min(to.low, offset);
    to.high = Math.max(to.high, end);
    to.writes ||= writes;
  }

  #placeOf(v: Value): Place {
    if (v.kind === 'const') return constant(v.value);
    const known = this.#places.get(v);
    if (known !== undefined) return known;
    const place = this.#compute(v);
    this.#places.set(v, place);
    return place;
  }
  #compute(v: Value): Place {
    if (v.kind === 'get' && v.state === IP_BASE) return { root: IP, offset: 0 };
    if (v.kind !== 'op' || v.type !== 'i64') return this.#unknown();
    const place = this.#computed(v);
    return place === undefined || Math.abs(place.offset) > FAR ? this.#unknown() : place;
  }
  #computed(v: OpNode): Place | undefined {
    switch (v.op) {
      case 'add':
        return this.#sum(v);
      case 'sub':
        return this.#difference(v);
      case 'shl':
        return this.#multiple(v);
      default:
        return undefined;
    }
  }
  #sum({ args }: OpNode): Place {
    const [a, b] = args.map((v) => this.#placeOf(v));
    const offset = a.offset + b.offset;
    if (b.root === CONSTANT) return { root: a.root, offset };
    if (a.root === CONSTANT) return { root: b.root, offset };
    return { root: this.#rootOf(`${Math.min(a.root, b.root)} ${Math.max(a.root, b.root)}`), offset };
  }
  #difference({ args: [a, b] }: OpNode): Place | undefined {
    if (b.kind !== 'const') return undefined;
    const { root, offset } = this.#placeOf(a);
    return { root, offset: offset - constant(b.value).offset };
  }
  #multiple({ args: [v, by] }: OpNode): Place | undefined {
    if (by.kind !== 'const') return undefined;
    const { root, offset } = this.#placeOf(v);
    const bits = Number(by.value);
    return { root: this.#rootOf(`${root} shl ${bits}`), offset: offset * 2 ** bits };
  }
  #rootOf(made: string): number {
    let root = this.#made.get(made);
    if (root === undefined) this.#made.set(made, (root = this.#roots++));
    return root;
  }
  #unknown(): Place {
    return { root: this.#roots++, offset: 0 };
  }
}

const constant = (value: bigint): Place => ({ root: CONSTANT, offset: Number(BigInt.asIntN(64, value)) });

export function pageGroups(statements: readonly Statement[]): PageGroups {
  const grouping = new Grouping();
  for (let i = 0; i < statements.length; i++) grouping.statement(statements[i]);
  return grouping.groups();
}
